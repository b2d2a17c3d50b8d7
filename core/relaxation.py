"""The mathematics of two colours in one picture, I = alpha F + (1 - alpha) B, on a single level.

Germer, Uelwer, Conrad and Harmeling, "Fast Multi-Level Foreground Estimation", ICPR 2020: the
smoothest F and B that explain the picture. What neither explains is shared by their detail.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

# How much F and B are held to their neighbours where the matte is flat, and more where it changes.
_STIFFNESS = 1e-3
_STIFFNESS_AT_EDGES = 0.1
_MOST_DETAIL_RATIO = 16.0
_PAIRS_NEEDED = 20
_SAME_ALPHA = 0.01
_LEAST_SUBJECT = 0.1
_DETAIL_OF_8_BITS = 2e-5


def relaxed(picture: Tensor, matte: Tensor, both: Tensor, share: Tensor, sweeps: int) -> Tensor:
    """Sweep one level by Jacobi: (b, 6, h, w) from a guess of that shape.

    Per pixel and sweep, F and B minimise |alpha F + (1 - alpha) B - I|^2 plus their weighted
    squared distance to the means of their four neighbours, the cost of the paper. With one residual
    for both colours the two unknowns have the closed form below.
    """
    weights = [
        _STIFFNESS + _STIFFNESS_AT_EDGES * (neighbour - matte).abs()
        for neighbour in _neighbours(functional.pad(matte, (1, 1, 1, 1), mode="replicate"))
    ]
    total = weights[0] + weights[1] + weights[2] + weights[3]
    weights = [weight / total for weight in weights]

    rest = 1 - matte
    to_foreground, to_background = matte * share, rest / share
    scale = 1 / (total + matte * to_foreground + rest * to_background)
    to_foreground, to_background = to_foreground * scale, to_background * scale

    picture, matte = picture.contiguous(), matte.contiguous()
    # Two sets of planes are written over and over: fresh ones for every step cost twice the time.
    wide = functional.pad(both, (1, 1, 1, 1), mode="replicate")
    means = torch.empty_like(both)
    unexplained = torch.empty_like(picture)
    foreground, background = means[:, :3], means[:, 3:]
    for _ in range(sweeps):
        left, right, upper, lower = _neighbours(wide)
        torch.mul(weights[0], left, out=means)
        means.addcmul_(weights[1], right)
        means.addcmul_(weights[2], upper)
        means.addcmul_(weights[3], lower)
        torch.addcmul(picture, matte, foreground, value=-1, out=unexplained)
        unexplained.addcmul_(rest, background, value=-1)
        foreground.addcmul_(to_foreground, unexplained)
        background.addcmul_(to_background, unexplained)
        torch.clamp(means, 0, 1, out=wide[..., 1:-1, 1:-1])
        _replicate_border(wide)
    return wide[..., 1:-1, 1:-1]


def _neighbours(wide: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the left, right, upper and lower neighbour of every pixel but the border's."""
    inner = slice(1, -1)
    return wide[..., inner, :-2], wide[..., inner, 2:], wide[..., :-2, inner], wide[..., 2:, inner]


def _replicate_border(wide: Tensor) -> None:
    wide[..., 0].copy_(wide[..., 1])
    wide[..., -1].copy_(wide[..., -2])
    wide[..., 0, :].copy_(wide[..., 1, :])
    wide[..., -1, :].copy_(wide[..., -2, :])


def foreground_share(picture: Tensor, matte: Tensor) -> Tensor:
    """Tell how much looser F is than B, (B, 1, 1, 1): above 1 where the subject has more texture.

    The best linear estimate of two signals from their sum splits it by their variances. These come
    from squared differences of horizontal neighbours with one alpha, whose expected value is
    alpha^2 V_F + (1 - alpha)^2 V_B: first V_B where alpha is 0, then V_F by least squares in the
    subject. 1 when either is not to be seen.
    """
    difference = (picture[..., 1:] - picture[..., :-1]).square().mean(dim=1, keepdim=True)
    alpha = matte[..., 1:]
    flat = (alpha - matte[..., :-1]).abs() < _SAME_ALPHA

    def total(values: Tensor) -> Tensor:
        return values.sum(dim=(2, 3), keepdim=True)

    clear = (flat & (alpha < _SAME_ALPHA)).float()
    clear_pairs = total(clear)
    of_background = total(difference * clear) / clear_pairs.clamp(min=1)
    weight = alpha.square() * (flat & (alpha > _LEAST_SUBJECT))
    subject_pairs = total(weight.square())
    of_subject = total(weight * (difference - (1 - alpha).square() * of_background))
    of_subject = (of_subject / subject_pairs.clamp(min=1)).clamp(min=0)

    known = (subject_pairs > _PAIRS_NEEDED) & (clear_pairs > _PAIRS_NEEDED)
    ratio = (of_subject + _DETAIL_OF_8_BITS) / (of_background + _DETAIL_OF_8_BITS)
    ratio = ratio.clamp(1 / _MOST_DETAIL_RATIO, _MOST_DETAIL_RATIO).sqrt()
    return torch.where(known, ratio, torch.ones_like(ratio))


def constant_colours(image: Tensor, alpha: Tensor) -> Tensor:
    """Return the one F and the one B, (B, 6, 1, 1), that explain the whole picture best.

    Least squares with a slight pull to the mean colour, which decides when alpha never changes.
    """

    def mean(values: Tensor) -> Tensor:
        return values.mean(dim=(2, 3), keepdim=True)

    pull = 1e-2
    rest = 1 - alpha
    ff, fb, bb = mean(alpha * alpha) + pull, mean(alpha * rest), mean(rest * rest) + pull
    average = mean(image)
    fi, bi = mean(alpha * image) + pull * average, mean(rest * image) + pull * average
    determinant = ff * bb - fb * fb
    foreground = (bb * fi - fb * bi) / determinant
    background = (ff * bi - fb * fi) / determinant
    return torch.cat([foreground, background], 1).clamp(0, 1)
