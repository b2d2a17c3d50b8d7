"""Swin Transformer, the backbone of BiRefNet and RMBG-2.0 (Liu et al. 2021, arXiv:2103.14030),
in the form that dense prediction uses: four normalised feature maps, any input size.

Tokens are kept as (B, H W, C). A shape at a line's end names what the line made.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .windows import Band, window_bands

_PATCH = 4
_WHOLE_MAP = 1 << 62
_LAYOUTS_KEPT = 64


@dataclass(frozen=True)
class SwinConfig:
    """What tells one Swin transformer from another."""

    embed: int
    """Channels of the first stage, doubled by each next one."""
    depths: tuple[int, ...]
    """Blocks of each stage."""
    heads: tuple[int, ...]
    """Attention heads of each stage."""
    window: int
    mlp_ratio: int = 4

    @property
    def channels(self) -> tuple[int, ...]:
        """Return the channels of each stage's map, the finest first."""
        return tuple(self.embed << stage for stage in range(len(self.depths)))


class WindowAttention(nn.Module):
    """Self-attention inside windows, with a learnt bias per relative position (section 3.2)."""

    relative_position_index: Tensor
    frozen_bias: Tensor | None

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.places = window * window
        reach = 2 * window - 1
        self.relative_position_bias_table = nn.Parameter(torch.zeros(reach * reach, heads))
        self.register_buffer("relative_position_index", relative_positions(window))
        # Set in an inference copy, which has neither table nor index.
        self.register_buffer("frozen_bias", None, persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, band: Band) -> Tensor:
        """Transform tokens: (B, n, C), those of the band in its order. Returns the same shape.

        A place beyond the map's edge takes part as a token of zeros would: with the biases of
        query, key and value. The published weights were trained with that.
        """
        batch, count, channels = tokens.shape
        qkv = self.qkv(tokens).index_select(1, band.places)  # (B, windows N, 3C)
        if len(band.padding):
            edge = self.qkv.bias.expand(batch, len(band.padding), -1)
            qkv.index_copy_(1, band.padding, edge)
        qkv = qkv.view(batch, -1, self.places, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5)  # (B, windows, heads, N, C / heads) each
        bias = self.bias()
        seen, first = [], 0
        for run in band.runs:
            end = first + run.windows
            part = F.scaled_dot_product_attention(
                query[:, first:end].flatten(0, 1),
                key[:, first:end].flatten(0, 1),
                value[:, first:end].flatten(0, 1),
                attn_mask=bias if run.mask is None else bias + run.mask.to(bias.dtype),
            )  # (B windows, heads, N, C / heads)
            seen.append(part.transpose(1, 2).reshape(batch, -1, channels))
            first = end
        attended = torch.cat(seen, dim=1) if len(seen) > 1 else seen[0]  # (B, windows N, C)
        y: Tensor = self.proj(attended.index_select(1, band.back))
        return y  # (B, n, C)

    def bias(self) -> Tensor:
        """Return what each pair of places adds to its logit: (1, heads, N, N)."""
        if self.frozen_bias is not None:
            return self.frozen_bias
        pairs = self.relative_position_bias_table[self.relative_position_index.flatten()]
        return pairs.view(1, self.places, self.places, -1).permute(0, 3, 1, 2).contiguous()


class Mlp(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        y: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return y  # (B, n, C)


class Block(nn.Module):
    """Attention, then an MLP, each on normalised tokens and added to them (equation 3)."""

    def __init__(self, channels: int, heads: int, window: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, mlp_ratio * channels)

    def forward(self, tokens: Tensor, bands: list[Band]) -> Tensor:
        normed = self.norm1(tokens)  # (B, H W, C)
        attended = torch.empty_like(tokens)
        for band in bands:
            part = self.attn(normed.index_select(1, band.tokens), band)
            attended.index_copy_(1, band.tokens, part)
        tokens = tokens + attended
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens  # (B, H W, C)


class PatchMerging(nn.Module):
    """Four neighbouring tokens become one with twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        x = tokens.view(tokens.shape[0], height, width, -1)
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        corners = (x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2])
        merged = torch.cat(corners, dim=-1).flatten(1, 2)  # (B, H/2 W/2, 4C)
        y: Tensor = self.reduction(self.norm(merged))
        return y  # (B, H/2 W/2, 2C)


class Stage(nn.Module):
    """Blocks with straight and shifted windows in turn, then, but for the last stage, a merge."""

    def __init__(self, config: SwinConfig, index: int) -> None:
        super().__init__()
        channels, heads = config.channels[index], config.heads[index]
        self.window = config.window
        self.band_tokens = _WHOLE_MAP
        self._kept: dict[tuple[int, int, int, int], list[Band]] = {}
        self.blocks = nn.ModuleList(
            Block(channels, heads, config.window, config.mlp_ratio)
            for _ in range(config.depths[index])
        )
        is_last = index == len(config.depths) - 1
        self.downsample = None if is_last else PatchMerging(channels)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        most = max(1, self.band_tokens // len(tokens)) if tokens.is_cpu else _WHOLE_MAP
        bands = [
            [band.to(tokens.device) for band in self.bands(height, width, shift, most)]
            for shift in (0, self.window // 2)
        ]
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, bands[index % 2])
        return tokens  # (B, H W, C)

    def bands(self, height: int, width: int, shift: int, most: int) -> list[Band]:
        """Return `window_bands` of a map of this size. Kept on the CPU, so that a network that
        leaves a device leaves nothing there."""
        key = (height, width, shift, most)
        if key not in self._kept:
            if len(self._kept) >= _LAYOUTS_KEPT:
                self._kept.clear()
            self._kept[key] = window_bands(height, width, self.window, shift, most)
        return self._kept[key]


class PatchEmbedding(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, _PATCH, stride=_PATCH)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        y: Tensor = self.norm(self.proj(images).flatten(2).transpose(1, 2))
        return y  # (B, H/4 W/4, C)


class Swin(nn.Module):
    """(B, 3, H, W) -> four maps (B, C << i, H / (4 << i), W / (4 << i)), odd sizes rounded up.

    H and W are multiples of 4.
    """

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(config.embed)
        self.layers = nn.ModuleList(Stage(config, index) for index in range(len(config.depths)))
        for index, channels in enumerate(config.channels):
            self.add_module(f"norm{index}", nn.LayerNorm(channels))

    def stages(self) -> list[Stage]:
        """Return the layers, typed."""
        return [layer for layer in self.layers if isinstance(layer, Stage)]

    def forward(self, images: Tensor) -> list[Tensor]:
        batch, _, height, width = images.shape
        height, width = height // _PATCH, width // _PATCH
        tokens = self.patch_embed(images)  # (B, H/4 W/4, C)
        maps = []
        for index, stage in enumerate(self.stages()):
            tokens = stage(tokens, height, width)
            normed = self.get_submodule(f"norm{index}")(tokens)  # the map, not the way onwards
            maps.append(normed.view(batch, height, width, -1).permute(0, 3, 1, 2))
            if stage.downsample is not None:
                tokens = stage.downsample(tokens, height, width)
                height, width = -(-height // 2), -(-width // 2)
        return maps


def relative_positions(window: int) -> Tensor:
    """Return the row of the bias table for each pair of places of a window: (N, N) int64.

    Row (dy + window - 1)(2 window - 1) + dx + window - 1 for a pair that lies dy, dx apart.
    """
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    y, x = y.flatten(), x.flatten()
    down = y[:, None] - y + window - 1
    right = x[:, None] - x + window - 1
    return down * (2 * window - 1) + right
