"""What the colours on both sides of an edge tell of the alpha between them.

Around an edge the subject and the background are taken for two clouds of colours with one spread,
learnt from the pixels of which the matte is sure. Fisher's discriminant between them is the affine
function of colour that is 1 at the one mean and 0 at the other, so it is a model of alpha as in
Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting", 2008; that its worth
is judged by how far apart the clouds lie and how well they explain the pixel is taken from Wang and
Cohen, "Optimized Color Sampling for Robust Matting", 2007. Where a matte draws a strand as dots or
covers what shines through between two, sure pixels near by still say which colour is whose.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from .layout import to_planes
from .tiles import Enlargement, all_tiles, tile_side
from .window_sums import Symmetric, solved, window_sums

# Lengths in pixels of half the matte's size: the clouds change slowly, and a quarter of the pixels
# tells as much of them.
_HALF = 2
_RADIUS = 5
_SURE_REACH = 1
_STEADY_REACH = 2
_MATCH_REACH = 5
_OUTLIER_REACH = 1
_MARGIN = _SURE_REACH + _RADIUS + max(_OUTLIER_REACH, _MATCH_REACH) + _STEADY_REACH
# What is sure: within this of 0 or 1 with all that touches it. What is so alone counts for less:
# strands have no inside.
_SURE = (0.90, 0.95)
_ALONE = (0.90, 0.98)
_WEIGHT_ALONE = 0.1
# The share of a window that either cloud must fill to be believed whole.
_LEAST_SHARE = 0.02
# The spread, as a variance, that every cloud has at least: noise and compression.
_LEAST_SPREAD = 2e-4
# Squared distance from the line between the clouds, in their spread, at which belief is halved.
_OUTLYING = 9.0
# An edge is where the matte changes by so much between neighbours; wide ramps are none.
_EDGE = (0.1, 0.5)
# What colours say and the matte does not follow at all is coincidence: an outline of a third
# colour, a pattern. Doubt, as a variance, where the two differ as much as the matte varies.
_COINCIDENCE = 0.2
_VARIANCE_FLOOR = 0.01
_EDGE_SEEN = 0.05
# How far a matte errs is seen where colours are clear, as the variance of the difference beyond
# theirs. Averages of a true alpha show up to .01 (threads; other edges .003), a network's masks of
# fur, leaves and feathers .02 to .11.
_ERROR_FREE = 0.008
_ERROR_GAIN = 5.0
_MOST_DOUBT = 0.25
_CLEAR = 1 / 40
_CLEAR_EDGE = 0.3
# Pixels; keeps empty windows from dividing by 0.
_FEW = 1e-3


def follow_colours(matte: Tensor, image: Tensor, alpha: Tensor) -> None:
    """Move alpha to what the colours near every edge tell, as far as the matte is seen to err.

    matte: (h, w) alpha in 0..1, as it was drawn. image: (H, W, 3) in 0..1. alpha: (H, W), the matte
    at the picture's size, changed in place; all float32.
    """
    planes = to_planes(image[None])
    (height, width), (large_height, large_width) = matte.shape, alpha.shape
    half = (
        max(min(height, large_height) // _HALF, 1),
        max(min(width, large_width) // _HALF, 1),
    )
    small = [
        functional.interpolate(part, half, mode="bilinear", antialias=True)[0]
        for part in (matte[None, None], planes)
    ]
    lines = _all_lines(torch.cat(small))
    size = Enlargement(half, (large_height, large_width))
    for tile in all_tiles(*size.large, 2 * tile_side(matte.device.type)):
        below = lines[size.below(tile).window]
        if bool(below[4].any()):
            moved = _along(alpha[tile.window], size.tile(below, tile), planes[0][tile.window])
            alpha[tile.window] = moved


def _all_lines(planes: Tensor) -> Tensor:
    """Fit alpha = a . I + b near every edge of (4, h, w), matte and colours.

    Returns (5, h, w): a (three planes), b, and the weight of the line beside the matte's own alpha,
    whose weight is 1; 0 where there is no edge, and everywhere if the matte is as the colours say.
    """
    height, width = planes.shape[1:]
    lines = planes.new_zeros((5, height, width))
    apart, count = planes.new_zeros(()), planes.new_zeros(())
    for tile in all_tiles(height, width, tile_side(planes.device.type)):
        outer = tile.widened(_MARGIN, height, width)
        low, high = torch.aminmax(planes[0][tile.widened(_SURE_REACH + 1, height, width).window])
        if bool(high - low > _EDGE[0]):
            fitted, difference, clear = (
                part[tile.inside(outer)] for part in _lines(planes[outer.window])
            )
            lines[tile.window] = fitted
            apart, count = apart + (difference * clear).sum(), count + clear.sum()
    error = apart / count.clamp(min=1)
    lines[4] *= ((error - _ERROR_FREE) * _ERROR_GAIN).clamp(0, _MOST_DOUBT)
    return lines


def _along(alpha: Tensor, lines: Tensor, planes: Tensor) -> Tensor:
    """Move alpha (h, w) towards what the lines (5, h, w) make of the colours (3, h, w)."""
    red, green, blue, offset, weight = lines
    told = offset.addcmul(red, planes[0]).addcmul_(green, planes[1]).addcmul_(blue, planes[2])
    return torch.lerp(alpha, told.clamp_(0, 1), weight / (1 + weight))


def _lines(planes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit one tile of (4, h, w). Returns the lines (5, h, w), whose weight is still to be scaled;
    by how much the matte differs from them beyond their own doubt, as a variance; and where that
    is clear to see."""
    matte = planes[0]
    # Centred, so that variances do not drown in the rounding of float32.
    centre = planes[1:].mean(dim=(1, 2), keepdim=True)
    colours = planes[1:] - centre
    low, high = _extremes(matte)
    subject = torch.maximum(_step(low, *_SURE), _WEIGHT_ALONE * _step(matte, *_ALONE))
    rest = torch.maximum(_step(1 - high, *_SURE), _WEIGHT_ALONE * _step(1 - matte, *_ALONE))
    front, behind, spread, share = _clouds(colours, subject, rest)

    across = front - behind
    slope = _whitened(spread, across)
    distance = (across * slope).sum(0).clamp_(min=1e-4)
    slope = slope / distance
    offset = -(slope * behind).sum(0)
    told = (slope * colours).sum(0).add_(offset).clamp_(0, 1)

    beside = colours - behind - told * across
    outlying = (_whitened(spread, beside) * beside).sum(0)
    outlying = _mean(outlying[None], _OUTLIER_REACH)[0] / _OUTLYING
    edge = high - low
    doubt = (1 + outlying.square()) / (distance * share).clamp_(min=1e-6)
    difference = (told - matte).square() - doubt
    clear = (doubt < _CLEAR) & (edge > _CLEAR_EDGE)
    doubt = doubt + _COINCIDENCE * _mismatch(told, matte, edge)
    steady = _mean(
        torch.cat([slope, offset[None], torch.ones_like(doubt)[None]]) / doubt, _STEADY_REACH
    )
    slope, offset, belief = steady[:3] / steady[4], steady[3] / steady[4], steady[4]
    offset = offset - (slope * centre).sum(0)
    weight = _step(edge, *_EDGE) * belief
    return torch.cat([slope, offset[None], weight[None]]), difference, clear


