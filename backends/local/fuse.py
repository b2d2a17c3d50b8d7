"""Inference copies: the same logits up to rounding, in one to two thirds of the time.

Each function below is one trick. It changes the copy in place, and the network it was made from
not at all; docs/performance.md says what each is worth.
"""

from __future__ import annotations

import copy
import functools
import time
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .networks.birefnet import (
    AsppBranch,
    AsppDeformable,
    BiRefNet,
    DecoderBlock,
    LastLayer,
    LateralBlock,
    PatchBlock,
)
from .networks.deform_conv import wide
from .networks.fast import (
    CoarseLastLayer,
    ConvolvedLinear,
    FusedPyramid,
    PointwiseLateral,
    PyramidBranch,
    StreamedBlock,
    folded_patch_block,
    linear,
)
from .networks.isnet import ConvNormRelu, IsNet
from .networks.sizes import check_images
from .networks.streamed import StreamedIsNet
from .networks.swin import Block, Stage, WindowAttention

# Where a convolution is followed by its normalisation: the class, and the names of the two.
_NORMALISED = (
    (ConvNormRelu, "conv_s1", "bn_s1"),
    (DecoderBlock, "conv_in", "bn_in"),
    (DecoderBlock, "conv_out", "bn_out"),
)
# What a streamed block may hold between two layers, on a CPU. Below 32 MB glibc gives freed memory
# back to the next layer; above, every layer pays for fresh pages.
_STREAM_BYTES = 24 << 20
_CLEARLY_FASTER = 1.25


class InferenceNetwork(nn.Module):
    """(B, 3, H, W) normalised pictures of any floating dtype -> (B, 1, H, W) logits, in float32 (in
    float64 if that is the copy's dtype)."""

    def __init__(self, network: nn.Module, dtype: torch.dtype, channels_last: bool) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        check_images(images)
        images = images.to(self.dtype).contiguous(memory_format=self.memory_format)
        logits: Tensor = self.network(images)
        return wide(logits).contiguous()


def inference_copy(
    network: IsNet | BiRefNet, *, dtype: torch.dtype = torch.float32, channels_last: bool = True
) -> InferenceNetwork:
    """Return a copy of the network for inference alone, in `dtype`, on the network's device.

    The network stays as it is. Tensors that no trick touches are shared with it while their dtype
    is the same, so a network that is trained on needs a new copy.
    """
    twin = _twin(network)
    drop_dead_heads(twin)
    faster = dtype == torch.float32 and convolution_is_faster()
    if isinstance(twin, BiRefNet):
        fuse_pyramids(twin, faster)
        split_laterals(twin, faster)
        fold_last_layer(twin)
        freeze_biases(twin)
        stream_blocks(twin)
    fold_batch_norms(twin)
    if faster:
        convolve_linears(twin)
    fast = StreamedIsNet(twin) if isinstance(twin, IsNet) else twin
    fast = fast.to(dtype)
    if channels_last:
        fast = fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return InferenceNetwork(fast.eval(), dtype, channels_last)


def drop_dead_heads(network: IsNet | BiRefNet) -> None:
    """Remove what only training looks at: the coarser predictions."""
    if isinstance(network, IsNet):
        for scale in range(2, 7):
            delattr(network, f"side{scale}")
        return
    for level in (4, 3, 2):
        delattr(network.decoder, f"conv_ms_spvn_{level}")
        delattr(network.decoder, f"gdt_convs_pred_{level}")


