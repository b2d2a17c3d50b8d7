"""Which network some weights belong to, and what is said when they belong to none."""

# Pins the inside of backends.local.detect
# Pins the inside of backends.local.networks.birefnet
# Pins the inside of backends.local.networks.isnet
# Pins the inside of backends.local.networks.swin
# Pins the inside of backends.local.released

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

import rmbg_nodes
from rmbg_nodes.backends.local import network_from_state_dict
from rmbg_nodes.backends.local.detect import detect
from rmbg_nodes.backends.local.networks.birefnet import BiRefNet, BiRefNetConfig
from rmbg_nodes.backends.local.networks.isnet import IsNet
from rmbg_nodes.backends.local.networks.swin import SwinConfig
from rmbg_nodes.backends.local.released import RELEASED, Released
from rmbg_nodes.core.errors import BadOption, WeightsUnusable
from rmbg_nodes.tests.support.networks import small_birefnet, small_isnet

SWIN_L = SwinConfig(192, (2, 2, 18, 2), (6, 12, 24, 48), 12)
SWIN_T = SwinConfig(96, (2, 2, 6, 2), (3, 6, 12, 24), 7)
DEEPENED = SwinConfig(192, (2, 2, 24, 2), (6, 12, 24, 48), 12)


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return dict(small_birefnet(torch.float32).state_dict())


@pytest.mark.parametrize("swin", [SWIN_L, SWIN_T, DEEPENED], ids=["large", "tiny", "deepened"])
def test_the_backbone_is_read_from_the_weights(swin: SwinConfig) -> None:
    with torch.device("meta"):
        network = BiRefNet(BiRefNetConfig(swin))
    assert detect(network.state_dict()) == BiRefNetConfig(swin)


def test_widths_of_isnet_are_read_from_the_weights() -> None:
    network = small_isnet(torch.float32)
    again = network_from_state_dict(network.state_dict())
    assert isinstance(again, IsNet)
    assert again.get_parameter("stage3d.rebnconvin.conv_s1.weight").shape == (8, 24, 3, 3)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_prefixes_of_wrappers_are_dropped(weights: dict[str, Tensor], prefix: str) -> None:
    network = network_from_state_dict({prefix + key: value for key, value in weights.items()})
    assert set(network.state_dict()) == set(weights)


def test_weights_are_held_not_copied_in_their_own_dtype(weights: dict[str, Tensor]) -> None:
    halves = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    network = network_from_state_dict(halves)
    assert not network.training
    for key, parameter in network.named_parameters():
        assert parameter.data_ptr() == halves[key].data_ptr(), key
        assert parameter.requires_grad


def test_constants_are_never_taken_from_the_file(weights: dict[str, Tensor]) -> None:
    index = "bb.layers.0.blocks.0.attn.relative_position_index"
    poisoned = {**weights, index: torch.full_like(weights[index], 10**9)}
    assert network_from_state_dict(poisoned).state_dict()[index].max() < 13 * 13
    bare = {k: v for k, v in weights.items() if v.is_floating_point()}
    assert (
        network_from_state_dict(bare)
        .state_dict()[index]
        .equal(network_from_state_dict(weights).state_dict()[index])
    )


def refusal(weights: dict[str, Tensor]) -> str:
    with pytest.raises(WeightsUnusable) as caught:
        network_from_state_dict(weights)
    return str(caught.value)


def test_a_difference_is_named(weights: dict[str, Tensor]) -> None:
    key = "decoder.conv_out1.0.weight"
    missing = {k: v for k, v in weights.items() if k != key}
    assert f"1 missing: {key}" in refusal(missing)
    assert "1 unknown: decoder.extra" in refusal({**weights, "decoder.extra": torch.zeros(1)})
    text = refusal({**weights, key: torch.zeros(1, 8, 1, 1)})
    assert f"{key} is 1 x 8 x 1 x 1 and should be 1 x 20 x 1 x 1" in text
    assert "torch.int8" in refusal({**weights, key: weights[key].to(torch.int8)})


def test_only_the_first_differences_are_named(weights: dict[str, Tensor]) -> None:
    text = refusal({k: v for k, v in weights.items() if not k.startswith("decoder.gdt")})
    assert "missing" in text
    assert len(text) < 400


def test_a_file_cut_short_is_refused(weights: dict[str, Tensor]) -> None:
    for count in (1, 8, 20, 200):
        assert refusal(dict(list(weights.items())[:count]))


def test_other_networks_are_refused() -> None:
    assert "0.weight, 0.bias" in refusal(dict(nn.Sequential(nn.Conv2d(3, 8, 3)).state_dict()))
    assert "nothing" in refusal({})


def test_a_table_of_no_shape_is_refused(weights: dict[str, Tensor]) -> None:
    key = "bb.layers.0.blocks.0.attn.relative_position_bias_table"
    for damaged in (torch.zeros(()), torch.zeros(0, 1), torch.zeros(10)):
        assert key in refusal({**weights, key: damaged})


def test_heads_that_do_not_divide_the_channels_are_refused(weights: dict[str, Tensor]) -> None:
    changed = dict(weights)
    for block in range(2):
        key = f"bb.layers.3.blocks.{block}.attn.relative_position_bias_table"
        changed[key] = torch.zeros(13 * 13, 3)
    assert "(1, 2, 2, 3) attention heads" in refusal(changed)


def test_an_unknown_patch_order_is_refused(weights: dict[str, Tensor]) -> None:
    with pytest.raises(BadOption, match='"wg hg c" or "c hg wg"'):
        network_from_state_dict(weights, patch_order="hg wg c")  # type: ignore[arg-type]


def test_the_refusal_is_one_of_ours() -> None:
    assert issubclass(WeightsUnusable, rmbg_nodes.RmbgError)


def published_size(swin: SwinConfig, dtype: torch.dtype) -> int:
    """Bytes of a safetensors file with every tensor of a BiRefNet, as PyTorch users write it."""
    with torch.device("meta"):
        tensors = BiRefNet(BiRefNetConfig(swin)).state_dict()
    rows = [
        (name, dtype if value.is_floating_point() else value.dtype, list(value.shape))
        for name, value in tensors.items()
    ]
    rows.sort(key=lambda row: (-row[1].itemsize, row[0]))
    names = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64"}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, kind, shape in rows:
        start, end = end, end + torch.Size(shape).numel() * kind.itemsize
        header[name] = {"dtype": names[kind], "shape": shape, "data_offsets": [start, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + -(-length // 8) * 8 + end


FAMILY = [row for row in RELEASED if "birefnet" in row.model or row.model == "lucida"]


@pytest.mark.parametrize("row", FAMILY, ids=lambda row: f"{row.model} {row.dtype}")
def test_a_published_file_has_the_size_of_our_network(row: Released) -> None:
    """To the byte: a name, a shape or a type that is another would show."""
    swin = SWIN_T if "lite" in row.model else SWIN_L
    assert row.size == published_size(swin, getattr(torch, row.dtype))


def test_the_family_is_whole() -> None:
    models = {row.model.removeprefix("birefnet") for row in FAMILY}
    assert models == {
        "", "-hr", "-dynamic", "-lite", "-lite-2k", "-matting", "-hr-matting", "-portrait", "lucida"
    }  # fmt: skip
    # Trained after November 2024: the publisher's news of February and March 2025, and what was
    # tuned from them.
    newer = {row.model for row in FAMILY if row.patch_order == "c hg wg"}
    assert newer == {"birefnet-hr", "birefnet-dynamic", "birefnet-hr-matting", "lucida"}
