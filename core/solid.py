"""Interiors that a network left translucent, made opaque where the picture shows no backdrop.

A region that truly lets the backdrop through has colours C = a F + (1 - a) B. With B bounded by
the certain backdrop nearby, alpha has a least possible value: beyond B's brightest, (C - B) /
(1 - B), below its darkest, (B - C) / B. Where the mask lies below that along the region's outline,
no foreground explains the picture, and the doubt was the network's. So it was where the certain
subject's own colour explains the region nearly as well as the mixture. What neither shows stays:
glass, veils, smoke, motion blur. What it is worth on photographs is in docs/quality.md.

All is judged on a picture of at most 256 x 256, one region of doubt at a time. Only regions in a
thick body, or enclosed by certain subject, are changed: thin things at one half are often not the
subject at all. The picture's border is no outline, so a subject that runs over it counts as thick.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from .checks import check_image, check_mask, common_batch
from .errors import BadOption
from .layout import to_pixels, to_planes
from .morphology import EIGHT_NEIGHBOURS, Plane, Region
from .resize import resize_mask

Colours: TypeAlias = "npt.NDArray[np.float32]"
Labels: TypeAlias = "npt.NDArray[np.int32]"

# The longer side of what is judged; the lengths below are its pixels.
_SIDE = 256
_CLEAR, _OPAQUE = 0.02, 0.95
_DOUBT = 0.05
# The outline keeps its softness for so many pixels.
_OUTLINE = 2
# Regions with fewer pixels, and less certain colour than that, tell nothing.
_FEWEST = 20
# Along the outline the backdrop is known: within so many pixels of it.
_NEAR = 6
# The backdrop's bounds are taken over this radius and so much of the distance to it.
_BOUND_RADIUS, _BOUND_SHARE = 2.0, 1.5
# How far, and at how large a share of the outline, the mask lies below the least alpha.
_BELOW = 0.1
_CONTRADICTED = 0.12
# The subject's colour may explain a region worse than the mixture does by this factor.
_EXPLAINED = 1.2
# Half the width of a thick body, as a share of the shorter side.
_THICK = 0.2
# The share of a region's surroundings that is certain subject, where it is enclosed.
_ENCLOSED = 0.8
# From nothing at the first to opaque at the second: what is fainter is the backdrop's.
_LOW, _HIGH = 0.1, 0.2
# The inverse of a gain that counts as none, after resizing.
_UNCHANGED = 1 - 1e-5
_BEYOND = 1.03  # so that rounding leaves nothing short of opaque


def solid_interiors(mask: Tensor, image: Tensor) -> Tensor:
    """Make opaque what lies deep inside the subject and is not see-through.

    mask: (B, H, W) in 0..1. image: (B, H, W, C), C = 1, 3 or 4, the fourth not looked at. No value
    falls, and a mask without such a region comes back as it is. Runs on the CPU.
    Raises BadPicture for tensors that are not usable, BadOption for sizes that do not pair up.
    """
    check_mask(mask)
    check_image(image, "image")
    batch = common_batch({"mask": mask.shape[0], "image": image.shape[0]})
    height, width = mask.shape[1:]
    if image.shape[1:3] != (height, width):
        raise BadOption("Solid interiors need a mask of its picture's size; bring it there first.")
    share = min(1.0, _SIDE / max(height, width))
    size = max(1, round(height * share)), max(1, round(width * share))
    small = resize_mask(mask.float().clamp(0, 1), *size).expand(batch, -1, -1).cpu().numpy()
    gains = []
    for n in range(batch):
        if not _doubtful(small[n]).any():
            gains.append(np.ones(size, np.float32))
            continue
        planes = to_planes(image[n % len(image)][None, ..., :3].float().clamp(0, 1))
        reduced = to_pixels(resize_mask(planes[0], *size)[None])[0]
        colours = reduced.expand(-1, -1, 3).cpu().numpy()
        gains.append(_gain(small[n], colours))
    if all((gain == 1).all() for gain in gains):
        return mask
    # The inverse lies in 0..1, as a mask does.
    inverse = resize_mask(torch.from_numpy(1 / np.stack(gains)), height, width).to(mask.device)
    inverse = inverse.masked_fill(inverse > _UNCHANGED, 1.0)
    return (mask.float() / inverse).clamp(0, 1).to(mask.dtype)


def _doubtful(alpha: Plane) -> Region:
    return np.asarray((alpha > _DOUBT) & (alpha < _OPAQUE), np.bool_)


def _gain(alpha: Plane, colours: Colours) -> Plane:
    """Return what the mask is multiplied with; 1 where it stays."""
    one = np.ones(alpha.shape, np.float32)
    if not (alpha < _CLEAR).any():  # without a backdrop nothing can be told
        return one
    depth = ndimage.distance_transform_edt(alpha >= _DOUBT)
    labels, count = ndimage.label(_doubtful(alpha) & (depth >= _OUTLINE))
    chosen = _opaque_regions(alpha, colours, depth, labels, count)
    inside = ndimage.binary_dilation(chosen[labels]) & (depth >= _OUTLINE)
    if not inside.any():
        return one
    rise = np.clip((alpha - _LOW) / (_HIGH - _LOW), 0, 1)
    wanted = alpha + (_BEYOND - alpha) * rise * rise * (3 - 2 * rise)
    # By the least value around, so that no fine dip between two of these pixels stays.
    least = np.maximum(np.maximum(ndimage.minimum_filter(alpha, 3), 0.6 * alpha), _DOUBT)
    gain = np.where(inside & (rise > 0), np.maximum(wanted / least, 1), 1)
    # The outline keeps its shape: it is stretched by what was found just inside of it.
    away, nearest = ndimage.distance_transform_edt(depth < _OUTLINE, return_indices=True)
    edge = (away > 0) & (away <= 2 * _OUTLINE)
    return np.asarray(np.where(edge, gain[tuple(nearest)], gain), np.float32)


def _opaque_regions(
    alpha: Plane, colours: Colours, depth: Plane, labels: Labels, count: int
) -> Region:
    """Tell for each label whether it is deep inside the subject and not see-through."""
    chosen = np.zeros(count + 1, np.bool_)
    clear, opaque = alpha < _CLEAR, alpha > _OPAQUE
    if not count or clear.sum() < _FEWEST:
        return chosen
    low, high, away = _bounds(colours, clear)
    least = np.maximum(
        (colours - high) / np.maximum(1 - high, 1e-3), (low - colours) / np.maximum(low, 1e-3)
    )
    below = least.max(axis=-1) > alpha + _BELOW
    mixed, own = _left_over(alpha, colours, opaque, low, high)
    thick = _THICK * min(alpha.shape)
    for label, window in enumerate(ndimage.find_objects(labels), start=1):
        part = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in window)
        region = labels[part] == label
        if region.sum() < _FEWEST:
            continue
        ring = ndimage.binary_dilation(region, EIGHT_NEIGHBOURS, iterations=2) & ~region
        enclosed = ring.any() and opaque[part][ring].mean() >= _ENCLOSED
        if depth[part][region].max() < thick and not enclosed:
            continue
        near = region & (away[part] < _NEAR)
        contradicted = near.sum() > _FEWEST and below[part][near].mean() > _CONTRADICTED
        explained = own[part][region].mean() < _EXPLAINED * mixed[part][region].mean()
        chosen[label] = contradicted or explained
    return chosen


def _bounds(colours: Colours, known: Region) -> tuple[Colours, Colours, Plane]:
    """Return the least and most of the known colours around each pixel, by channel, and how far
    the known is; over a radius that grows with that."""
    away = np.asarray(ndimage.distance_transform_edt(~known), np.float32)
    wanted = _BOUND_SHARE * away + _BOUND_RADIUS
    low, high = np.where(known[..., None], colours, 1.0), np.where(known[..., None], colours, 0.0)
    lowest, highest = np.zeros_like(colours), np.ones_like(colours)
    waiting, radius, step = np.ones(known.shape, np.bool_), 0, 1
    while waiting.any():
        radius += step
        size = (2 * step + 1, 2 * step + 1, 1)
        low, high = ndimage.minimum_filter(low, size), ndimage.maximum_filter(high, size)
        here = waiting & ((wanted <= radius) | (radius >= 2 * _SIDE))
        lowest[here], highest[here] = low[here], high[here]
        waiting &= ~here
        step *= 2
    return lowest, highest, away


def _left_over(
    alpha: Plane, colours: Colours, opaque: Region, low: Colours, high: Colours
) -> tuple[Plane, Plane]:
    """Return how far each colour lies from the mixture of the nearest certain subject and any
    backdrop within the bounds, and from that subject's own colour."""
    if opaque.sum() < _FEWEST:
        return np.zeros_like(alpha), np.ones_like(alpha)
    weight = ndimage.gaussian_filter(opaque.astype(np.float32), 2)
    total = ndimage.gaussian_filter(colours * opaque[..., None], (2, 2, 0))
    nearest = ndimage.distance_transform_edt(~opaque, return_distances=False, return_indices=True)
    subject = (total / np.maximum(weight, 1e-4)[..., None])[tuple(nearest)]
    a = alpha[..., None]
    mixture = np.clip(colours, a * subject + (1 - a) * low, a * subject + (1 - a) * high)
    mixed, own = (np.linalg.norm(colours - other, axis=-1) for other in (mixture, subject))
    return np.asarray(mixed, np.float32), np.asarray(own, np.float32)
