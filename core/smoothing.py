"""Gaussian blur of masks."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from .local_filter import filter_locally

REACH = 3.0  # the kernel ends at this many sigmas: 99.7 % of its weight


def gaussian_blur(mask: Tensor, sigma: float) -> Tensor:
    """Blur `mask` with a Gaussian of `sigma` pixels; the picture's edges are replicated.

    mask: (B, H, W) float32 in 0..1. sigma: more than 0. Returns the same shape, in 0..1; plain 0
    and plain 1 stay exact, so that what was opaque beyond the kernel's reach stays opaque.
    Sums of shifted tiles instead of a convolution: faster on a CPU for one channel, and never
    rounded to TF32 on a GPU.
    """
    weights = _half_kernel(sigma)
    reach = len(weights) - 1
    for dimension, halo in ((1, (reach, 0)), (2, (0, reach))):
        mask = filter_locally(mask, halo, partial(_blur, weights=weights, dimension=dimension))
    # The weights add up to 1 only within rounding.
    near = 1e-6
    return torch.where(mask > 1 - near, 1.0, torch.where(mask < near, 0.0, mask))


def _half_kernel(sigma: float) -> list[float]:
    """The weights at distance 0, 1, 2, ...; those on both sides add up to 1."""
    reach = max(1, math.ceil(REACH * sigma))
    bell = [math.exp(-0.5 * (distance / sigma) ** 2) for distance in range(reach + 1)]
    total = bell[0] + 2 * sum(bell[1:])
    return [weight / total for weight in bell]


def _blur(window: Tensor, weights: list[float], dimension: int) -> Tensor:
    reach = len(weights) - 1
    length = window.shape[dimension] - 2 * reach
    result = window.narrow(dimension, reach, length) * weights[0]
    pair = torch.empty_like(result)
    for distance, weight in enumerate(weights[1:], start=1):
        before = window.narrow(dimension, reach - distance, length)
        after = window.narrow(dimension, reach + distance, length)
        torch.add(before, after, out=pair)
        result.add_(pair, alpha=weight)
    return result
