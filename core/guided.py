"""A matte brought to the picture's edges: a weighted colour guided filter that knows its doubts.

In a small window the matte is close to an affine function of colour, alpha = a . I + b (Levin,
Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting", 2008; He, Sun and Tang,
"Guided Image Filtering", 2013). The function is fitted at the matte's resolution and evaluated at
the picture's, as in He and Sun, "Fast Guided Filter", 2015. Two things differ from there. The fit
weighs a pixel by how sure the matte is of it, so that a soft matte does not make a flat function.
And what the fit leaves unexplained, by noise, compression or subject and backdrop of one colour,
decides by Wiener's rule how far the result may leave the plain upsampling.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor

from .layout import to_planes
from .tiles import all_tiles, tile_side

# In pixels of the matte; 5 is the middle of a flat optimum between soft mattes and fine texture.
_RADIUS = 5
# Keeps colours apart that differ by less than 2 levels, and single-colour windows solvable.
_RIDGE = 5e-5
_LEAST_WEIGHT = 0.03
_FLAT = 1 / 512
# In pixels of the picture: over this far, the step from plain to guided is compared to the doubt.
_STEP_RADIUS = 1
# How much the doubt counts in a picture without noise, and how much noise makes it count fully.
# 8-bit renderings measure below 0.15 levels, camera pictures above 0.3, even after compression.
_DOUBT_WHEN_CLEAN = 0.3
_DOUBT_WHEN_NOISY = 1.5
_FULL_DOUBT_NOISE = 0.35 / 255
_NOISE_BLOCK = 16
_CLIPPED = 0.02


def refine_edges(matte: Tensor, plain: Tensor, image: Tensor) -> Tensor:
    """The plainly upsampled matte, moved to the edges that the picture shows.

    matte: (h, w) alpha in 0..1 at its own size. plain: (H, W), the same matte at the picture's
    size, not smaller. image: (H, W, 3) in 0..1. All float32. Returns (H, W) alpha in 0..1.
    """
    planes = to_planes(image[None])
    height, width = plain.shape
    guide = functional.interpolate(planes, matte.shape, mode="bilinear", antialias=True)
    fit = _fit_where_needed(matte, guide[0])
    fit = functional.interpolate(fit[None], (height, width), mode="bilinear")[0]
    guided = fit[3].addcmul(fit[0], planes[0, 0])
    guided = guided.addcmul_(fit[1], planes[0, 1]).addcmul_(fit[2], planes[0, 2]).clamp_(0, 1)

    step = guided.sub_(plain)
    noise = estimate_noise(planes)
    noisiness = (noise / _FULL_DOUBT_NOISE).clamp(max=1)
    caution = _DOUBT_WHEN_CLEAN + (_DOUBT_WHEN_NOISY - _DOUBT_WHEN_CLEAN) * noisiness
    doubt = fit[4] * caution
    power = _window_sums(step.square()[None], _STEP_RADIUS)[0] / (2 * _STEP_RADIUS + 1) ** 2
    trust = (1 - doubt / (power + 1e-6)).clamp_(0, 1)
    return plain.addcmul(trust, step).clamp_(0, 1)


def estimate_noise(planes: Tensor) -> Tensor:
    """The standard deviation of the finest noise in a picture (1, 3, H, W), as a 0-d tensor.

    Immerkaer, "Fast Noise Variance Estimation", 1996, on the mean of the channels, as the lower
    quartile of blocks, so that texture does not count; blocks that are clipped to black or white
    show no noise and are left out. 0 for pictures smaller than a block.
    """
    grey = planes.mean(dim=1, keepdim=True)
    if min(grey.shape[-2:]) < _NOISE_BLOCK + 2:
        return grey.new_zeros(())
    across = grey[..., :-2] - 2 * grey[..., 1:-1] + grey[..., 2:]
    twice = across[..., :-2, :] - 2 * across[..., 1:-1, :] + across[..., 2:, :]
    blocks = functional.avg_pool2d(twice.abs(), _NOISE_BLOCK) * (math.sqrt(math.pi / 2) / 6)
    level = functional.avg_pool2d(grey[..., 1:-1, 1:-1], _NOISE_BLOCK)
    clipped = (level < _CLIPPED) | (level > 1 - _CLIPPED)
    return blocks.masked_fill(clipped, math.nan).nanquantile(0.25).nan_to_num(nan=0.0)


def _fit_where_needed(matte: Tensor, guide: Tensor) -> Tensor:
    """The local fits, (5, h, w): a (three planes), b, and the mean squared error.

    Where the matte is flat nothing is to be fitted: alpha is the matte's own, without doubt.
    """
    height, width = matte.shape
    fits = guide.new_zeros((5, height, width))
    fits[3] = matte
    # Centred colours keep the variances of the fit from drowning in the rounding of float32.
    centre = guide.mean(dim=(1, 2), keepdim=True)
    for tile in all_tiles(height, width, tile_side(matte.device.type)):
        outer = tile.widened(2 * _RADIUS, height, width)
        around = matte[outer.window]
        if bool(around.amax() - around.amin() < _FLAT):
            continue
        fit = _fit(around, guide[outer.window] - centre)
        fit[3] -= (fit[:3] * centre).sum(dim=0)
        fits[tile.window] = fit[tile.inside(outer)]
    return fits


def _fit(matte: Tensor, guide: Tensor) -> Tensor:
    """The fits of one tile; exact further than twice the radius from a cut inside the picture."""
    weight = (2 * matte - 1).square() + _LEAST_WEIGHT
    red, green, blue = guide
    terms = (
        weight,
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
    planes = torch.stack(terms)
    planes[1:] *= weight
    sums = _window_sums(planes, _RADIUS)
    total = sums[0]
    r, g, b, m, rr, rg, rb, gg, gb, bb, rm, gm, bm, mm = sums[1:] / total

    rr, rg, rb = rr - r * r + _RIDGE, rg - r * g, rb - r * b
    gg, gb, bb = gg - g * g + _RIDGE, gb - g * b, bb - b * b + _RIDGE
    rm, gm, bm = rm - r * m, gm - g * m, bm - b * m
    # The symmetric 3 x 3 system, solved by its adjugate.
    i_rr, i_rg, i_rb = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    i_gg, i_gb, i_bb = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    determinant = (rr * i_rr + rg * i_rg + rb * i_rb).clamp(min=_RIDGE**3)
    a_r = (i_rr * rm + i_rg * gm + i_rb * bm) / determinant
    a_g = (i_rg * rm + i_gg * gm + i_gb * bm) / determinant
    a_b = (i_rb * rm + i_gb * gm + i_bb * bm) / determinant
    offset = m - a_r * r - a_g * g - a_b * b
    error = (mm - m * m - a_r * rm - a_g * gm - a_b * bm).clamp(min=0)

    fits = torch.stack([a_r, a_g, a_b, offset, error])
    return _window_sums(fits * weight, _RADIUS) / total


def _window_sums(planes: Tensor, radius: int) -> Tensor:
    """Sums over a square window, (n, h, w) -> (n, h, w); beyond the border lies 0."""
    padded = functional.pad(planes, (radius, radius, radius, radius))
    return _running_sums(_running_sums(padded, 1, 2 * radius + 1), 2, 2 * radius + 1)


def _running_sums(planes: Tensor, dim: int, length: int) -> Tensor:
    """Sums of `length` neighbours along one axis, from sums of 1, 2, 4, ... neighbours.

    A third of the time of avg_pool2d on a processor, without the rounding of a cumulative sum.
    """
    results = planes.shape[dim] - length + 1
    powers, width = planes, 1
    total: Tensor | None = None
    done = 0
    while done < length:
        if length & width:
            part = powers.narrow(dim, done, results)
            total = part if total is None else total + part
            done += width
        if done < length:
            kept = powers.shape[dim] - width
            powers = powers.narrow(dim, 0, kept) + powers.narrow(dim, width, kept)
            width *= 2
    assert total is not None
    return total
