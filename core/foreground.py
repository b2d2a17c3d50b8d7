"""The subject's own colour in the edge, so that a cut-out carries nothing of its old background.

An edge pixel shows I = alpha F + (1 - alpha) B. F and B are found together, from coarse to fine,
as the smoothest pair that explains the picture: Germer, Uelwer, Conrad and Harmeling, "Fast
Multi-Level Foreground Estimation", ICPR 2020. Two things are ours. The difference that neither
colour explains is shared by how much fine detail the subject and the clear parts of this picture
show, so that a textured background seen through glass is not taken for the glass. And at fine
levels only tiles with an edge in them are worked on.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from .checks import check_image, check_share, check_values, common_batch
from .errors import BadPicture
from .layout import to_pixels, to_planes
from .tiles import busy_tiles, tile_side

# How much F and B are held to their neighbours where the matte is flat, and more where it changes.
_STIFFNESS = 1e-3
_STIFFNESS_AT_EDGES = 0.1
_SWEEPS = 4
_SWEEPS_WHEN_SMALL = 20
_SMALL = 128
_SWEEPS_AT_COARSEST = 100
_COARSEST = 32
# Finer levels take over the share of detail measured here: the statistics no longer change.
_FINEST_MEASURED = 512
_MOST_DETAIL_RATIO = 16.0
_PAIRS_NEEDED = 20
_SAME_ALPHA = 0.01
_LEAST_SUBJECT = 0.1
_DETAIL_OF_8_BITS = 2e-5
# Half a level of 8 bits: nearer to 0 or 1 than this, a matte leaves nothing visible to separate.
_SOLID = 1 / 512


def estimate_foreground(image: Tensor, alpha: Tensor, *, amount: float = 1.0) -> Tensor:
    """The colour of the subject alone, to be stored as straight RGB beside the same alpha.

    image: (B, H, W, C) with C = 1, 3 or 4, sRGB in 0..1; a fourth channel is not looked at.
    alpha: (B, H, W) in 0..1, 1 = subject, on the image's device. Batches of 1 and N go together.
    amount: 0..1, how far colours move from the picture's to the estimate where 0 < alpha < 1.

    Returns (B, H, W, 3) in the image's dtype. Where alpha is 1, or nearer than half an 8-bit
    level, the picture's own colour comes back bit for bit. Where alpha is 0 the subject's colour is
    extended, whatever the amount: the old background is never returned there. A picture without a
    subject (alpha 0 everywhere) is 0. Estimates are computed in float32, as if colours lay in 0..1.

    Raises BadOption for an amount outside 0..1 and batches that do not pair up, BadPicture for
    other shapes and for values that are not finite.
    """
    check_share(amount, "amount of decontamination")
    check_image(image, "image")
    check_values(alpha, "alpha")
    if alpha.ndim != 3 or alpha.shape[1:] != image.shape[1:3]:
        raise BadPicture(
            f"The alpha has the shape {tuple(alpha.shape)} and the image {tuple(image.shape)}. "
            "Give (batch, height, width) of the image's size; upsample_mask makes it."
        )
    batch = common_batch({"image": image.shape[0], "alpha": alpha.shape[0]})
    colour = image.detach()[..., :3].expand(batch, -1, -1, 3)
    matte = alpha.detach().expand(batch, -1, -1).float().clamp(0, 1)

    planes = to_planes(colour).float().clamp(0, 1).contiguous()
    estimate = to_pixels(_multi_level(planes, matte.unsqueeze(1))).to(image.dtype)

    if amount < 1:
        in_edge = (matte > 0).unsqueeze(-1)
        estimate = torch.where(in_edge, torch.lerp(colour, estimate, amount), estimate)
    has_subject = matte.flatten(1).amax(dim=1).gt(0).view(-1, 1, 1, 1)
    estimate = estimate * has_subject
    return torch.where((matte > 1 - _SOLID).unsqueeze(-1), colour, estimate)


def _multi_level(image: Tensor, alpha: Tensor) -> Tensor:
    """F, (B, 3, H, W), for an image of that shape and an alpha (B, 1, H, W).

    F and B travel as the first and the last three of six planes.
    """
    levels = [(image, alpha)]
    while max(levels[-1][1].shape[-2:]) > _COARSEST:
        picture, matte = levels[-1]
        levels.append((picture[..., ::2, ::2], matte[..., ::2, ::2]))

    picture, matte = levels.pop()
    share = _foreground_share(picture, matte)
    height, width = matte.shape[-2:]
    both = _constant_colours(image, alpha).expand(-1, -1, height, width)
    both = _relaxed(picture, matte, both, share, _SWEEPS_AT_COARSEST)

    busy = ((alpha > _SOLID) & (alpha < 1 - _SOLID)).float()
    side = tile_side(image.device.type)
    while levels:
        picture, matte = levels.pop()
        height, width = matte.shape[-2:]
        if max(height, width) <= _FINEST_MEASURED:
            share = _foreground_share(picture, matte)
        if max(height, width) <= side:
            guess = _doubled(both)[..., :height, :width]
            sweeps = _SWEEPS_WHEN_SMALL if max(height, width) <= _SMALL else _SWEEPS
            both = _relaxed(picture, matte, guess, share, sweeps)
        else:
            wanted = both if levels else both[:, :3]
            finer = functional.interpolate(wanted, scale_factor=2.0, mode="bilinear")
            finer = finer[..., :height, :width]
            busy_here = functional.max_pool2d(busy, 2 ** len(levels), ceil_mode=True) > 0
            _relax_tiles(finer, picture, matte, both, share, busy_here[:, 0], side)
            both = finer
    return both[:, :3]


def _relax_tiles(
    finer: Tensor,
    picture: Tensor,
    matte: Tensor,
    coarser: Tensor,
    share: Tensor,
    busy: Tensor,
    side: int,
) -> None:
    """Work out the busy tiles of one level, and write them into `finer`.

    The margin makes a tile's own pixels come out as if the whole level had been worked on: what
    one sweep knows travels one pixel. An even margin keeps pixels beside their coarser parents.
    """
    height, width = matte.shape[-2:]
    for number in range(matte.shape[0]):
        one = slice(number, number + 1)
        for tile in busy_tiles(busy[number], side):
            outer = tile.widened(_SWEEPS, height, width)
            guess = _doubled(coarser[one][outer.halved().window])
            guess = guess[..., : outer.bottom - outer.top, : outer.right - outer.left]
            window = outer.window
            solved = _relaxed(picture[one][window], matte[one][window], guess, share[one], _SWEEPS)
            finer[one][tile.window] = solved[:, : finer.shape[1]][tile.inside(outer)]


def _doubled(planes: Tensor) -> Tensor:
    return functional.interpolate(planes, scale_factor=2.0, mode="nearest")


def _relaxed(picture: Tensor, matte: Tensor, both: Tensor, share: Tensor, sweeps: int) -> Tensor:
    """Jacobi sweeps on one level: (b, 6, h, w) from a guess of that shape.

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
    """Left, right, upper and lower neighbour of every pixel inside a border of one pixel."""
    inner = slice(1, -1)
    return wide[..., inner, :-2], wide[..., inner, 2:], wide[..., :-2, inner], wide[..., 2:, inner]


def _replicate_border(wide: Tensor) -> None:
    wide[..., 0].copy_(wide[..., 1])
    wide[..., -1].copy_(wide[..., -2])
    wide[..., 0, :].copy_(wide[..., 1, :])
    wide[..., -1, :].copy_(wide[..., -2, :])


def _foreground_share(picture: Tensor, matte: Tensor) -> Tensor:
    """How much looser F is than B, (B, 1, 1, 1): above 1 where the subject is the more textured.

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


def _constant_colours(image: Tensor, alpha: Tensor) -> Tensor:
    """The one F and the one B, (B, 6, 1, 1), that explain the whole picture best.

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
