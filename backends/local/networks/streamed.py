"""IS-Net for inference, a band of rows at a time.

At half of 1024 x 1024 a map of RMBG-1.4 takes 67 MB, and two of them joined 134 MB. Where every
layer allocates such maps, the system clears all their pages anew each time, which was a third of a
CPU's time. Here layers pass bands that stay in the caches, what is upsampled or joined is never
whole, and a stage adds its answer into its own entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .isnet import STAGES, ConvNormRelu, IsNet, ResidualU, halved, to_size_of, upsampled
from .sizes import check_images

# What a layer reads or writes of one band, on a CPU.
_BAND_BYTES = 8 << 20


@dataclass(frozen=True)
class Rows:
    """A map of which rows can be asked for, whether it is in memory or not."""

    shape: tuple[int, int, int, int]
    """(B, C, H, W)."""
    between: Callable[[int, int], Tensor]
    """(lo, hi) -> the rows, (B, C, hi - lo, W)."""


def rows_of(x: Tensor) -> Rows:
    """Take a map that is in memory."""
    batch, channels, height, width = x.shape
    return Rows((batch, channels, height, width), lambda lo, hi: x[:, :, lo:hi])


def pooled(x: Tensor) -> Rows:
    """Take a map at half its size."""
    batch, channels, height, width = x.shape
    after = (batch, channels, (height + 1) // 2, (width + 1) // 2)
    return Rows(after, lambda lo, hi: halved(x[:, :, 2 * lo : 2 * hi]))


def convolved(conv: nn.Conv2d, source: Rows) -> Rows:
    """Return the convolution of a map."""
    stride, pad, step = conv.stride[0], int(conv.padding[0]), conv.dilation[0]
    reach = step * (conv.kernel_size[0] - 1) + 1
    batch, _, height, width = source.shape

    def between(lo: int, hi: int) -> Tensor:
        first, last = lo * stride - pad, (hi - 1) * stride - pad + reach
        if first >= 0 and last <= height:
            x = source.between(first, last)
            return F.conv2d(x, conv.weight, conv.bias, stride, (0, pad), step)
        # At an edge both sides are padded; the rows that this makes on the other side are cut off.
        above = min(lo, pad)
        x = source.between((lo - above) * stride, min(last, height))
        y = F.conv2d(x, conv.weight, conv.bias, stride, pad, step)
        return y[:, :, above : above + hi - lo]

    tall, wide = ((side + 2 * pad - reach) // stride + 1 for side in (height, width))
    return Rows((batch, conv.out_channels, tall, wide), between)


def activated(layer: ConvNormRelu, source: Rows) -> Rows:
    """Return the layer's answer to a map."""
    rows = convolved(layer.conv_s1, source)
    return Rows(rows.shape, lambda lo, hi: F.relu_(layer.bn_s1(rows.between(lo, hi))))


