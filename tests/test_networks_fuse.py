"""Inference copies: each trick alone changes nothing beyond rounding, and the network nothing."""

# Pins the inside of backends.local.fuse
# Pins the inside of backends.local.networks.fast
# Pins the inside of backends.local.networks.streamed

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rmbg_nodes.backends.local import fuse, inference_copy
from rmbg_nodes.backends.local.networks import streamed
from rmbg_nodes.backends.local.networks.fast import (
    ConvolvedLinear,
    FoldedPatchBlock,
    StreamedBlock,
    linear,
)
from rmbg_nodes.tests.support.networks import small_birefnet, small_isnet
from rmbg_nodes.tests.support.weights import picture

pytestmark = pytest.mark.whole

BIREFNET_TRICKS = {
    "fold batch norms": fuse.fold_batch_norms,
    "fuse pyramids": lambda network: fuse.fuse_pyramids(network, False),
    "fuse pyramids, convolved": lambda network: fuse.fuse_pyramids(network, True),
    "split laterals": lambda network: fuse.split_laterals(network, False),
    "split laterals, convolved": lambda network: fuse.split_laterals(network, True),
    "fold the last layer": fuse.fold_last_layer,
    "freeze biases": fuse.freeze_biases,
    "stream blocks": fuse.stream_blocks,
    "convolve linears": fuse.convolve_linears,
    "drop dead heads": fuse.drop_dead_heads,
    "channels last": lambda network: network.to(memory_format=torch.channels_last),
}


def worst(a: Tensor, b: Tensor) -> float:
    return float((a - b).detach().abs().max())


@pytest.fixture(scope="module")
def birefnet():
    return small_birefnet()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return picture(1, 2, 64, 96).double()


@pytest.fixture(scope="module")
def logits(birefnet, images) -> Tensor:
    with torch.no_grad():
        return birefnet(images)


@pytest.mark.parametrize("trick", BIREFNET_TRICKS, ids=str)
def test_a_trick_changes_nothing(birefnet, images, logits, trick: str) -> None:
    changed = copy.deepcopy(birefnet)
    BIREFNET_TRICKS[trick](changed)
    with torch.no_grad():
        assert worst(changed(images), logits) < 1e-11


@pytest.mark.parametrize("trick", [fuse.fold_batch_norms, fuse.drop_dead_heads])
def test_a_trick_changes_nothing_in_isnet(trick) -> None:
    network = small_isnet()
    changed = copy.deepcopy(network)
    trick(changed)
    images = picture(1, 2, 96, 160).double()
    with torch.no_grad():
        assert worst(changed(images), network(images)) < 1e-11
    assert len(list(changed.parameters())) < len(list(network.parameters()))


@pytest.mark.parametrize("band_bytes", [1, 10_000, 10**9])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("size", [(1, 96, 160), (2, 128, 64)])
def test_the_height_of_a_band_changes_nothing(
    band_bytes: int, channels_last: bool, size, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows at the edges of bands are neither lost nor read after they were written over, where a
    height halves exactly and where it does not (96: 48, 24, 12, 6, 3, 2)."""
    monkeypatch.setattr(streamed, "_BAND_BYTES", band_bytes)
    network = small_isnet()
    images = picture(4, *size).double()
    fast = inference_copy(network, dtype=torch.float64, channels_last=channels_last)
    with torch.no_grad():
        assert worst(fast(images), network(images)) < 1e-11


@pytest.mark.parametrize("rows", [(0, 9), (0, 1), (3, 5), (4, 9), (8, 9)])
@pytest.mark.parametrize(
    "conv",
    [nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(3, 2, 3, padding=2, dilation=2),
     nn.Conv2d(3, 2, 3, stride=2, padding=1)],
    ids=["plain", "dilated", "strided"],
)  # fmt: skip
def test_some_rows_of_a_convolution(rows: tuple[int, int], conv: nn.Conv2d) -> None:
    x = torch.randn(1, 3, 18 if conv.stride[0] == 2 else 9, 7)
    answer = streamed.convolved(conv, streamed.rows_of(x))
    with torch.no_grad():
        wanted = conv(x)
        assert answer.shape == wanted.shape
        assert worst(answer.between(*rows), wanted[:, :, slice(*rows)]) < 1e-6


@pytest.mark.parametrize("height", [9, 10])
def test_some_rows_of_a_pooled_map(height: int) -> None:
    x = torch.randn(1, 2, height, 7)
    answer = streamed.pooled(x)
    wanted = F.max_pool2d(x, 2, stride=2, ceil_mode=True)
    assert answer.shape == wanted.shape
    for lo, hi in ((0, 5), (0, 1), (2, 5), (4, 5)):
        assert answer.between(lo, hi).equal(wanted[:, :, lo:hi])


@pytest.mark.parametrize("rows", [(0, 12), (0, 1), (1, 2), (4, 7), (5, 8), (11, 12)])
def test_some_rows_of_a_joined_map(rows: tuple[int, int]) -> None:
    below, skip = torch.randn(1, 2, 6, 5), torch.randn(1, 3, 12, 9)
    up = F.interpolate(below, size=(12, 9), mode="bilinear", align_corners=False)
    wanted = torch.cat((up, skip), dim=1)
    answer = streamed.joined(below, skip)
    assert answer.shape == wanted.shape
    assert worst(answer.between(*rows), wanted[:, :, slice(*rows)]) < 1e-6


@pytest.mark.parametrize("make", [small_birefnet, small_isnet])
@pytest.mark.parametrize("size", [(1, 64, 96), (2, 32, 160)])
def test_all_tricks_together_change_nothing(make, size) -> None:
    network = make()
    images = picture(2, *size).double()
    fast = inference_copy(network, dtype=torch.float64)
    with torch.no_grad():
        assert worst(fast(images), network(images)) < 1e-10


@pytest.mark.parametrize("make", [small_birefnet, small_isnet])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1), (torch.float16, 0.02)]
)
def test_every_dtype_and_layout(make, channels_last, dtype, tolerance) -> None:
    network = make(torch.float32)
    images = picture(3, 1, 32, 64)
    fast = inference_copy(network, dtype=dtype, channels_last=channels_last)
    assert {parameter.dtype for parameter in fast.parameters()} == {dtype}
    with torch.no_grad():
        logits = fast(images)
        assert logits.dtype == torch.float32
        assert worst(logits.sigmoid(), network(images).sigmoid()) < tolerance


@pytest.mark.parametrize("make", [small_birefnet, small_isnet])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_network_stays_as_it_is(make, dtype) -> None:
    network = make(torch.float32)
    images = picture(3, 1, 32, 64)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    strides = {key: value.stride() for key, value in network.state_dict().items()}
    inference_copy(network, dtype=dtype)(images)
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(after[key].equal(before[key]) for key in before)
    assert strides == {key: value.stride() for key, value in after.items()}
    assert all(parameter.requires_grad for parameter in network.parameters())
    network(images).sum().backward()


def test_unchanged_tensors_are_shared() -> None:
    network = small_birefnet(torch.float32)
    fast = inference_copy(network)
    shared = {parameter.data_ptr() for parameter in network.parameters()}
    for name in ("layers.0.blocks.0.mlp.fc1.weight", "layers.3.blocks.1.attn.qkv.weight"):
        assert fast.get_parameter(f"network.bb.{name}").data_ptr() in shared


def test_nothing_is_recorded_for_gradients() -> None:
    logits = inference_copy(small_birefnet(torch.float32))(picture(1, 1, 64, 64).requires_grad_())
    assert not logits.requires_grad


def test_the_copy_can_be_run_again() -> None:
    """Blocks that write into their input must not write into anything that lasts."""
    fast = inference_copy(small_birefnet(torch.float32))
    images = picture(1, 1, 64, 64)
    kept = images.clone()
    assert fast(images).equal(fast(images))
    assert images.equal(kept)


def test_half_weights_need_no_float32_network() -> None:
    network = small_birefnet(torch.float32).half()
    wanted = inference_copy(small_birefnet(torch.float32))(picture(1, 1, 64, 64))
    logits = inference_copy(network, dtype=torch.float16)(picture(1, 1, 64, 64))
    assert worst(logits.sigmoid(), wanted.sigmoid()) < 0.02


@pytest.mark.parametrize(("band_tokens", "chunk"), [(1, 1), (50, 7), (10**9, 10**9)])
def test_the_size_of_the_pieces_changes_nothing(
    birefnet, images, logits, band_tokens: int, chunk: int
) -> None:
    changed = copy.deepcopy(birefnet)
    fuse.stream_blocks(changed)
    for stage in changed.bb.stages():
        stage.band_tokens = band_tokens
    for block in changed.modules():
        if isinstance(block, StreamedBlock):
            block.chunk = chunk
    with torch.no_grad():
        assert worst(changed(images), logits) < 1e-11


@pytest.mark.parametrize("shape", [(5, 12), (384, 12), (2, 800, 12), (3, 16, 16, 12)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_as_a_convolution(shape: tuple[int, ...], bias: bool) -> None:
    layer = ConvolvedLinear(12, 20, bias=bias).double()
    x = torch.randn(shape, dtype=torch.float64)
    y = layer(x)
    assert y.shape == (*shape[:-1], 20)
    assert worst(y, F.linear(x, layer.weight, layer.bias)) < 1e-13
    assert worst(linear(x.mT.contiguous().mT, layer.weight, layer.bias), y) < 1e-13


@pytest.mark.parametrize("size", [(8, 8), (5, 3), (3, 40)])
def test_the_frame_of_the_folded_patch_block(size: tuple[int, int]) -> None:
    """Inside, one 5 x 5 convolution; the frame of one pixel would differ without its own way."""
    first = nn.Conv2d(3, 6, 3, padding=1).double()
    second = nn.Conv2d(6, 1, 3, padding=1).double()
    block = FoldedPatchBlock(first, second).double()
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        wanted = second(first(images))
        assert worst(block(images), wanted) < 1e-13
        assert worst(block.both(images), wanted) > 1e-3


def test_fewer_parameters_and_no_integers_are_left() -> None:
    network = small_birefnet(torch.float32)
    fast = inference_copy(network)
    kinds = {type(module).__name__ for module in fast.modules()}
    assert not kinds & {"BatchNorm2d", "AsppDeformable", "Block", "LastLayer"}
    assert all(buffer.is_floating_point() for buffer in fast.buffers())
