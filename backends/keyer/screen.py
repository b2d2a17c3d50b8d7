"""Alpha before a green or blue screen, measured along the colours that the subject varies least in.

A plain backdrop's alpha is a share of the way from the backdrop's colour to the subject's mean, and
a subject with white and black parts is far from its mean. A screen is far from both in one thing:
its own channel exceeds the others, as Vlahos' colour difference has it. Fisher's linear
discriminant finds that direction, and every other one that serves better where a subject is green
itself, from the mean and the covariance of the subject's colours nearby.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .planes import LUMA_FIRST, Array, resize, size_within, spread

PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of channels: a covariance's entries
NOISE = 0.01  # of luma, and twice that of chroma: how far one colour may vary as it is recorded
EDGE, RAMP = 1.5, 2.0  # pixels: so deep inside the subject its colours are taken, and so gradually
LEAST_OPAQUE, OPAQUE = 0.5, 0.75  # alpha from which a pixel may be such, and is
UNSURE = 1e-7  # weight of what differs most from the screen, where nothing lies deep inside
ROUNDS = 2
SAMPLED_SIDE = 768  # of larger pictures every second pixel each way is enough for means


def along(rgb: Array, slopes: Array, behind: Array) -> Array:
    """Return slopes . (rgb - behind), clipped to 0..1: alpha (H, W) of pictures (H, W, 3)."""
    share = np.einsum("hwc,hwc->hw", rgb - behind, slopes)
    return np.asarray(np.clip(share, 0, 1), np.float32)


def slopes_of(rgb: Array, alpha: Array, behind: Array, unlike: Array) -> Array:
    """Return the slopes of alpha along red, green and blue, (H, W, 3), from a first alpha (H, W).

    unlike: (H, W) in 0..1, how much a pixel differs from the backdrop, beside those near it.
    """
    size = (alpha.shape[0], alpha.shape[1])
    grid = size_within(size, max(1, max(size) // 4))
    step = -(-max(size) // SAMPLED_SIDE)
    sample = (slice(None, None, step), slice(None, None, step))
    rgb, alpha, unlike = rgb[sample], alpha[sample], unlike[sample]
    products = np.stack([rgb[..., i] * rgb[..., j] for i, j in PAIRS], axis=-1)
    both = np.concatenate([rgb, products], axis=-1)
    plain, sampled = resize(behind, grid), behind[sample]
    slopes = np.zeros((*grid, 3), np.float32)
    for turn in range(ROUNDS):
        if turn:
            alpha = along(rgb, resize(slopes, (alpha.shape[0], alpha.shape[1])), sampled)
        weight = _inside(alpha, step) + np.float32(UNSURE) * unlike
        means = spread(both, weight, grid, ((1.5, 1.0), (5.0, 1e-2), (20.0, 1e-5)))
        slopes = _discriminant(means, plain)
    return resize(slopes, size)


def _inside(alpha: Array, step: int) -> Array:
    """Weigh the pixels that show the subject alone; they lie `step` pixels apart."""
    samples = ndimage.distance_transform_edt(alpha > LEAST_OPAQUE).astype(np.float32)
    depth = (samples - 1) * step + 1  # at least: the edge lies between two samples
    sure = np.clip((alpha - LEAST_OPAQUE) / (OPAQUE - LEAST_OPAQUE), 0, 1)
    return np.asarray(np.clip((depth - EDGE) / RAMP, 0, 1) * sure, np.float32)


def _discriminant(means: Array, behind: Array) -> Array:
    """Solve for w = C^-1 (F - B), scaled so that w . (F - B) = 1; means: F and its six products."""
    front = means[..., :3]
    spread_of = np.empty((*front.shape[:2], 3, 3), np.float32)
    for place, (i, j) in enumerate(PAIRS):
        entry = means[..., 3 + place] - front[..., i] * front[..., j]
        spread_of[..., i, j] = spread_of[..., j, i] = entry
    recorded = np.linalg.inv(LUMA_FIRST @ LUMA_FIRST.T) * NOISE**2
    span = front - behind
    slopes = np.linalg.solve(spread_of + recorded, span[..., None])[..., 0]
    length = np.einsum("hwc,hwc->hw", slopes, span)
    return np.asarray(slopes / np.maximum(length, 1e-6)[..., None], np.float32)
