"""Grey-scale dilation and erosion with a disc, exact, for masks of any softness."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from .local_filter import filter_locally


def dilate(mask: Tensor, radius: int) -> Tensor:
    """The largest value within `radius` pixels: max of m(q) over |q - p| <= radius.

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
    """The smallest value within `radius` pixels; shapes and edges as in `dilate`."""
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
    """Maxima over 1, 2, 4, ... columns to the right of each pixel, up to `longest` columns."""
    spans = [window]
    while 1 << len(spans) <= longest:
        span, step = spans[-1], 1 << (len(spans) - 1)
        spans.append(torch.maximum(span[:, :, :-step], span[:, :, step:]))
    return spans
