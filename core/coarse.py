"""A coarse mask (painted, of boxes, of a detector) fitted to the outline that the picture shows.

The mask is believed beyond `reach` of its outline. Within it alpha is solved by closed-form
matting, helped by what each pixel's colour says: does it lie nearer to the colours just inside of
the band or to those just outside (KNN matting's idea: Chen, Li and Tang, 2013)? First in a small
copy, in which the band is a few pixels wide, then around the outline found there in one of twice
the size, and so on; last comes the refinement of every mask (`core/finish.py`).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from scipy import ndimage
from scipy.spatial import KDTree
from torch import Tensor

from .checks import check_image, check_mask, within_range
from .closed_form import LEAST_SIDE, Array, solve_alpha
from .finish import settle, upsample_mask
from .layout import to_pixels, to_planes
from .morphology import Plane, Region
from .resize import resize_mask

# Pixels of the copy that is solved: how far from the mask's outline first, then from the one found.
_FIRST_BAND = 5
_LATER_BAND = 4
# The finest copy that is solved has the picture's longer side divided by 2, and no more than this.
_FINEST = 2
_LONGEST = 800
_LEAST_SIDE = 8
# Colours are compared to those of so many known pixels, no further than so many bands away.
_NEIGHBOURS = 8
_SAMPLES = 6000
_RING = 2
# Squared distance of colours (0..1 each) below which they count as one.
_SAME_COLOUR = 2e-4
# The weight of a colour that says all, beside a window of the matting Laplacian.
_BELIEF = 0.1
# The part of a thin piece that is believed: what lies deeper than this share of its depth.
_MIDDLE = 0.8


def fit_mask(mask: Tensor, image: Tensor, reach: float) -> Tensor:
    """Return the alpha (B, H, W) whose outline lies near the mask's, where the picture has it.

    mask: (B, H, W) in 0..1, 1 = subject; only where it passes one half counts. image: (B, H, W, C),
    C = 1, 3 or 4, of that size. reach: pixels, how far the mask's outline may be off; what is
    thinner than the reach is kept as thin as it is drawn. Runs on the CPU. Raises BadPicture.
    """
    check_mask(mask)
    check_image(image, "image")
    colours = within_range(image[..., :3]).float().expand(-1, -1, -1, 3)
    fitted = [
        _fit(drawn, picture, reach)
        for drawn, picture in zip(mask.float().cpu(), colours.cpu(), strict=True)
    ]
    return torch.stack(fitted).to(image)


def _fit(mask: Tensor, image: Tensor, reach: float) -> Tensor:
    drawn = (mask > 0.5).float()
    low, high = torch.aminmax(drawn)
    if bool(low == high) or reach <= 0:
        return drawn
    height, width = mask.shape
    most = max(min(height, width) / _LEAST_SIDE, 1)
    scale = min(max(reach / _FIRST_BAND, 1), most)
    copy = _copy(image, scale)
    small = resize_mask(drawn[None], *copy.shape[:2])[0].numpy()
    alpha = _solved(copy, (small > 0.5).astype(np.float32), reach / scale)
    finest = max(_FINEST, max(height, width) / _LONGEST)
    while scale > finest:
        scale = max(scale / 2, finest)
        copy = _copy(image, scale)
        larger = resize_mask(torch.from_numpy(alpha)[None], *copy.shape[:2])[0].numpy()
        alpha = _solved(copy, larger, _LATER_BAND)
    return settle(upsample_mask(torch.from_numpy(alpha)[None], image[None]))[0]


def _copy(image: Tensor, scale: float) -> Array:
    """Return a copy (h, w, 3) of a picture (H, W, 3) at 1 / scale of its size."""
    height, width = (max(round(side / scale), 1) for side in image.shape[:2])
    planes = to_planes(image[None])
    small = functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return to_pixels(small)[0].double().numpy()


def _solved(image: Array, alpha: Plane, band: float) -> Plane:
    """Return alpha with all that lies within `band` of its outline solved anew."""
    unknown = _near_outline(alpha > 0.5, band)
    if min(alpha.shape) < LEAST_SIDE or not unknown.any() or unknown.all():
        return alpha
    start = np.where(unknown, alpha, np.round(alpha)).astype(np.float32)
    guess = _by_colour(image, start, unknown)
    belief = (_BELIEF * np.abs(2 * guess - 1)).astype(np.float32)
    return solve_alpha(image, start, unknown, guess, belief)


def _near_outline(subject: Region, band: float) -> Region:
    """Return what lies within `band` of the outline, without the middle of pieces so thin that
    nothing of them would be left."""
    inner = ndimage.distance_transform_edt(subject)
    outer = ndimage.distance_transform_edt(~subject)
    labels, count = ndimage.label(subject)
    deepest = np.zeros(count + 1)
    deepest[1:] = ndimage.maximum(inner, labels, range(1, count + 1))
    middle = inner > np.minimum(band, _MIDDLE * deepest[labels])
    return np.asarray((subject | (outer <= band)) & ~middle, np.bool_)


def _by_colour(image: Array, alpha: Plane, unknown: Region) -> Plane:
    """Tell of every unknown pixel, 0..1, how much nearer its colour lies to the subject's than to
    the backdrop's, of the known pixels around the band; one half where either has none."""
    around = ndimage.distance_transform_edt(~unknown) <= _RING * _FIRST_BAND
    guess = np.full(alpha.shape, 0.5, np.float32)
    distances = []
    for side in (alpha > 0.5, alpha <= 0.5):
        known = side & ~unknown
        samples = image[known & around] if (known & around).any() else image[known]
        if not len(samples):
            return guess
        samples = samples[:: -(-len(samples) // _SAMPLES)]
        nearest = min(_NEIGHBOURS, len(samples))
        far, _ = KDTree(samples).query(image[unknown], k=range(1, nearest + 1))
        distances.append(np.square(far).mean(axis=1) + _SAME_COLOUR)
    subject, backdrop = distances
    guess[unknown] = backdrop / (subject + backdrop)
    return guess