def _clouds(
    colours: Tensor, subject: Tensor, rest: Tensor
) -> tuple[Tensor, Tensor, Symmetric, Tensor]:
    """Describe the two clouds of a window: their means (3, h, w), their common covariance, and how
    far the window holds enough of both, 0..1."""
    red, green, blue = colours
    squares = torch.stack(
        (red * red, red * green, red * blue, green * green, green * blue, blue * blue)
    )
    parts = [subject[None], colours * subject, rest[None], colours * rest]
    sums = window_sums(torch.cat([*parts, squares * (subject + rest)]), _RADIUS)
    subjects, rests = sums[0] + _FEW, sums[4] + _FEW
    front, behind = sums[1:4] / subjects, sums[5:8] / rests
    total = subjects + rests

    def covariance(plane: int, i: int, j: int) -> Tensor:
        between = subjects * front[i] * front[j] + rests * behind[i] * behind[j]
        return (sums[plane] - between) / total + (_LEAST_SPREAD if i == j else 0)

    spread = (
        covariance(8, 0, 0),
        covariance(9, 0, 1),
        covariance(10, 0, 2),
        covariance(11, 1, 1),
        covariance(12, 1, 2),
        covariance(13, 2, 2),
    )
    least = _LEAST_SHARE * (2 * _RADIUS + 1) ** 2
    share = torch.minimum(sums[0], sums[4]).div_(least).clamp_(0, 1)
    return front, behind, spread, share


def _whitened(spread: Symmetric, colours: Tensor) -> Tensor:
    """Multiply colours (3, h, w) by the inverse of their spread."""
    red, green, blue = colours
    return torch.stack(solved(spread, (red, green, blue), _LEAST_SPREAD))


def _mismatch(told: Tensor, matte: Tensor, edge: Tensor) -> Tensor:
    """Compare, around every pixel, how far colours and matte differ at edges to how much the matte
    varies there: the square of the ratio."""
    at = (edge > _EDGE_SEEN).to(matte)
    seen = matte * at
    planes = torch.stack([(told - matte).square() * at, matte * seen, seen, at])
    apart, squares, mean, count = window_sums(planes, _MATCH_REACH)
    count = count + _FEW
    varies = (squares / count - (mean / count).square()).clamp_(min=0) + _VARIANCE_FLOOR
    ratio: Tensor = apart / count / varies
    return ratio.square()


def _extremes(matte: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest alpha of every pixel and its neighbours."""
    size = 2 * _SURE_REACH + 1
    both = functional.max_pool2d(torch.stack([-matte, matte])[None], size, 1, _SURE_REACH)[0]
    return -both[0], both[1]


def _step(values: Tensor, low: float, high: float) -> Tensor:
    """Climb smoothly from 0 at `low` to 1 at `high`."""
    share = values.sub(low).div_(high - low).clamp_(0, 1)
    return share.square().mul_(share.mul(-2).add_(3))


def _mean(planes: Tensor, radius: int) -> Tensor:
    """Average over a square window of (n, h, w), as far as the picture goes."""
    sums = window_sums(torch.cat([planes, torch.ones_like(planes[:1])]), radius)
    return sums[:-1] / sums[-1]