def joined(below: Tensor, skip: Tensor) -> Rows:
    """Return a map at the size of the skip connection, and that behind it."""
    batch, channels, height, width = skip.shape
    if 2 * below.shape[2] != height:  # the same size, or one that was odd
        return rows_of(torch.cat((to_size_of(below, skip), skip), dim=1))

    def between(lo: int, hi: int) -> Tensor:
        # Row 2i lies between the rows i - 1 and i below, row 2i + 1 between i and i + 1.
        first = max(0, (lo - 1) // 2)
        part = below[:, :, first : hi // 2 + 1]
        part = upsampled(part, (2 * part.shape[2], width))
        return torch.cat((part[:, :, lo - 2 * first : hi - 2 * first], skip[:, :, lo:hi]), dim=1)

    return Rows((batch, below.shape[1] + channels, height, width), between)


def bands(conv: nn.Conv2d, rows: Rows) -> Iterator[tuple[int, int]]:
    """Cut the answer of a convolution into rows (lo, hi) so that neither they nor what they are
    made of is large; into a single band where this is no CPU."""
    weight, (batch, _, height, width) = conv.weight, rows.shape
    channels = max(conv.in_channels, conv.out_channels)
    row_bytes = batch * channels * width * weight.element_size()
    step = max(1, _BAND_BYTES // row_bytes) if weight.is_cpu else height
    for lo in range(0, height, step):
        yield lo, min(height, lo + step)


def whole(layer: ConvNormRelu, source: Rows, over: Tensor | None = None) -> Tensor:
    """Return the layer's answer in memory.

    over: a map that only the source reads from now on, row by row; it is written over where it has
    the shape of the answer.
    """
    conv, rows = layer.conv_s1, activated(layer, source)
    pieces = [*bands(conv, rows)]
    if len(pieces) == 1:
        return rows.between(*pieces[0])
    if over is None or over.shape != rows.shape:
        nhwc = conv.weight.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if nhwc else torch.contiguous_format
        over = torch.empty(rows.shape, dtype=conv.weight.dtype, memory_format=layout)
    done = None
    for lo, hi in pieces:
        part = rows.between(lo, hi)
        if done is not None:  # the band above, a band late: this one still read its last rows
            over[:, :, done[0] : lo] = done[1]
        done = (lo, part)
    over[:, :, lo:] = part
    return over


class StreamedU(nn.Module):
    """`ResidualU` on rows."""

    def __init__(self, block: ResidualU) -> None:
        super().__init__()
        self.pools, self.depth = block.pools, block.depth
        self.entry = block.rebnconvin
        levels = range(1, self.depth + 1)
        self.down = nn.ModuleList(block.get_submodule(f"rebnconv{level}") for level in levels)
        self.up = nn.ModuleList(block.get_submodule(f"rebnconv{level}d") for level in levels[:-1])

    def forward(self, source: Rows, over: Tensor | None = None) -> Tensor:
        """Return the answer (B, out, H, W). over: see `whole`."""
        entry = whole(self.entry, source, over)
        maps = [entry]
        for level, layer in enumerate(_layers(self.down), start=1):
            shrink = self.pools and 1 < level < self.depth
            maps.append(whole(layer, pooled(maps[-1]) if shrink else rows_of(maps[-1])))
        x = maps.pop()
        first, *others = _layers(self.up)
        for layer in reversed(others):
            x = whole(layer, joined(x, maps.pop()))
        rows = activated(first, joined(x, maps.pop()))
        for lo, hi in bands(first.conv_s1, rows):
            entry[:, :, lo:hi] += rows.between(lo, hi)
        return entry


class StreamedIsNet(nn.Module):
    """`IsNet` on rows, without the heads that only training looks at."""

    def __init__(self, network: IsNet) -> None:
        super().__init__()
        assert isinstance(network.side1, nn.Conv2d)
        self.conv_in, self.side1 = network.conv_in, network.side1
        blocks = [network.get_submodule(name) for name in STAGES]
        self.stages = nn.ModuleList(StreamedU(x) for x in blocks if isinstance(x, ResidualU))

    def forward(self, images: Tensor) -> Tensor:
        check_images(images)
        source = convolved(self.conv_in, rows_of(images))  # (B, 64, H/2, W/2), never whole
        maps: list[Tensor] = []
        for stage in self.stages[:6]:
            maps.append(stage(pooled(maps[-1]) if maps else source))
        x = maps.pop()
        for stage in self.stages[6:]:
            skip = maps.pop()
            x = stage(joined(x, skip), over=skip)
        rows = convolved(self.side1, rows_of(x))
        parts = [rows.between(lo, hi) for lo, hi in bands(self.side1, rows)]
        return to_size_of(torch.cat(parts, dim=2), images)  # (B, 1, H, W)


def _layers(modules: nn.ModuleList) -> list[ConvNormRelu]:
    return [layer for layer in modules if isinstance(layer, ConvNormRelu)]
