"""Shapes in masks: grey-scale dilation and erosion with a disc, enclosed holes, loose islands."""

from __future__ import annotations

import math
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from .smoothing import filter_locally

Plane: TypeAlias = "npt.NDArray[np.float32]"
Region: TypeAlias = "npt.NDArray[np.bool_]"

# A hole is see-through: its mask is below one half. Glass that is more solid than that is kept.
HOLE_LEVEL = 0.5
# A speck of alpha 0.3 is an island. Wisps of hair that hang on by more than this are not.
ISLAND_LEVEL = 0.1
# A soft edge is narrower than this; a slope that is longer belongs to the picture.
WIDEST_EDGE = 16

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=np.bool_)


def dilate(mask: Tensor, radius: int) -> Tensor:
    """Return the largest value within `radius` pixels: max of m(q) over |q - p| <= radius.

    mask: (B, H, W) float32; pixels outside the picture do not take part. radius: 0 or more.
    The disc is cut into rows, and each row's maximum is read from maxima over spans of 2^k
    columns, which every row shares: about 3 comparisons per pixel and row, whatever the widths
    (Urbach and Wilkinson, "Efficient 2-D grayscale morphological transformations with arbitrary
    flat structuring elements", 2008).
    """
    if radius == 0:
        return mask
    return filter_locally(mask, (radius, radius), partial(_dilate_window, radius=radius))


def erode(mask: Tensor, radius: int) -> Tensor:
    """Return the smallest value within `radius` pixels; shapes and edges as in `dilate`."""
    return -dilate(-mask, radius)


def _dilate_window(window: Tensor, radius: int) -> Tensor:
    height, width = window.shape[1] - 2 * radius, window.shape[2] - 2 * radius
    spans = _spans(window, 2 * radius + 1)
    result = window.narrow(1, radius, height).narrow(2, radius, width).clone()
    pair = torch.empty_like(spans[0][:, :height])
    for dy in range(radius + 1):
        half = math.isqrt(radius * radius - dy * dy)
        chord = 2 * half + 1
        level = chord.bit_length() - 1
        span = spans[level]
        # The disc is symmetric: its rows dy above and dy below are the same chord.
        both = torch.maximum(
            span.narrow(1, radius - dy, height),
            span.narrow(1, radius + dy, height),
            out=pair[:, :, : span.shape[2]],
        )
        # Two overlapping spans of 2^level columns cover the chord.
        first = radius - half
        last = first + chord - (1 << level)
        torch.maximum(result, both.narrow(2, first, width), out=result)
        torch.maximum(result, both.narrow(2, last, width), out=result)
    return result


def _spans(window: Tensor, longest: int) -> list[Tensor]:
    """Take maxima over 1, 2, 4, ... columns to the right of each pixel, up to `longest` columns."""
    spans = [window]
    while 1 << len(spans) <= longest:
        span, step = spans[-1], 1 << (len(spans) - 1)
        spans.append(torch.maximum(span[:, :, :-step], span[:, :, step:]))
    return spans


def holes(mask: Plane, max_pixels: float) -> Region:
    """Find where `mask` (H, W) has holes of at most `max_pixels` pixels, with their soft edges.

    A hole is below HOLE_LEVEL, joined over edges (4 neighbours) and does not touch the border.
    """
    labels, count = ndimage.label(mask < HOLE_LEVEL)
    chosen = np.bincount(labels.ravel(), minlength=count + 1) <= max_pixels
    chosen[0] = False  # label 0 is the subject
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        chosen[border] = False
    return _with_edge(chosen, labels, mask)


def islands(mask: Plane, min_share: float) -> Region:
    """Find where `mask` (H, W) has islands smaller than `min_share` of the largest, with edges.

    An island is above ISLAND_LEVEL and joined over edges or corners (8 neighbours).
    """
    labels, count = ndimage.label(mask > ISLAND_LEVEL, structure=EIGHT_NEIGHBOURS)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    chosen = areas < min_share * areas[1:].max(initial=0)
    chosen[0] = False  # label 0 is the backdrop
    return _with_edge(chosen, labels, -mask)


def _with_edge(chosen: Region, labels: npt.NDArray[np.int32], height: Plane) -> Region:
    """Return the chosen labels' pixels, and the edge that climbs from them: steps to one of 4
    neighbours whose `height` is strictly larger, which ends on the crest towards what is beyond."""
    if not chosen.any():
        return np.zeros(height.shape, dtype=np.bool_)
    # A border that nothing climbs spares the test for the picture's sides.
    inside = np.pad(chosen[labels], 1)
    heights = np.pad(height, 1, constant_values=-np.inf).ravel()
    flat = inside.ravel()
    row = inside.shape[1]
    front = np.flatnonzero(flat)
    for _ in range(WIDEST_EDGE):
        reached = []
        for step in (1, -1, row, -row):
            beyond = front + step
            climbs = ~flat[beyond] & (heights[beyond] > heights[front])
            reached.append(beyond[climbs])
            flat[reached[-1]] = True
        front = np.concatenate(reached)
    return inside[1:-1, 1:-1]
