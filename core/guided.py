"""A matte brought to the picture's edges: a colour guided filter that knows blur, noise and doubt.

In a small window the matte is close to an affine function of colour, alpha = a . I + b (Levin,
Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting", 2008; He, Sun and Tang,
"Guided Image Filtering", 2013). The function is fitted at the matte's resolution and evaluated at
the picture's, as in He and Sun, "Fast Guided Filter", 2015. Two things differ from there.

The fit sees the picture as softly as the matte was drawn. A matte blurred by G is not alpha but
G alpha, and where a and b are steady G alpha = a . G I + b: fitted to the blurred picture they
are those of the sharp one, and evaluated there they undo the blur. How wide G is, the picture
tells: at the right width the fit leaves least unexplained.

And what the fit leaves unexplained, by noise, compression or subject and backdrop of one colour,
decides by Wiener's rule how far the result may leave the plain upsampling. A fit that explains
little of the matte is coincidence, and counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from .layout import to_planes
from .smoothing import gaussian_blur
from .tiles import Enlargement, Tile, all_tiles, tile_side
from .window_sums import solved, window_sums

# In pixels of the matte. Larger windows average more noise and follow fewer colours; blur leaves
# fewer independent pixels in a window, so that it must grow for as many.
_RADIUS = 3
_RADIUS_PER_SOFTNESS = 2
# Keeps colours apart that differ by less than 2 levels, and single-colour windows solvable.
_RIDGE = 5e-5
_FLAT = 1 / 512
# In pixels of the picture: over this far, the step from plain to guided is compared to the doubt.
_STEP_RADIUS = 2
# The fit's error at the picture's resolution, as a multiple of what it leaves unexplained at the
# matte's: measured on scenes with known alpha, in clean pictures and in compressed camera pictures.
_DOUBT_WHEN_CLEAN = 0.35
_DOUBT_WHEN_NOISY = 2.5
# How much the doubt grows with the square of the share that is left unexplained.
_DOUBT_OF_COINCIDENCE = 8.0
# 8-bit renderings measure below 0.15 levels, camera pictures above 0.3, even after compression.
_CLEAN, _NOISY = 0.15 / 255, 0.35 / 255
_NOISE_BLOCK = 16
_NOISE_BLOCKS = 8192  # in a picture with more, rows of blocks are skipped
_CLIPPED = 0.02
# The widths of blur that are tried, as sigma in pixels of the matte, on a few parts of the picture.
_SOFTNESS_STEP = 0.5
_SOFTNESS_STEPS = 6
_SOFTNESS_RADIUS = 5
# Noise that a wider blur would average out makes the softness come out too small.
_SOFTNESS_HIDDEN = 0.25
_SAMPLE_SIDE = 128
_SAMPLES = 6
_EDGE_STEP = 0.02


def refine_edges(matte: Tensor, plain: Tensor, image: Tensor, out: Tensor) -> None:
    """Move the plainly upsampled matte to the edges that the picture shows.

    matte: (h, w) alpha in 0..1 at its own size. plain: (H, W), the same matte at the picture's
    size, not smaller. image: (H, W, 3) in 0..1. All float32. out: (H, W), where the result goes,
    alpha in 0..1.
    """
    planes = to_planes(image[None])
    (height, width), (large_height, large_width) = matte.shape, plain.shape
    size = Enlargement((height, width), (large_height, large_width))
    guide = functional.interpolate(planes, size.small, mode="bilinear", antialias=True)[0]
    noisiness = ((estimate_noise(planes) - _CLEAN) / (_NOISY - _CLEAN)).clamp(0, 1)
    softness = estimate_softness(matte, guide) * float(1 + _SOFTNESS_HIDDEN * noisiness)
    if softness > 0:
        guide = gaussian_blur(guide, softness)
    radius = round(_RADIUS + _RADIUS_PER_SOFTNESS * softness)
    doubtful = _DOUBT_WHEN_CLEAN + (_DOUBT_WHEN_NOISY - _DOUBT_WHEN_CLEAN) * noisiness
    # Centred colours keep the variances of the fit from drowning in the rounding of float32.
    centre = guide.mean(dim=(1, 2), keepdim=True)
    guide = guide - centre

    # Twice the usual side, because the margins of a fit are wide.
    for tile in all_tiles(*size.large, 2 * tile_side(matte.device.type)):
        outer = tile.widened(_STEP_RADIUS, *size.large)
        below = size.below(outer)
        around = below.widened(2 * radius, *size.small)
        low, high = torch.aminmax(matte[around.window])
        if bool(high - low < _FLAT):  # nothing is to be fitted: alpha is the matte's own
            out[tile.window] = size.tile(matte[size.below(tile).window], tile)
            continue
        fit = _fit(matte[around.window], guide[around.window], radius)[below.inside(around)]
        fit = size.tile(_with_doubt(fit, doubtful), outer)
        moved = _moved(fit, plain[outer.window], planes[0][outer.window] - centre)
        out[tile.window] = moved[tile.inside(outer)]


def _with_doubt(fit: Tensor, doubtful: Tensor) -> Tensor:
    """Return a fit's model and how far it is to be doubted, (5, h, w), from (6, h, w) of `_fit`."""
    error, variance = fit[4], fit[5]
    doubt = error * (1 + _DOUBT_OF_COINCIDENCE * (error / (variance + 1e-4)).square())
    return torch.cat([fit[:4], (doubt * doubtful)[None]])


