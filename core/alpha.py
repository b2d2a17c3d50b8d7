"""Everything that is done to a finished mask: tone, shape, softness, corrections.

A mask is (B, H, W), floats in 0..1, 1 = subject, on any device. No function writes to its input;
where there is nothing to do the input itself may come back. Computed in float32, returned in the
mask's dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .checks import check_finite, check_mask, check_range, check_share, common_batch
from .errors import BadOption
from .morphology import Plane, Region, dilate, erode, holes, islands
from .resize import resize_mask
from .smoothing import gaussian_blur


@dataclass(frozen=True)
class MaskOptions:
    """What `adjust_mask` does, in the order in which it does it; the defaults do nothing."""

    invert: bool = False
    """Swap subject and backdrop."""
    black: float = 0.0
    """The mask's value that becomes 0 (see `levels`)."""
    white: float = 1.0
    """The mask's value that becomes 1."""
    threshold: float = 0.0
    """The value from which the mask is 1, below it 0; 0 is off."""
    fill_holes: float = 0.0
    """The largest hole that is filled, as a share of the picture; 0 is off, 1 is all."""
    remove_islands: float = 0.0
    """Islands smaller than this share of the largest are removed; 0 is off, 1 keeps the largest."""
    grow: float = 0.0
    """Pixels by which the subject grows; negative shrinks it."""
    feather: float = 0.0
    """Pixels over which the edge fades on either side."""


def adjust_mask(
    mask: Tensor, options: MaskOptions, keep: Tensor | None = None, drop: Tensor | None = None
) -> Tensor:
    """Apply `options` to a mask, then the painted corrections, which have the last word.

    mask: (B, H, W). keep, drop: see `keep_and_drop`. The order is: invert, black and white point,
    threshold, fill holes, remove islands, grow or shrink, feather, keep, drop.
    Raises BadPicture for a mask that is not usable, BadOption for a value that cannot work.
    """
    check_mask(mask)
    mask = mask.clamp(0, 1)
    if options.invert:
        mask = 1 - mask
    mask = levels(mask, options.black, options.white)
    if options.threshold != 0:
        mask = threshold(mask, options.threshold)
    mask = fill_holes(mask, options.fill_holes)
    mask = remove_islands(mask, options.remove_islands)
    mask = grow(mask, options.grow)
    mask = feather(mask, options.feather)
    return keep_and_drop(mask, keep, drop)


def threshold(mask: Tensor, level: float) -> Tensor:
    """Make the mask hard: 1 from `level` (0..1) up, 0 below. What was 0 always stays 0."""
    check_share(level, "threshold")
    values = mask.float()
    return ((values >= level) & (values > 0)).to(mask.dtype)


def levels(mask: Tensor, black: float, white: float) -> Tensor:
    """Stretch the mask's tones: `black` and below becomes 0, `white` and above 1, linear between.

    0 <= black <= white <= 1; equal points make a step, as `threshold` does.
    """
    check_share(black, "black point")
    check_share(white, "white point")
    if black > white:
        raise BadOption(
            f"The black point {black} lies above the white point {white}. "
            "Exchange them, and use invert to swap subject and backdrop."
        )
    if (black, white) == (0, 1):
        return mask
    if black == white:
        return threshold(mask, white)
    return ((mask.float() - black) / (white - black)).clamp(0, 1).to(mask.dtype)


def grow(mask: Tensor, radius: float) -> Tensor:
    """Grow the subject by `radius` pixels in every direction, or shrink it when negative.

    Grey dilation or erosion with the disc |q - p| <= radius: a soft edge is moved and keeps its
    ramp. A radius between two whole numbers mixes the two results in proportion, so the edge
    moves by fractions of a pixel. The picture's border counts as more of the same: a subject that
    the frame cuts off is not shrunk from there.
    """
    check_finite(radius, "grow radius")
    # There is nothing to reach beyond the picture's diagonal.
    size = min(abs(radius), math.hypot(*mask.shape[1:]))
    whole = int(size)
    part = size - whole
    shift = dilate if radius > 0 else erode
    values = mask.float()
    moved = shift(values, whole)
    if part > 0:
        moved = torch.lerp(moved, shift(values, whole + 1), part)
    return moved.to(mask.dtype)


def feather(mask: Tensor, radius: float) -> Tensor:
    """Soften the edge over about `radius` pixels on either side.

    A Gaussian of sigma = radius / 2, cut at 3 sigma; the picture's edges are replicated. A radius
    beyond the picture's longer side acts as that side.
    """
    check_finite(radius, "feather radius")
    if radius < 0:
        raise BadOption(f"The feather radius is {radius}; it must be 0 or more.")
    if radius == 0:
        return mask
    sigma = min(radius, max(mask.shape[1:])) / 2
    return gaussian_blur(mask.float(), sigma).to(mask.dtype)


