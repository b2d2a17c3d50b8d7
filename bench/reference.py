"""The straightforward forward of both networks, as the papers describe it, over our weights.

Whole tensors, one operation after the other: windows are padded, rolled and cut; attention is a
matrix product, a bias, a mask and a softmax; a deformable convolution samples every tap into one
array; every prediction is made, at full size; batch normalisations are run. It is the baseline of
`bench/networks.py`, and an independent check in the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from ..backends.local.networks.birefnet import (
        AsppDeformable,
        BiRefNet,
        Decoder,
        DecoderBlock,
        LateralBlock,
        PatchBlock,
    )
    from ..backends.local.networks.deform_conv import DeformableConv2d
    from ..backends.local.networks.isnet import IsNet
    from ..backends.local.networks.swin import Block, Swin, WindowAttention


def isnet(network: IsNet, images: Tensor) -> Tensor:
    """RMBG-1.4: alpha of all six scales, of which the finest is returned (B, 1, H, W)."""
    return [torch.sigmoid(logits) for logits in network.predictions(images)][0]


def birefnet(network: BiRefNet, images: Tensor) -> Tensor:
    """RMBG-2.0: the four predictions, of which the last is returned as alpha (B, 1, H, W)."""
    height, width = images.shape[2:]
    full = swin(network.bb, images)
    half = swin(network.bb, corners(images, (height // 2, width // 2)))
    x1, x2, x3, x4 = (
        torch.cat((a, corners(b, a.shape[2:])), dim=1) for a, b in zip(full, half, strict=True)
    )
    size = x4.shape[2:]
    x4 = torch.cat((corners(x1, size), corners(x2, size), corners(x3, size), x4), dim=1)
    x4 = decoder_block(cast("DecoderBlock", network.squeeze_module[0]), x4)
    return torch.sigmoid(decoder(network.decoder, images, [x1, x2, x3, x4])[-1])


def corners(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def swin(backbone: Swin, images: Tensor) -> list[Tensor]:
    patches = backbone.patch_embed
    x = patches.proj(images)
    height, width = x.shape[2:]
    x = patches.norm(x.flatten(2).transpose(1, 2))  # (B, H W, C)
    maps = []
    for index, stage in enumerate(backbone.stages()):
        window = stage.window
        mask = shift_mask(height, width, window).to(x)
        for number, block in enumerate(stage.blocks):
            x = swin_block(
                cast("Block", block), x, height, width, window, mask if number % 2 else None
            )
        normed = backbone.get_submodule(f"norm{index}")(x)
        maps.append(normed.view(len(x), height, width, -1).permute(0, 3, 1, 2).contiguous())
        if stage.downsample is not None:
            x = stage.downsample(x, height, width)
            height, width = (height + 1) // 2, (width + 1) // 2
    return maps


def swin_block(
    block: Block, x: Tensor, height: int, width: int, window: int, mask: Tensor | None
) -> Tensor:
    batch, _, channels = x.shape
    shift = 0 if mask is None else window // 2
    skip = x
    x = block.norm1(x).view(batch, height, width, channels)
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    padded = x.shape[1:3]
    x = torch.roll(x, (-shift, -shift), dims=(1, 2))
    x = attention(block.attn, cut(x, window), mask)  # (B windows, N, C)
    x = x.view(batch, padded[0] // window, padded[1] // window, window, window, channels)
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(batch, *padded, channels)
    x = torch.roll(x, (shift, shift), dims=(1, 2))[:, :height, :width]
    x = skip + x.reshape(batch, height * width, channels)
    x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
    return x


def cut(x: Tensor, window: int) -> Tensor:
    """(B, H, W, C) -> (B windows, N, C)."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, channels)