def fold_batch_norms(network: nn.Module) -> None:
    """Multiply each batch normalisation into the convolution before it."""
    for module in list(network.modules()):
        for kind, conv, norm in _NORMALISED:
            if isinstance(module, kind):
                setattr(module, conv, folded(getattr(module, conv), getattr(module, norm)))
                setattr(module, norm, nn.Identity())
        if isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                first, second = module[index], module[index + 1]
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    module[index], module[index + 1] = folded(first, second), nn.Identity()


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Return one convolution that does what the two do, in evaluation mode."""
    scale, shift = _scale_and_shift(norm)
    weight = wide(conv.weight) * scale[:, None, None, None]
    bias = shift if conv.bias is None else shift + scale * wide(conv.bias)
    return _like(conv, weight, bias)


def fuse_pyramids(network: nn.Module, convolved: bool) -> None:
    """Put a `FusedPyramid` in each decoder block."""
    for block in list(network.modules()):
        if isinstance(block, DecoderBlock):
            block.dec_att = _fused_pyramid(block.dec_att, convolved)  # type: ignore[assignment]


def _fused_pyramid(pyramid: AsppDeformable, convolved: bool) -> FusedPyramid:
    scale, shift = _scale_and_shift(pyramid.bn1)
    joint = wide(pyramid.conv1.weight).flatten(1) * scale[:, None]  # (64, 5 * 256)
    shares = joint.chunk(5, dim=1)
    branches = [
        _pyramid_branch(branch, share, convolved)
        for branch, share in zip(pyramid.branches(), shares[:-1], strict=True)
    ]
    join = _like(pyramid.conv1, shares[-1][:, :, None, None], shift)
    return FusedPyramid(branches, pyramid.global_avg_pool, join)


def _pyramid_branch(branch: AsppBranch, share: Tensor, convolved: bool) -> PyramidBranch:
    deform = branch.atrous_conv
    makers = (deform.offset_conv, deform.modulator_conv)
    steer = _like(
        deform.offset_conv,
        torch.cat([maker.weight for maker in makers]),
        torch.cat([maker.bias for maker in makers if maker.bias is not None]),
    )
    conv = folded(deform.regular_conv, branch.bn)
    assert conv.bias is not None
    matrix = conv.weight.permute(0, 2, 3, 1).flatten(1)  # (256, taps C)
    return PyramidBranch(steer, matrix, conv.bias, share.contiguous(), convolved)


def split_laterals(network: BiRefNet, convolved: bool) -> None:
    """Turn the lateral 1 x 1 convolutions into linear layers that write into their inputs."""
    for level in (4, 3, 2):
        block = network.decoder.get_submodule(f"lateral_block{level}")
        assert isinstance(block, LateralBlock)
        setattr(network.decoder, f"lateral_block{level}", PointwiseLateral(block, convolved))


def fold_last_layer(network: BiRefNet) -> None:
    """Make two convolutions and a third over the full-size picture become one, of 5 x 5 to a single
    channel: 61.6 GFLOP of 2535 at 1024 x 1024, and a gigabyte in between."""
    decoder = network.decoder
    last = decoder.conv_out1
    assert isinstance(last, LastLayer)
    weight, bias = last.conv.weight, last.conv.bias
    block = decoder.get_submodule("ipt_blk1")
    assert isinstance(block, PatchBlock)
    assert bias is not None
    decoder.ipt_blk1 = folded_patch_block(block, weight[:, last.channels :], bias)
    coarse = _like(last.conv, weight[:, : last.channels], None)
    decoder.conv_out1 = CoarseLastLayer(coarse)  # type: ignore[assignment]


def freeze_biases(network: nn.Module) -> None:
    """Look the relative position biases up once."""
    for attention in network.modules():
        if isinstance(attention, WindowAttention):
            attention.frozen_bias = attention.bias().detach()
            del attention.relative_position_bias_table, attention.relative_position_index


def stream_blocks(network: nn.Module) -> None:
    """Let Swin's blocks overwrite their tokens, a piece at a time."""
    for stage in list(network.modules()):
        if isinstance(stage, Stage):
            blocks = [block for block in stage.blocks if isinstance(block, Block)]
            channels = blocks[0].attn.qkv.in_features
            hidden = blocks[0].mlp.fc1.out_features
            stage.band_tokens = _STREAM_BYTES // (4 * 3 * channels)
            stage.blocks = nn.ModuleList(
                StreamedBlock(block, _STREAM_BYTES // (4 * hidden)) for block in blocks
            )


def convolve_linears(network: nn.Module) -> None:
    """Compute linear layers as 1 x 1 convolutions."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, _convolved(child))


def _convolved(layer: nn.Linear) -> ConvolvedLinear:
    result = ConvolvedLinear(layer.in_features, layer.out_features, device="meta")
    result.weight, result.bias = layer.weight, layer.bias
    return result


@functools.cache
def convolution_is_faster() -> bool:
    """Tell whether this CPU multiplies float32 matrices clearly faster by way of a convolution:
    both are timed once in a process, for about 50 ms together, so that all copies of a network
    answer the same to the last bit. False without oneDNN."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x, weight = torch.ones(1024, 512), torch.ones(512, 512)

    def seconds(by_convolution: bool) -> float:
        multiply = linear if by_convolution else F.linear
        times = []
        for _ in range(5):
            start = time.perf_counter()
            multiply(x, weight, None)
            times.append(time.perf_counter() - start)
        return min(times)

    with torch.no_grad():
        return seconds(by_convolution=False) > _CLEARLY_FASTER * seconds(by_convolution=True)


def _twin(network: IsNet | BiRefNet) -> IsNet | BiRefNet:
    """Return the same modules, anew, around the same storage."""
    tensors = [*network.parameters(), *network.buffers()]
    shared = {
        id(tensor): nn.Parameter(tensor.detach(), requires_grad=False)
        if isinstance(tensor, nn.Parameter)
        else tensor.detach()
        for tensor in tensors
    }
    return copy.deepcopy(network, shared)


def _scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return a batch normalisation in evaluation mode as y = scale x + shift, float32 (C,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = wide(norm.weight) / (wide(norm.running_var) + norm.eps).sqrt()
    return scale, wide(norm.bias) - wide(norm.running_mean) * scale


def _like(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Return a convolution of this weight (C', C, kh, kw) and bias that moves as `conv` does."""
    result = nn.Conv2d(
        weight.shape[1],
        weight.shape[0],
        weight.shape[2],
        stride=conv.stride[0],
        padding=cast("tuple[int, int]", conv.padding),
        dilation=conv.dilation[0],
        bias=bias is not None,
        device="meta",
    )
    result.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        result.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return result
