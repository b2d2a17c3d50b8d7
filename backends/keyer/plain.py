"""Alpha for a picture before a plain backdrop, from the colours alone.

With the backdrop B known at every pixel and the subject's colour F estimated near it, the
compositing equation I = A F + (1 - A) B gives A = (I - B).(F - B) / |F - B|^2: soft edges and hair
are measured, not guessed, and holes are kept. What has the backdrop's colour is taken for backdrop,
and an even pane of glass for a solid of its mixed colour: one picture cannot tell these apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy import ndimage

from .backdrop import Backdrop, Mask, lit_backdrop
from .planes import LUMA_FIRST, Array, resize, rows_of, size_within, spread, srgb_to_lab
from .screen import along, slopes_of

#: Alpha of a picture, from F (or what stands for it) and B.
Projection: TypeAlias = Callable[[Array, Array, Array], Array]

WORK_SIDE = 1536  # larger pictures are understood at this size and measured at their own
BAND_ROWS = 256
PLATEAU = 12  # pixels: the widest soft edge within which the subject's own colour is looked for
FAINT = 3.0  # noise sigmas above which a pixel may be subject
FAINT_LEAST = 0.7
STRONG = 5.0  # noise sigmas, as the mean of 3 x 3 pixels, that prove a subject; what is faint
STRONG_LEAST = 4.5  # counts only when it is joined to such a place
LEAST_INSIDE = 0.3  # before a screen, alpha below which a pixel cannot be inside the subject
FULL = 0.93  # share of the plateau at which an edge has ended


def key_plain(rgb: Array, backdrop: Backdrop, check: Callable[[], None] = lambda: None) -> Array:
    """Key a picture (H, W, 3) float32 sRGB in 0..1 by its backdrop: alpha (H, W) float32 in 0..1.

    check is called now and then, and may raise. All zero when nothing stands out from the
    backdrop's noise.
    """
    full = (rgb.shape[0], rgb.shape[1])
    size = size_within(full, WORK_SIDE)
    small = resize(rgb, size)
    behind, distance, sigma = lit_backdrop(small, srgb_to_lab(small), backdrop)
    strength = ndimage.uniform_filter(distance, 3)
    subject = _joined(
        distance > FAINT * sigma + FAINT_LEAST, strength > max(STRONG * sigma, STRONG_LEAST)
    )
    if not subject.any():
        return np.zeros(full, np.float32)
    unlike = _unlike(distance * subject)
    front = _subject_colour(small, unlike)
    project: Projection = _project
    alpha = project(small, front, behind) * subject
    if backdrop.is_screen:
        front, project = slopes_of(small, alpha, behind, unlike), along
        alpha = project(small, front, behind) * subject
        # What is nearly the screen's colour is the screen, also where it is seen through a gap.
        subject &= alpha > LEAST_INSIDE
    alpha = np.maximum(alpha, _interior(alpha, subject))
    check()
    if size == full:
        return alpha
    return _measure_at_full_size(rgb, project, (front, behind), alpha, check)


def _project(rgb: Array, front: Array, behind: Array) -> Array:
    """Return A of the compositing equation, clipped to 0..1."""
    span = (front - behind) @ LUMA_FIRST
    length = np.maximum(np.einsum("hwc,hwc->hw", span, span), np.float32(1e-4))
    share = np.einsum("hwc,hwc->hw", (rgb - behind) @ LUMA_FIRST, span) / length
    return np.asarray(np.clip(share, 0, 1), np.float32)


def _joined(faint: Mask, strong: Mask) -> Mask:
    """Return the connected parts of `faint` that hold a strong pixel (Canny's hysteresis)."""
    labels, count = ndimage.label(faint, np.ones((3, 3)))
    kept = np.zeros(count + 1, bool)
    kept[labels[strong & faint]] = True
    result: Mask = kept[labels]
    return result


def _unlike(distance: Array) -> Array:
    """Return 1 where a pixel differs from the backdrop as much as any nearby, far less below."""
    peak = ndimage.maximum_filter(distance, 2 * PLATEAU + 1)
    return np.asarray((distance / np.maximum(peak, np.float32(1e-3))) ** 6, np.float32)


def _subject_colour(rgb: Array, unlike: Array) -> Array:
    """Return F everywhere: the mean of the nearby pixels that differ most from the backdrop."""
    size = (unlike.shape[0], unlike.shape[1])
    grid = size_within(size, max(1, max(size) // 4))
    return resize(spread(rgb, unlike, grid, ((1.5, 1.0), (5.0, 1e-2), (20.0, 1e-5))), size)


def _interior(alpha: Array, subject: Mask) -> Array:
    """Return 1 behind the soft edge, whose width is read off the median alpha at each depth."""
    depth = ndimage.distance_transform_edt(subject).astype(np.float32)
    whole = np.minimum(np.rint(depth), 2 * PLATEAU).astype(np.intp)
    medians = ndimage.median(alpha, whole, np.arange(1, 2 * PLATEAU))
    levels = np.nan_to_num(np.asarray(medians))
    width = 1.5 + float(np.argmax(levels >= FULL * levels.max()))
    return np.asarray(np.clip((depth - width) / 2, 0, 1), np.float32)


def _measure_at_full_size(
    rgb: Array,
    project: Projection,
    parts: tuple[Array, Array],
    alpha: Array,
    check: Callable[[], None],
) -> Array:
    """Project the full picture, band by band, where the small alpha leaves room for an edge.

    parts: what `project` takes beside the picture, of the small one.
    """
    size = (rgb.shape[0], rgb.shape[1])
    least = ndimage.minimum_filter(alpha, 3)
    # A hair narrower than a small pixel is faint there and solid here: only near 0 does it bind.
    most = np.clip(ndimage.maximum_filter(alpha, 3) * 8, 0, 1)
    result = np.empty(size, np.float32)
    for start in range(0, size[0], BAND_ROWS):
        check()
        stop = min(start + BAND_ROWS, size[0])
        small = (rows_of(part, start, stop, size) for part in (*parts, least, most))
        front_rows, behind_rows, least_rows, most_rows = small
        measured = project(rgb[start:stop], front_rows, behind_rows)
        result[start:stop] = np.clip(measured, least_rows, np.maximum(least_rows, most_rows))
    return result
