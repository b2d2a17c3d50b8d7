"""Copies of the networks in operations that every exporter and runtime has.

The networks gather and scatter windows and taps in ways that are fast in torch; here the modules
that do so are replaced by the same sums out of GridSample, Gather and MatMul. ONNX has DeformConv
since opset 19, but OpenVINO 2026.4 does not read it, and ONNX Runtime's CPU provider has it only
since 2026; GridSample (opset 16) they have run for years.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .fuse import drop_dead_heads, fold_batch_norms, folded, freeze_biases
from .networks.birefnet import AsppDeformable, BiRefNet
from .networks.deform_conv import DeformableConv2d
from .networks.isnet import IsNet
from .networks.swin import Block, Stage, WindowAttention
from .networks.windows import window_bands

_WHOLE_MAP = 1 << 62
_TAP_BYTES = 32 << 20
# Where BiRefNet has deformable convolutions, and how much smaller than the picture their maps are.
_PYRAMIDS = {
    "squeeze_module.0": 32,
    "decoder.decoder_block4": 32,
    "decoder.decoder_block3": 16,
    "decoder.decoder_block2": 8,
    "decoder.decoder_block1": 4,
}


class PortableNetwork(nn.Module):
    """(B, 3, H, W) float32 normalised pictures of one size -> (B, 1, H, W) float32 logits."""

    def __init__(self, network: IsNet | BiRefNet, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.to(self.dtype))
        return logits.float()


def portable_copy(
    network: IsNet | BiRefNet, height: int, width: int, dtype: torch.dtype = torch.float32
) -> PortableNetwork:
    """Return a copy for pictures of this size, of operations that ONNX has; the network stays."""
    twin = copy.deepcopy(network).float()
    drop_dead_heads(twin)
    fold_batch_norms(twin)
    if isinstance(twin, BiRefNet):
        freeze_biases(twin)
        _lay_out_windows(twin, height, width)
        for name, step in _PYRAMIDS.items():
            pyramid = twin.get_submodule(f"{name}.dec_att")
            assert isinstance(pyramid, AsppDeformable)
            _sample_by_grid(pyramid, height // step, width // step)
    return PortableNetwork(twin.to(dtype).eval().requires_grad_(False), dtype)


def _sample_by_grid(pyramid: AsppDeformable, height: int, width: int) -> None:
    for branch in pyramid.branches():
        deform = branch.atrous_conv
        conv = folded(deform.regular_conv, branch.bn)
        branch.atrous_conv = GridDeformableConv2d(  # type: ignore[assignment]
            deform, conv, height, width
        )
        branch.bn = nn.Identity()  # type: ignore[assignment]
    pyramid.conv1 = folded(pyramid.conv1, pyramid.bn1)
    pyramid.bn1 = nn.Identity()  # type: ignore[assignment]


class GridDeformableConv2d(nn.Module):
    """`DeformableConv2d` and its normalisation by GridSample, for a map of known size.

    As many rows of the kernel at a time as `_TAP_BYTES` allows: all 49 taps of the largest one
    together would take 800 MB at 1024 x 1024. Places are float32, whatever the dtype.
    """

    def __init__(self, deform: DeformableConv2d, conv: nn.Conv2d, height: int, width: int) -> None:
        super().__init__()
        self.size, self.taps = (height, width), deform.kernel * deform.kernel
        self.offset_conv, self.modulator_conv = deform.offset_conv, deform.modulator_conv
        row_bytes = 4 * conv.in_channels * deform.kernel * height * width
        step = max(1, _TAP_BYTES // row_bytes)
        self.rows = nn.ModuleList(
            _rows(conv, first, first + step) for first in range(0, deform.kernel, step)
        )
        steps = torch.arange(deform.kernel) - deform.kernel // 2
        down, across = steps.repeat_interleave(deform.kernel), steps.repeat(deform.kernel)
        tops = _edge_to_edge(torch.arange(height) + down[:, None], height)
        lefts = _edge_to_edge(torch.arange(width) + across[:, None], width)
        self.register_buffer("tops", tops[:, :, None])  # (taps, H, 1)
        self.register_buffer("lefts", lefts[:, None])  # (taps, 1, W)

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        moves = self.offset_conv(x).float()  # (B, 2 taps, H, W), down and right in turn
        downs = moves[:, 0::2] * (2 / height) + self.tops
        rights = moves[:, 1::2] * (2 / width) + self.lefts
        grid = torch.stack((rights, downs), dim=-1)  # (B, taps, H, W, 2)
        grid = grid.reshape(-1, self.taps * height, width, 2)
        factors = 2 * self.modulator_conv(x).float().sigmoid()
        factors = factors.reshape(-1, 1, self.taps * height, width)
        pixels, parts, first = x.float(), [], 0
        for rows in self.rows:
            assert isinstance(rows, nn.Conv2d)
            end = first + rows.in_channels // x.shape[1] * height
            taps = F.grid_sample(pixels, grid[:, first:end], align_corners=False)
            taps = taps * factors[:, :, first:end]  # (B, C, rows kernel H, W)
            parts.append(rows(taps.reshape(-1, rows.in_channels, height, width).to(x.dtype)))
            first = end
        y: Tensor = sum(parts[1:], parts[0])
        return y  # (B, C', H, W)


def _rows(conv: nn.Conv2d, first: int, end: int) -> nn.Conv2d:
    """Make some rows of a kernel a 1 x 1 convolution of their taps; the first have the bias."""
    weight = conv.weight.detach()[:, :, first:end].flatten(1)  # (C', C rows kernel)
    rows = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=first == 0)
    rows.weight = nn.Parameter(weight[:, :, None, None].contiguous())
    if first == 0:
        rows.bias = conv.bias
    return rows


def _edge_to_edge(pixel: Tensor, size: int) -> Tensor:
    """Number pixels as GridSample counts: -1 and 1 are the outer edges of the first and the last
    pixel."""
    return (2 * pixel.float() + 1) / size - 1


def _lay_out_windows(network: BiRefNet, height: int, width: int) -> None:
    """Write out the windows of both sizes at which the backbone sees the picture."""
    sizes = [(height // 4, width // 4), (height // 8, width // 8)]
    for index, stage in enumerate(network.bb.stages()):
        network.bb.layers[index] = PortableStage(stage, sizes)
        sizes = [(-(-down // 2), -(-across // 2)) for down, across in sizes]


class PortableStage(Stage):
    """A `Stage` for maps of known sizes, whose windows are constants."""

    def __init__(self, stage: Stage, sizes: list[tuple[int, int]]) -> None:
        nn.Module.__init__(self)  # the layers are the stage's own
        self.blocks, self.downsample = stage.blocks, stage.downsample
        self.layouts = nn.ModuleDict(
            {
                f"{down}x{across} {odd}": Windows(down, across, stage.window, odd)
                for down, across in sizes
                for odd in (0, 1)
            }
        )

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        layouts = [self.layouts[f"{height}x{width} {odd}"] for odd in (0, 1)]
        for index, block in enumerate(self.blocks):
            windows = layouts[index % 2]
            assert isinstance(block, Block)
            assert isinstance(windows, Windows)
            tokens = tokens + windows.attention(block.attn, block.norm1(tokens))
            tokens = tokens + block.mlp(block.norm2(tokens))
        return tokens  # (B, H W, C)


class Windows(nn.Module):
    """All windows of a map, N places each."""

    places: Tensor
    """(windows N,) the token at each place, H W for padding."""
    back: Tensor
    """(H W,) the place of each token."""
    masks: Tensor | None
    """(kinds, 1, N, N); None without a shift."""
    kinds: Tensor | None
    """(windows,) which of the masks a window has; None without a shift."""

    def __init__(self, height: int, width: int, window: int, odd: int) -> None:
        super().__init__()
        bands = window_bands(height, width, window, odd * (window // 2), _WHOLE_MAP)
        self.tokens = height * width
        self.padding = any(len(band.padding) for band in bands)
        places = torch.cat(
            [band.tokens[band.places].index_fill(0, band.padding, self.tokens) for band in bands]
        )
        self.register_buffer("places", places)
        self.register_buffer("back", places.argsort(stable=True)[: self.tokens])
        runs = [run for band in bands for run in band.runs]
        counts = torch.tensor([run.windows for run in runs])
        none = torch.zeros(window * window, window * window)
        masks = torch.stack([none if run.mask is None else run.mask for run in runs])
        kinds = torch.arange(len(runs)).repeat_interleave(counts)
        self.register_buffer("masks", masks[:, None] if odd else None)
        self.register_buffer("kinds", kinds if odd else None)

    def attention(self, layer: WindowAttention, tokens: Tensor) -> Tensor:
        """Map (B, H W, C) to the same; what `WindowAttention` computes for all bands."""
        channels = tokens.shape[2]
        depth = channels // layer.heads
        if self.padding:  # a place beyond the map's edge is a token of zeros
            tokens = F.pad(tokens, (0, 0, 0, 1))
        qkv = layer.qkv(tokens).index_select(1, self.places)  # (B, windows N, 3C)
        windows = len(self.places) // layer.places
        qkv = qkv.reshape(-1, windows, layer.places, 3, layer.heads, depth)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5)  # (B, windows, heads, N, depth) each
        near = (query * depth**-0.5) @ key.transpose(-2, -1) + layer.bias()
        if self.masks is not None and self.kinds is not None:
            near = near + self.masks.index_select(0, self.kinds)
        attended = (near.softmax(-1) @ value).transpose(2, 3)
        attended = attended.reshape(-1, windows * layer.places, channels)
        y: Tensor = layer.proj(attended.index_select(1, self.back))
        return y  # (B, H W, C)
