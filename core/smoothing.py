"""Gaussian blur of masks, and any local filter over large ones, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

TILE_HEIGHT = 128
TILE_WIDTH = 512
REACH = 3.0  # a Gaussian ends at this many sigmas: 99.7 % of its weight


def filter_locally(mask: Tensor, halo: tuple[int, int], work: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply `work` to every tile of `mask`, with `halo` = (rows, columns) of context around it.

    A filter made of hundreds of whole-picture passes waits for memory; over a tile that fits the
    second-level cache they are several times faster. A GPU gets the picture in one piece.

    mask: (B, H, W) float32 on any device; its edges are replicated to make the halo.
    work: (1, h + 2 rows, w + 2 columns) -> (1, h, w). It must keep constants, because a tile
        whose surroundings hold one value is copied: most of a mask is plain 0 or plain 1.
    Returns (B, H, W) float32, a new tensor.
    """
    rows, columns = halo
    edges = (columns, columns, rows, rows)
    padded = functional.pad(mask.detach()[:, None], edges, mode="replicate")[:, 0]
    result = torch.empty(mask.shape, dtype=mask.dtype, device=mask.device)
    height, width = mask.shape[1:]
    on_cpu = mask.device.type == "cpu"
    tile_height, tile_width = (TILE_HEIGHT, TILE_WIDTH) if on_cpu else (height, width)
    for index in range(len(mask)):
        source, target = padded[index : index + 1], result[index : index + 1]
        for top in range(0, height, tile_height):
            bottom = min(top + tile_height, height)
            for left in range(0, width, tile_width):
                right = min(left + tile_width, width)
                window = source[:, top : bottom + 2 * rows, left : right + 2 * columns]
                low, high = torch.aminmax(window)
                tile = target[:, top:bottom, left:right]
                tile.copy_(low if bool(low == high) else work(window))
    return result


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
    """Return the weights at distance 0, 1, 2, ...; those on both sides add up to 1."""
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