def _moved(fit: Tensor, plain: Tensor, planes: Tensor) -> Tensor:
    """Move the plain matte to the fitted one as far as the step is beyond doubt."""
    red, green, blue, offset, doubt = fit
    guided = offset.addcmul(red, planes[0]).addcmul_(green, planes[1]).addcmul_(blue, planes[2])
    step = guided.clamp_(0, 1).sub_(plain)
    power = window_sums(step.square()[None], _STEP_RADIUS)[0] / (2 * _STEP_RADIUS + 1) ** 2
    trust = (1 - doubt / (power + 1e-6)).clamp_(0, 1)
    return plain.addcmul(trust, step).clamp_(0, 1)


def estimate_softness(matte: Tensor, guide: Tensor) -> float:
    """Tell how softly a matte was drawn: the sigma, in its pixels, of the Gaussian by which the
    picture must be blurred so that the matte follows best from its colours.

    matte: (h, w) alpha in 0..1. guide: (3, h, w), the picture at this size. Returns 0 for a matte
    as sharp as its size permits and for one without edges, at most 2.5.
    """
    height, width = matte.shape
    total, count = window_sums(torch.stack([matte, torch.ones_like(matte)]), _SOFTNESS_RADIUS)
    edges = ((matte - total / count).abs() > _EDGE_STEP).float()
    unexplained = [0.0] * _SOFTNESS_STEPS
    for tile in _most_edges(edges):
        outer = tile.widened(2 * _SOFTNESS_RADIUS, height, width)
        for number in range(_SOFTNESS_STEPS):
            seen = guide[outer.window]
            if number > 0:
                seen = gaussian_blur(seen, number * _SOFTNESS_STEP)
            seen = seen - seen.mean(dim=(1, 2), keepdim=True)
            error = _fit(matte[outer.window], seen, _SOFTNESS_RADIUS, part=slice(4, 5))[0]
            unexplained[number] += float((error * edges[outer.window]).sum())
    return _lowest(unexplained) * _SOFTNESS_STEP


def _lowest(values: Sequence[float]) -> float:
    """Find where a curve given at 0, 1, 2, ... is lowest, between the places too: by the parabola
    through the logarithms around its least value."""
    best = values.index(min(values))
    middle = min(max(best, 1), len(values) - 2)
    before, here, after = (math.log(max(value, 1e-12)) for value in values[middle - 1 : middle + 2])
    bend = before - 2 * here + after
    if bend <= 0:
        return best
    return min(max(middle + (before - after) / (2 * bend), 0), len(values) - 1)