def fill_holes(mask: Tensor, max_area: float = 1.0) -> Tensor:
    """Fill holes in the subject with 1, soft edges included.

    A hole is an enclosed region where the mask is below one half. max_area: the largest that is
    filled, as a share of the picture's area; 0 fills none, 1 all. Runs on the CPU.
    """
    check_share(max_area, "largest hole")
    area = max_area * mask.shape[1] * mask.shape[2]
    return _repaint(mask, partial(holes, max_pixels=area), 1.0) if max_area > 0 else mask


def remove_islands(mask: Tensor, min_area: float = 1.0) -> Tensor:
    """Set islands apart from the subject to 0, soft edges included.

    An island is a connected region where the mask is above 0.1. min_area: those smaller than this
    share of the largest island's area go; 0 removes none, 1 keeps only the largest (and any of
    exactly its area). Runs on the CPU.
    """
    check_share(min_area, "smallest island")
    return _repaint(mask, partial(islands, min_share=min_area), 0.0) if min_area > 0 else mask


def keep_and_drop(mask: Tensor, keep: Tensor | None, drop: Tensor | None) -> Tensor:
    """Apply painted corrections: at least `keep` of every pixel stays, at most 1 - `drop` of it.

    keep, drop: masks in any form and size that `match_mask` takes, or None. Where both are
    painted, drop wins.
    """
    batch, height, width = mask.shape
    if keep is not None:
        mask = torch.maximum(mask, match_mask(keep, height, width, batch, "keep mask").to(mask))
        batch = len(mask)
    if drop is not None:
        mask = torch.minimum(mask, 1 - match_mask(drop, height, width, batch, "drop mask").to(mask))
    return mask


def match_mask(mask: Tensor, height: int, width: int, batch: int, name: str = "mask") -> Tensor:
    """Bring a mask to the size and number of the pictures that it belongs to.

    mask: (H, W), (B, H, W), (B, 1, H, W) or (B, H, W, 1), of any size; the overshoot of a
    resampler is clamped.
    Returns (N, height, width), bilinear with antialiasing, in the mask's dtype. N is `batch`, or
    the mask's own number when `batch` is 1. Raises BadPicture for any other shape and for values
    that are not finite floats in 0..1, BadOption when neither number is 1 and they differ.
    """
    mask = mask_planes(mask, height, width, name)
    check_range(mask, name)
    count = common_batch({name: len(mask), "image": batch})
    return resize_mask(mask.clamp(0, 1), height, width).expand(count, height, width)


def mask_planes(mask: Tensor, height: int, width: int, name: str = "mask") -> Tensor:
    """Lay any form of a mask that `match_mask` takes out as (B, h, w), at its own size.

    height, width: of the picture, which tells two of the forms apart. Raises BadPicture for any
    other shape and for values that are not finite floats.
    """
    if mask.ndim == 2:
        mask = mask[None]
    elif mask.ndim == 4:
        # (B, 1, W, 1) could be either; the picture's size tells which.
        channel_last = mask.shape[1] != 1 or mask.shape[1:3] == (height, width)
        if channel_last and mask.shape[3] == 1:
            mask = mask[..., 0]
        elif mask.shape[1] == 1:
            mask = mask[:, 0]
    check_mask(mask, name)
    return mask


def stretching(mask: Tensor, height: int, width: int, name: str = "mask") -> str | None:
    """Tell that `match_mask` changes a mask's proportions: one sentence, or None where it does not.

    Two sizes have the same proportions when one is the other scaled, each side rounded to whole
    pixels. A mask of other proportions may be right (a model's square) or of another picture.
    """
    rows, columns = mask_planes(mask, height, width, name).shape[1:]
    if abs(rows * width - columns * height) <= max(rows + columns, height + width):
        return None
    return (
        f"The {name} is {columns} x {rows} and the picture {width} x {height}: other proportions, "
        "so it was stretched. That is right for a mask that was squeezed into a square, and wrong "
        "for one of another picture or of another crop."
    )


def _repaint(mask: Tensor, find: Callable[[Plane], Region], value: float) -> Tensor:
    """Set what `find` returns for each picture to `value`."""
    planes = mask.detach().float().cpu().numpy()
    regions = torch.from_numpy(np.stack([find(plane) for plane in planes]))
    return mask.masked_fill(regions.to(mask.device), value)
