"""Deformable convolution, version 2, in pure torch (Zhu et al. 2019, arXiv:1811.11168, equation 1).

    y(p) = sum over the taps k of  w_k . x(p + p_k + offset_k(p)) . mask_k(p)

x at a fractional place is the bilinear mean of its four neighbours, with zeros outside the map. So
one tap is a weighted sum of four rows of the table "one row of channels per pixel", which is what
`embedding_bag` computes in one pass: no array of corners, and the mask is part of the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Sampled taps are held for a slice of the output at a time, where all taps of a 7 x 7 kernel would
# take hundreds of megabytes: on a CPU as many as the caches hold, elsewhere enough to fill a GPU.
_SLICE_BYTES = {"cpu": 8 << 20}
_SLICE_BYTES_ELSEWHERE = 128 << 20


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """Return the deformable convolution of x, differentiable in every argument.

    x: (B, C, H, W), any floating dtype. weight: (C', C, kh, kw). bias: (C',) or None.
    offset: (B, 2 kh kw, H', W') in pixels; for tap k = i kw + j, channel 2k moves it down and
    channel 2k + 1 to the right. mask: (B, kh kw, H', W') factors, or None for ones.
    Returns (B, C', H', W') in x's dtype. Places are computed in float32 (float64 for float64
    offsets): half precision cannot tell neighbouring pixels apart beyond 256.
    Raises ValueError when the shapes do not belong together.
    """
    kh, kw = int(weight.shape[2]), int(weight.shape[3])
    height, width = (
        (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel in zip(x.shape[2:], (kh, kw), strict=True)
    )
    batch, taps = x.shape[0], kh * kw
    if offset.shape != (batch, 2 * taps, height, width):
        raise ValueError(
            f"A {kh} x {kw} deformable convolution to {height} x {width} pixels needs offsets of "
            f"shape {(batch, 2 * taps, height, width)}, not {tuple(offset.shape)}."
        )
    if mask is not None and mask.shape != (batch, taps, height, width):
        raise ValueError(
            f"The mask of this deformable convolution must have the shape "
            f"{(batch, taps, height, width)}, not {tuple(mask.shape)}."
        )
    table = pixel_table(x)
    pixels = stride * grid(height, width, x.device) - padding  # (P, 2)
    steps = dilation * grid(kh, kw, x.device)  # (taps, 2)
    moves = offset.permute(0, 2, 3, 1).reshape(batch, -1, taps, 2)  # (B, P, taps, 2)
    factors = None if mask is None else mask.permute(0, 2, 3, 1).reshape(batch, -1, taps)
    matrix = weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)  # (C', taps C)
    pictures = []
    for item in range(batch):
        parts = []
        for part in slices(height * width, taps * x.shape[1] * x.element_size(), x.device):
            columns = sample_taps(
                table[item],
                (x.shape[2], x.shape[3]),
                pixels[part, None] + steps,
                moves[item, part],
                None if factors is None else factors[item, part],
            )
            parts.append(F.linear(columns, matrix, bias))  # (p, C')
        pictures.append(torch.cat(parts).view(height, width, -1))
    return torch.stack(pictures).permute(0, 3, 1, 2)  # (B, C', H', W'), channels last in memory


def pixel_table(x: Tensor) -> Tensor:
    """Turn (B, C, H, W) into (B, (H + 2)(W + 2), C): a row per pixel, and a frame of zero rows."""
    return F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1])


def grid(height: int, width: int, device: torch.device) -> Tensor:
    """Return the places of a map, row by row: (height * width, 2), y first."""
    y, x = torch.arange(height, device=device), torch.arange(width, device=device)
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).view(-1, 2)


def slices(positions: int, bytes_each: int, device: torch.device) -> list[slice]:
    """Cut the output into slices whose sampled taps stay small; one slice when gradients are
    recorded, since every slice adds a gradient of the whole table."""
    most = _SLICE_BYTES.get(device.type, _SLICE_BYTES_ELSEWHERE)
    step = max(64, most // bytes_each // 64 * 64)
    if torch.is_grad_enabled() or positions <= step:
        return [slice(0, positions)]
    return [slice(first, first + step) for first in range(0, positions, step)]


def sample_taps(
    table: Tensor, size: tuple[int, int], origins: Tensor, moves: Tensor, factors: Tensor | None
) -> Tensor:
    """Sample the map at origins + moves, times the factors: (p, taps C).

    table: ((H + 2)(W + 2), C) of `pixel_table`. size: (H, W). origins, moves: (p, taps, 2).
    factors: (p, taps) or None. Beyond one pixel outside the map every place reads zeros, so a
    place may be clamped there; so may the index of a place that is not a number, whose weights
    then carry the NaN on.
    """
    place = wide(moves) + origins
    height, width = size
    top, above, below = _neighbours(place[..., 0], height)
    left, before, behind = _neighbours(place[..., 1], width)
    stride = width + 2
    first = (top + 1) * stride + (left + 1)
    rows = torch.stack((first, first + 1, first + stride, first + stride + 1), dim=-1)
    if factors is not None:
        above, below = above * factors, below * factors
    shares = (above * before, above * behind, below * before, below * behind)
    weights = torch.stack(shares, dim=-1).to(table.dtype)
    return weighted_rows(table, rows.view(-1, 4), weights.view(-1, 4)).view(len(moves), -1)


def _neighbours(place: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return, along one axis, the index of the first of the two neighbours (-1 .. size - 1), the
    weight of the first, and the weight of the second."""
    place = place.clamp(-1, size)
    first = place.detach().floor().to(torch.int64).clamp(-1, size - 1)
    second = place - first
    return first, 1 - second, second


def weighted_rows(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Sum weights[n, j] * table[rows[n, j]] over j: (N, C), from rows and weights (N, J)."""
    if table.device.type in ("cpu", "cuda"):
        return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
    return gathered_rows(table, rows, weights)


def gathered_rows(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Compute `weighted_rows` out of operations that every device and exporter has."""
    total = table.index_select(0, rows[:, 0]) * weights[:, :1]
    for j in range(1, rows.shape[1]):
        total = total + table.index_select(0, rows[:, j]) * weights[:, j : j + 1]
    return total


def wide(x: Tensor) -> Tensor:
    """Return x in float32, or in float64 if that is what it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class DeformableConv2d(nn.Module):
    """A deformable convolution that computes its own offsets and its mask, 2 sigmoid(...), from x.

    Odd kernel, stride 1, padding kernel // 2: the map keeps its size.
    """

    def __init__(self, channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        taps, half = kernel * kernel, kernel // 2
        self.offset_conv = nn.Conv2d(channels, 2 * taps, kernel, padding=half)
        self.modulator_conv = nn.Conv2d(channels, taps, kernel, padding=half)
        self.regular_conv = nn.Conv2d(channels, out_channels, kernel, padding=half, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return deform_conv2d(
            x,
            self.offset_conv(x),
            self.regular_conv.weight,
            mask=2 * wide(self.modulator_conv(x)).sigmoid(),
            padding=self.kernel // 2,
        )  # (B, out_channels, H, W)