def _most_edges(edges: Tensor) -> list[Tile]:
    """Return the few tiles with the most pixels in `edges` (h, w), of those with any."""
    counts = functional.avg_pool2d(
        edges[None, None], _SAMPLE_SIDE, ceil_mode=True, divisor_override=1
    )
    height, width = edges.shape
    tiles = all_tiles(height, width, _SAMPLE_SIDE)
    ranked = sorted(zip(counts.flatten().tolist(), tiles, strict=True), key=lambda pair: -pair[0])
    return [tile for count, tile in ranked[:_SAMPLES] if count > 0]


def estimate_noise(planes: Tensor) -> Tensor:
    """Return the standard deviation of the finest noise in a picture (1, 3, H, W), as a 0-d tensor.

    Immerkaer, "Fast Noise Variance Estimation", 1996, on the mean of the channels, as the lower
    quartile of blocks, so that texture does not count; blocks that are clipped to black or white
    show no noise and are left out. 0 for pictures smaller than a block.
    """
    side = _NOISE_BLOCK + 2
    height, width = planes.shape[-2:]
    if min(height, width) < side:
        return planes.new_zeros(())
    step = max(height * width // (_NOISE_BLOCK**2 * _NOISE_BLOCKS), 1)
    # Rows of blocks with the pixels around them, each lying on its side: (rows, 1, W, 18).
    grey = planes[0].unfold(1, side, step * _NOISE_BLOCK).mean(dim=0)[:, None]
    across = grey[..., :-2, :] - 2 * grey[..., 1:-1, :] + grey[..., 2:, :]
    twice = across[..., :-2] - 2 * across[..., 1:-1] + across[..., 2:]
    blocks = functional.avg_pool2d(twice.abs(), _NOISE_BLOCK) * (math.sqrt(math.pi / 2) / 6)
    level = functional.avg_pool2d(grey[..., 1:-1, 1:-1], _NOISE_BLOCK)
    clipped = (level < _CLIPPED) | (level > 1 - _CLIPPED)
    return blocks.masked_fill(clipped, math.nan).nanquantile(0.25).nan_to_num(nan=0.0)


def _fit(matte: Tensor, guide: Tensor, radius: int, part: slice = slice(None)) -> Tensor:
    """Return the local fits of one tile, (6, h, w), or `part` of them: a (three planes), b, the
    mean squared error, and the variance of the matte, which is the error of no fit at all.

    Exact further than twice the radius from a cut inside the picture.
    """
    red, green, blue = guide
    terms = (
        torch.ones_like(matte),
        red,
        green,
        blue,
        matte,
        red * red,
        red * green,
        red * blue,
        green * green,
        green * blue,
        blue * blue,
        red * matte,
        green * matte,
        blue * matte,
        matte * matte,
    )
    sums = window_sums(torch.stack(terms), radius)
    total = sums[0]
    r, g, b, m, rr, rg, rb, gg, gb, bb, rm, gm, bm, mm = sums[1:] / total

    rr, rg, rb = rr - r * r + _RIDGE, rg - r * g, rb - r * b
    gg, gb, bb = gg - g * g + _RIDGE, gb - g * b, bb - b * b + _RIDGE
    rm, gm, bm = rm - r * m, gm - g * m, bm - b * m
    (a_r, a_g, a_b) = solved((rr, rg, rb, gg, gb, bb), (rm, gm, bm), _RIDGE)
    offset = m - a_r * r - a_g * g - a_b * b
    error = (mm - m * m - a_r * rm - a_g * gm - a_b * bm).clamp(min=0)

    fits = torch.stack([a_r, a_g, a_b, offset, error, mm - m * m])
    return window_sums(fits[part], radius) / total
