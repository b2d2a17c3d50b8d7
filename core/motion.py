"""Where what one frame shows is in another: dense motion, robust to a change of light.

An exhaustive search on a coarse grid finds far motion, Lucas and Kanade's method ("An Iterative
Image Registration Technique", 1981; Baker and Matthews 2004 for the inverse form) makes it exact on
finer and finer ones. In between every place may take over a neighbour's motion where that fits
better, as in Barnes et al., "PatchMatch", 2009: so motion spreads into what has no texture, and
its borders stay where the picture has them. Both frames are compared by their luma less its local
mean, over its local contrast, which exposure changes nothing of.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .layout import to_planes
from .window_sums import window_sums

#: The longer side, in pixels, of the finest grid that motion is looked for on, at most.
LONGER_SIDE = 640
# The coarse grid is this many halvings above; on it, so many pixels to every side are searched.
_HALVINGS = 2
_REACH = 8
_LEAST_SIDE = 16
# Radii of windows, in pixels of the grid: local contrast, a patch that is searched, one that is
# made exact, one that is compared with its neighbours'.
_CONTRAST_RADIUS = 7
_SEARCH_RADIUS = 2
_EXACT_RADIUS = 3
_TAKE_RADIUS = 1
# Of luma: contrast below this is noise.
_LEAST_CONTRAST = 0.02
# Among equal places the nearer one is meant.
_PER_PIXEL = 0.01
_RIDGE = 0.005
_ITERATIONS = (4, 4, 4)
_FARTHEST_OFF = 1.0
_NEIGHBOURS = ((0, -2), (0, 2), (-2, 0), (2, 0), (0, -6), (0, 6), (-6, 0), (6, 0))
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Sight:
    """A frame as motion sees it."""

    colours: Tensor
    """(3, h, w) float32, the frame reduced by `reduction`."""
    contrast: tuple[Tensor, ...]
    """Of every grid, finest first, (1, h, w): luma less local mean over local contrast."""


def reduction(height: int, width: int) -> int:
    """Return by how much a frame is reduced for motion: 1, 2, 4, ..."""
    factor = 1
    while max(height, width) > LONGER_SIDE * factor:
        factor *= 2
    return factor


def sight(pixels: Tensor) -> Sight:
    """Prepare a frame, (H, W, 3) float32 in 0..1, to be compared."""
    colours = reduced(to_planes(pixels[None])[0], reduction(*pixels.shape[:2]))
    luma = (colours * colours.new_tensor(_LUMA)[:, None, None]).sum(0, keepdim=True)
    grids = [luma]
    for _ in range(_HALVINGS):
        if min(grids[-1].shape[1:]) < 2 * _LEAST_SIDE:
            break
        grids.append(reduced(grids[-1], 2))
    return Sight(colours, tuple(_contrast(grid) for grid in grids))


def reduced(planes: Tensor, factor: int) -> Tensor:
    """Return the means of squares of `factor` pixels, (n, H, W) -> (n, h, w), rounded up."""
    if factor == 1:
        return planes.contiguous()
    return functional.avg_pool2d(planes[None], factor, ceil_mode=True, count_include_pad=False)[0]


def motion(here: Sight, there: Sight) -> Tensor:
    """Return (2, h, w): how far right and down in `there` is what `here` shows at each pixel."""
    levels = list(zip(here.contrast, there.contrast, strict=True))
    flow = _searched(*levels[-1])
    for level in range(len(levels) - 1, -1, -1):
        first, second = levels[level]
        if flow.shape[1:] != first.shape[1:]:
            flow = 2 * enlarged(flow, first.shape[1:], 2)
        flow = _exact(first, second, flow, _ITERATIONS[level])
        if level > 0:
            flow = _taken_over(first, second, flow)
    return flow


def moved(planes: Tensor, flow: Tensor) -> Tensor:
    """Sample (n, h, w) at every pixel's place plus `flow`, (2, h, w); bilinear, border kept."""
    height, width = planes.shape[1:]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device) + 0.5
    y = torch.arange(height, dtype=flow.dtype, device=flow.device) + 0.5
    grid = torch.stack(
        [(flow[0] + x) * (2 / width) - 1, (flow[1] + y[:, None]) * (2 / height) - 1], -1
    )
    return functional.grid_sample(
        planes[None], grid[None], padding_mode="border", align_corners=False
    )[0]


