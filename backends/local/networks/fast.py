"""The layers of an inference copy: the same numbers up to rounding, with less work and memory.

None of them can be trained: they write into their inputs, or hold products of weights. `fuse.py`
puts them in place of the layers of the trainable networks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .birefnet import Encoded, LateralBlock, PatchBlock, resized
from .deform_conv import grid, pixel_table, sample_taps, slices, wide
from .swin import Block
from .windows import Band

# Rows of a `ConvolvedLinear` are laid out as small pictures, at least this many of them: torch
# gives such batches to oneDNN, and a single large picture to the matrix product again.
_PICTURE = (2, 8)
_FEWEST_PICTURES = 24


class ConvolvedLinear(nn.Linear):
    """A linear layer that a CPU computes as a 1 x 1 convolution.

    torch leaves float32 matrix products to MKL and convolutions to oneDNN; on processors that MKL
    does not know well, the latter is twice as fast.
    """

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute F.linear(x, weight, bias), on a CPU as a convolution where the rows allow it."""
    rows, pixels = x.numel() // x.shape[-1], _PICTURE[0] * _PICTURE[1]
    if not x.is_cpu or rows % pixels or rows < _FEWEST_PICTURES * pixels:
        return F.linear(x, weight, bias)
    pictures = x.reshape(-1, *_PICTURE, x.shape[-1]).permute(0, 3, 1, 2)
    y = F.conv2d(pictures, weight[:, :, None, None], bias)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