def attention(layer: WindowAttention, x: Tensor, mask: Tensor | None) -> Tensor:
    count, places, channels = x.shape
    heads = layer.heads
    query, key, value = layer.qkv(x).reshape(count, places, 3, heads, -1).permute(2, 0, 3, 1, 4)
    logits = (query * (channels // heads) ** -0.5) @ key.transpose(-2, -1)
    table, index = layer.relative_position_bias_table, layer.relative_position_index
    logits = logits + table[index.flatten()].view(places, places, heads).permute(2, 0, 1)
    if mask is not None:
        logits = logits.view(-1, len(mask), heads, places, places) + mask[:, None]
        logits = logits.view(count, heads, places, places)
    x = logits.softmax(dim=-1) @ value
    x = layer.proj(x.transpose(1, 2).reshape(count, places, channels))
    return x


def shift_mask(height: int, width: int, window: int) -> Tensor:
    """(windows, N, N): -100 where a roll by half a window has brought strangers together."""
    shift = window // 2
    down, across = height + -height % window, width + -width % window
    region = torch.zeros(1, down, across, 1)
    bands = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(bands):
        for j, columns in enumerate(bands):
            region[:, rows, columns] = 3 * i + j
    region = cut(region, window).squeeze(-1)
    return torch.where(region[:, None] == region[:, :, None], 0.0, -100.0)


def decoder_block(block: DecoderBlock, x: Tensor) -> Tensor:
    x = F.relu(block.bn_in(block.conv_in(x)))
    x = block.bn_out(block.conv_out(pyramid(block.dec_att, x)))
    return x


def pyramid(layer: AsppDeformable, x: Tensor) -> Tensor:
    branches = [F.relu(branch.bn(deformable(branch.atrous_conv, x))) for branch in layer.branches()]
    mean = corners(layer.global_avg_pool(x), x.shape[2:])
    return F.relu(layer.bn1(layer.conv1(torch.cat((*branches, mean), dim=1))))


def deformable(layer: DeformableConv2d, x: Tensor) -> Tensor:
    offset, mask = layer.offset_conv(x), 2 * torch.sigmoid(layer.modulator_conv(x))
    return deform_conv2d(x, offset, layer.regular_conv.weight, mask, layer.kernel // 2)


def deform_conv2d(x: Tensor, offset: Tensor, weight: Tensor, mask: Tensor, padding: int) -> Tensor:
    """All taps sampled by grid_sample into one (B, C taps, H W) array, then a matrix product."""
    batch, channels, height, width = x.shape
    out_channels, _, kernel, _ = weight.shape
    taps = kernel * kernel
    i, j = torch.meshgrid(torch.arange(kernel), torch.arange(kernel), indexing="ij")
    steps = torch.stack((i, j), dim=-1).view(1, taps, 2, 1, 1).to(x) - padding
    i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack((i, j)).to(x)
    place = offset.view(batch, taps, 2, height, width) + steps + pixels
    scale = 2 / (torch.tensor([width, height]).to(x) - 1).clamp(min=1)
    place = place.permute(0, 1, 3, 4, 2).flip(-1) * scale - 1  # (B, taps, H, W, xy)
    sampled = F.grid_sample(x, place.reshape(batch, taps * height, width, 2), align_corners=True)
    sampled = sampled.view(batch, channels, taps, height, width) * mask[:, None]
    columns = sampled.view(batch, channels * taps, height * width)
    return (weight.view(out_channels, -1) @ columns).view(batch, out_channels, height, width)


def decoder(layer: Decoder, images: Tensor, encoded: list[Tensor]) -> list[Tensor]:
    predictions = []
    x = encoded[-1]
    for level in (4, 3, 2):
        x = torch.cat((x, from_picture(layer, images, x, level + 1)), dim=1)
        block = cast("DecoderBlock", layer.get_submodule(f"decoder_block{level}"))
        x = decoder_block(block, x)
        predictions.append(layer.get_submodule(f"conv_ms_spvn_{level}")(x))
        edges = layer.get_submodule(f"gdt_convs_{level}")(x)
        x = x * layer.get_submodule(f"gdt_convs_attn_{level}")(edges).sigmoid()
        skip = encoded[level - 2]
        lateral = cast("LateralBlock", layer.get_submodule(f"lateral_block{level}"))
        x = corners(x, skip.shape[2:]) + lateral.conv(skip)
    x = torch.cat((x, from_picture(layer, images, x, 2)), dim=1)
    x = corners(decoder_block(layer.decoder_block1, x), images.shape[2:])
    x = torch.cat((x, from_picture(layer, images, images, 1)), dim=1)
    predictions.append(layer.conv_out1.conv(x))
    return predictions


def from_picture(layer: Decoder, images: Tensor, x: Tensor, level: int) -> Tensor:
    rows, columns = x.shape[2:]
    pieces = [
        piece
        for column in torch.split(images, columns, dim=3)
        for piece in torch.split(column, rows, dim=2)
    ]
    if layer.patch_order == "wg hg c":
        patches = torch.cat(pieces, dim=1)
    else:
        grid = torch.stack(pieces, dim=2)  # (B, 3, across down, h, w)
        grid = grid.view(len(images), 3, -1, images.shape[2] // rows, rows, columns)
        patches = grid.transpose(2, 3).flatten(1, 3)
    block = cast("PatchBlock", layer.get_submodule(f"ipt_blk{level}"))
    seen: Tensor = block.conv_out(block.conv1(corners(patches, (rows, columns))))
    return seen