def enlarged(planes: Tensor, size: tuple[int, int] | torch.Size, factor: int) -> Tensor:
    """Bring planes that `reduced` made by `factor` back to `size`, bilinear."""
    if factor == 1:
        return planes
    large = functional.interpolate(
        planes[None], scale_factor=factor, mode="bilinear", align_corners=False
    )[0]
    return large[:, : size[0], : size[1]]


def _contrast(luma: Tensor) -> Tensor:
    side = 2 * _CONTRAST_RADIUS + 1
    radius = _CONTRAST_RADIUS
    padded = functional.pad(
        luma[None], (radius,) * 4, mode="reflect" if min(luma.shape[1:]) > radius else "replicate"
    )[0]
    sums = window_sums(torch.cat([padded, padded * padded]), radius)
    mean, square = (sums[:, radius:-radius, radius:-radius] / side**2).chunk(2)
    deviation = (square - mean * mean).clamp(min=0).sqrt()
    return (luma - mean) / (deviation + _LEAST_CONTRAST)


def _searched(first: Tensor, second: Tensor) -> Tensor:
    """Try every shift within reach at every pixel of the coarse grid."""
    height, width = first.shape[1:]
    padded = functional.pad(second[None], (_REACH,) * 4, mode="replicate")[0, 0]
    steps = [(y, x) for y in range(-_REACH, _REACH + 1) for x in range(-_REACH, _REACH + 1)]
    steps.sort(key=lambda step: step[0] ** 2 + step[1] ** 2)
    best = torch.full((height, width), float("inf"), device=first.device)
    flow = first.new_zeros(2, height, width)
    for row in range(0, len(steps), 64):
        some = steps[row : row + 64]
        shifted = torch.stack(
            [
                padded[_REACH + y : _REACH + y + height, _REACH + x : _REACH + x + width]
                for y, x in some
            ]
        )
        cost = (
            window_sums((shifted - first).abs_().clamp_(max=2), _SEARCH_RADIUS)
            / (2 * _SEARCH_RADIUS + 1) ** 2
        )
        cost += (
            _PER_PIXEL * first.new_tensor([(y * y + x * x) ** 0.5 for y, x in some])[:, None, None]
        )
        least, index = cost.min(0)
        better = least < best
        best = torch.where(better, least, best)
        place = first.new_tensor([[x for _, x in some], [y for y, _ in some]])[:, index]
        flow = torch.where(better, place, flow)
    return flow


def _exact(first: Tensor, second: Tensor, flow: Tensor, iterations: int) -> Tensor:
    """Solve for the motion that all of a window share, anew around every pixel.

    The whole motion is solved for, not what it still lacks: a window's mean of steps that were
    taken by different motions grows without end.
    """
    padded = functional.pad(first[None], (1, 1, 1, 1), mode="replicate")[0]
    across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    xx, yy, xy = _around(torch.cat([across**2, down**2, across * down])).chunk(3)
    xx, yy = xx + _RIDGE, yy + _RIDGE
    scale = 1 / (xx * yy - xy * xy)
    slopes = torch.cat([across, down])
    for _ in range(iterations):
        off = (first - moved(second, flow)).clamp_(-_FARTHEST_OFF, _FARTHEST_OFF)
        known = off + (slopes * flow).sum(0, keepdim=True)
        x, y = _around(torch.cat([slopes * known + _RIDGE * flow])).chunk(2)
        flow = torch.cat([(yy * x - xy * y) * scale, (xx * y - xy * x) * scale])
    return flow


def _around(planes: Tensor) -> Tensor:
    """Return the mean over a window that falls off to its sides: two boxes."""
    height, width = planes.shape[1:]
    planes = functional.pad(planes[None], (2 * _EXACT_RADIUS,) * 4, mode="replicate")[0]
    area = (2 * _EXACT_RADIUS + 1) ** 4
    sums = window_sums(window_sums(planes, _EXACT_RADIUS), _EXACT_RADIUS)
    edge = 2 * _EXACT_RADIUS
    return sums[:, edge : edge + height, edge : edge + width] / area


def _taken_over(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    best, found = _misfit(first, second, flow), flow
    for down, across in _NEIGHBOURS:
        other = torch.roll(flow, (down, across), (1, 2))
        cost = _misfit(first, second, other)
        better = cost < 0.95 * best
        best = torch.where(better, cost, best)
        found = torch.where(better, other, found)
    return found


def _misfit(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    return window_sums((first - moved(second, flow)).abs(), _TAKE_RADIUS)