class StreamedBlock(nn.Module):
    """A Swin block that overwrites its tokens, a band of windows at a time, so that everything in
    between is small: it stays in a CPU's caches, and in memory that is used again at once.
    """

    def __init__(self, block: Block, chunk: int) -> None:
        super().__init__()
        self.norm1, self.attn = block.norm1, block.attn
        self.norm2, self.mlp = block.norm2, StreamedMlp(block.mlp.fc1, block.mlp.fc2)
        self.chunk = chunk

    def forward(self, tokens: Tensor, bands: list[Band]) -> Tensor:
        for band in bands:  # a window reads no token of another band
            part = tokens.index_select(1, band.tokens)  # (B, n, C)
            part += self.attn(self.norm1(part), band)
            tokens.index_copy_(1, band.tokens, part)
        chunk = max(1, self.chunk // len(tokens)) if tokens.is_cpu else tokens.shape[1]
        for part in torch.split(tokens, chunk, dim=1):
            part += self.mlp(self.norm2(part))
        return tokens


class StreamedMlp(nn.Module):
    """fc1, GELU in place, fc2."""

    def __init__(self, fc1: nn.Linear, fc2: nn.Linear) -> None:
        super().__init__()
        self.fc1, self.fc2 = fc1, fc2

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.fc1(tokens)
        y: Tensor = self.fc2(torch.ops.aten.gelu_(hidden))
        return y  # (B, n, C)


class PyramidBranch(nn.Module):
    """One deformable branch of the pyramid and its share of the convolution that joins them.

    steer: the convolution to offsets and mask, in one. matrix: (256, taps C) with its bias: the
    deformable convolution with its normalisation. share: (64, 256) of the joining convolution.
    """

    def __init__(
        self, steer: nn.Conv2d, matrix: Tensor, bias: Tensor, share: Tensor, convolved: bool
    ) -> None:
        super().__init__()
        self.steer = steer
        self.taps = steer.out_channels // 3
        kind = ConvolvedLinear if convolved else nn.Linear
        self.weigh = filled(kind, matrix, bias)
        self.join = filled(kind, share, None)

    def moves_and_factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the offsets (B, P, taps, 2) and mask (B, P, taps) of all P pixels, in float32."""
        steered = self.steer(x).permute(0, 2, 3, 1)  # (B, H, W, 3 taps)
        steered = wide(steered.flatten(1, 2))
        moves, factors = torch.split(steered, [2 * self.taps, self.taps], dim=-1)
        return moves.view(*moves.shape[:2], self.taps, 2), 2 * factors.sigmoid()

    def forward(self, columns: Tensor) -> Tensor:
        """Turn sampled taps (p, taps C) into what the branch adds to the joined map, (p, 64)."""
        y: Tensor = self.join(F.relu_(self.weigh(columns)))
        return y


class FusedPyramid(nn.Module):
    """`AsppDeformable`, slice by slice: neither the sampled taps of the whole map nor the 1280
    channels of all branches are ever in memory.

    pool: the branch of the mean, up to its ReLU. pool_join: its part of the joining convolution,
    which also carries the shift of the normalisation after that.
    """

    def __init__(
        self, branches: list[PyramidBranch], pool: nn.Sequential, pool_join: nn.Conv2d
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(branches)
        self.pool, self.pool_join = pool, pool_join

    def branches(self) -> list[PyramidBranch]:
        """Return the layers, typed."""
        return [layer for layer in self.layers if isinstance(layer, PyramidBranch)]

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        table = pixel_table(x)  # (B, (H + 2)(W + 2), C)
        pixels = grid(height, width, x.device)  # (P, 2)
        mean = self.pool_join(self.pool(x)).flatten(1)  # (B, 64)
        joined = mean[:, None].repeat(1, height * width, 1)  # (B, P, 64)
        for branch in self.branches():
            moves, factors = branch.moves_and_factors(x)
            kernel = math.isqrt(branch.taps)
            steps = grid(kernel, kernel, x.device) - kernel // 2  # (taps, 2)
            sampled_bytes = branch.taps * channels * x.element_size()
            for item in range(batch):
                for part in slices(height * width, sampled_bytes, x.device):
                    columns = sample_taps(
                        table[item],
                        (height, width),
                        pixels[part, None] + steps,
                        moves[item, part],
                        factors[item, part],
                    )
                    joined[item, part] += branch(columns)
        return F.relu_(joined).view(batch, height, width, -1).permute(0, 3, 1, 2)


class FoldedPatchBlock(nn.Module):
    """The picture's own part of the logits, two 3 x 3 convolutions, as one of 5 x 5.

    The two see zeros outside the picture after the first of them, where the one sees the first's
    answer to pixels beyond the edge. They differ in a frame of one pixel, done the long way.
    """

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        self.first, self.second = first, second
        # (64, 3, 3, 3) seen by (1, 64, 3, 3) turned around: their full convolution, (3, 1, 5, 5).
        inner, outer = wide(first.weight), wide(second.weight)
        kernel = F.conv2d(inner.transpose(0, 1), outer.flip(2, 3), padding=2)
        assert first.bias is not None
        assert second.bias is not None
        shift = outer.sum((2, 3)) @ wide(first.bias) + wide(second.bias)
        self.both = nn.Conv2d(3, 1, 5, padding=2)
        self.both.weight = nn.Parameter(kernel.transpose(0, 1).contiguous(), requires_grad=False)
        self.both.bias = nn.Parameter(shift, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        y: Tensor = self.both(images)  # (B, 1, H, W)
        y[:, :, :1] = self._long(images[:, :, :3])[:, :, :1]
        y[:, :, -1:] = self._long(images[:, :, -3:])[:, :, -1:]
        y[..., :1] = self._long(images[..., :3])[..., :1]
        y[..., -1:] = self._long(images[..., -3:])[..., -1:]
        return y

    def _long(self, strip: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(strip))
        return y


class PointwiseLateral(nn.Module):
    """`LateralBlock` on one row of channels per pixel, as two linear layers."""

    def __init__(self, block: LateralBlock, convolved: bool) -> None:
        super().__init__()
        full, half = block.conv.weight.flatten(1).chunk(2, dim=1)  # (2c, c) each
        kind = ConvolvedLinear if convolved else nn.Linear
        self.from_full = filled(kind, full.contiguous(), block.conv.bias)
        self.from_half = filled(kind, half.contiguous(), None)

    def forward(self, x: Tensor, encoded: Encoded) -> Tensor:
        x += self.from_half(encoded.half.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y: Tensor = self.from_full(encoded.full.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y += resized(x, encoded.full)
        return y


class CoarseLastLayer(nn.Module):
    """`LastLayer` for a `FoldedPatchBlock`, which has already made its one channel."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, fine: Tensor) -> Tensor:
        return resized(self.conv(x), fine) + fine


def folded_patch_block(block: PatchBlock, weight: Tensor, bias: Tensor) -> FoldedPatchBlock:
    """Fold the patch block and a 1 x 1 convolution to a channel, weight (1, C, 1, 1), bias (1,)."""
    inner = block.conv_out
    assert inner.bias is not None
    row = wide(weight).flatten(1)  # (1, C)
    second = nn.Conv2d(inner.in_channels, 1, 3, padding=1)
    product = torch.einsum("oc,cikl->oikl", row, wide(inner.weight))
    second.weight = nn.Parameter(product, requires_grad=False)
    second.bias = nn.Parameter(row @ wide(inner.bias) + wide(bias), requires_grad=False)
    return FoldedPatchBlock(block.conv1, second)


def filled(kind: type[nn.Linear], weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Return a linear layer around these tensors."""
    layer = kind(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer
