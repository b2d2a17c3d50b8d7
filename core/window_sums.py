"""Sums over square windows of planes, and the small linear systems that are made of them."""

from __future__ import annotations

from typing import TypeAlias

import torch.nn.functional as functional
from torch import Tensor

#: The six different planes of a symmetric 3 x 3 matrix: 00, 01, 02, 11, 12, 22.
Symmetric: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
Triple: TypeAlias = tuple[Tensor, Tensor, Tensor]


def solved(matrix: Symmetric, right: Triple, least: float) -> Triple:
    """Solve one 3 x 3 system for every pixel, by the adjugate.

    least: below every eigenvalue of the matrix; rounding may not bring the determinant under it.
    """
    rr, rg, rb, gg, gb, bb = matrix
    r, g, b = right
    i_rr, i_rg, i_rb = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    i_gg, i_gb, i_bb = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    determinant = (rr * i_rr + rg * i_rg + rb * i_rb).clamp(min=least**3)
    return (
        (i_rr * r + i_rg * g + i_rb * b) / determinant,
        (i_rg * r + i_gg * g + i_gb * b) / determinant,
        (i_rb * r + i_gb * g + i_bb * b) / determinant,
    )


def window_sums(planes: Tensor, radius: int) -> Tensor:
    """Sum over a square window, (n, h, w) -> (n, h, w); beyond the border lies 0."""
    padded = functional.pad(planes, (radius, radius, radius, radius))
    return _running_sums(_running_sums(padded, 1, 2 * radius + 1), 2, 2 * radius + 1)


def _running_sums(planes: Tensor, dim: int, length: int) -> Tensor:
    """Sum `length` neighbours along one axis, from sums of 1, 2, 4, ... neighbours.

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
