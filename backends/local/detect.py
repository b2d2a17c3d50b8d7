"""Which network a file's weights belong to, read from their names and shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import get_args

import torch
from torch import Tensor

from ...core.errors import BadOption, WeightsUnusable
from .networks.birefnet import BiRefNet, BiRefNetConfig, PatchOrder
from .networks.isnet import STAGES, IsNet, IsNetConfig
from .networks.swin import SwinConfig, relative_positions

# What wrappers put before every name: data-parallel training, torch.compile, in either order.
_PREFIXES = ("module.", "_orig_mod.")
# Not learnt, and left out by some converters: counters and constants. Never read from a file.
_DERIVED = ("num_batches_tracked", "relative_position_index")
_NAMED = 3

Weights = Mapping[str, Tensor]


def network_from_state_dict(
    state_dict: Weights, *, patch_order: PatchOrder = "wg hg c"
) -> IsNet | BiRefNet:
    """Return the network that these weights belong to, holding them (not copied, their own dtype),
    in evaluation mode on their own device.

    Its forward maps normalised pictures (B, 3, H, W), H and W multiples of 32, to logits
    (B, 1, H, W). patch_order matters to BiRefNet alone: "c hg wg" for weights that were trained
    after November 2024. Raises WeightsUnusable when names or shapes are not those of RMBG-1.4,
    RMBG-2.0 or a BiRefNet with a Swin backbone, BadOption for an unknown patch order.
    """
    if patch_order not in get_args(PatchOrder):
        choices = " or ".join(f'"{order}"' for order in get_args(PatchOrder))
        raise BadOption(f"patch_order must be {choices}, not {patch_order!r}.")
    weights = without_prefixes(state_dict)
    config = detect(weights, patch_order)
    with torch.device("meta"):
        network = IsNet(config) if isinstance(config, IsNetConfig) else BiRefNet(config)
    wanted = network.state_dict()
    name = "RMBG-1.4 (IS-Net)" if isinstance(config, IsNetConfig) else "RMBG-2.0 (BiRefNet)"
    check(weights, wanted, name)
    device = next(iter(weights.values())).device
    found = {
        key: _derived(key, like, device) if key.endswith(_DERIVED) else weights[key]
        for key, like in wanted.items()
    }
    network.load_state_dict(found, strict=True, assign=True)
    return network.eval()


def architecture_of(network: IsNet | BiRefNet) -> str:
    """Return what its authors call it, whoever trained these weights: "IS-Net" or "BiRefNet"."""
    return "IS-Net" if isinstance(network, IsNet) else "BiRefNet"


def without_prefixes(state_dict: Weights) -> dict[str, Tensor]:
    """Return the same weights under the names that the published files use."""
    stripped = {}
    for key, value in state_dict.items():
        while key.startswith(_PREFIXES):
            key = key.split(".", 1)[1]
        stripped[key] = value
    return stripped


def detect(weights: Weights, patch_order: PatchOrder = "wg hg c") -> IsNetConfig | BiRefNetConfig:
    """Return the network's hyper-parameters. Raises WeightsUnusable for one that we do not know."""
    if "bb.layers.0.blocks.0.attn.relative_position_bias_table" in weights:
        return BiRefNetConfig(_swin(weights), patch_order)
    if "stage1.rebnconvin.conv_s1.weight" in weights:
        return _isnet(weights)
    some = ", ".join(list(weights)[:_NAMED]) or "nothing"
    raise WeightsUnusable(
        "These weights are neither RMBG-1.4 nor RMBG-2.0 nor a BiRefNet with a Swin backbone "
        f"(they begin with {some}). Choose the file of one of these models."
    )


def check(weights: Weights, wanted: Weights, name: str) -> None:
    """Raise WeightsUnusable, naming the first differences, unless the weights are exactly those
    that the network wants. Constants and counters are made here."""
    learnt = [key for key in wanted if not key.endswith(_DERIVED)]
    there = [key for key in learnt if key in weights]
    missing = [key for key in learnt if key not in weights]
    unknown = [key for key in weights if key not in wanted]
    shaped = [
        f"{key} is {_shape(weights[key])} and should be {_shape(wanted[key])}"
        for key in there
        if weights[key].shape != wanted[key].shape
    ]
    typed = [
        f"{key} is {weights[key].dtype}" for key in there if not weights[key].is_floating_point()
    ]
    differences = [
        f"{len(keys)} {what}: {', '.join(keys[:_NAMED])}{', ...' if len(keys) > _NAMED else ''}"
        for keys, what in (
            (missing, "missing"),
            (unknown, "unknown"),
            (shaped, "of another shape"),
            (typed, "not floating point"),
        )
        if keys
    ]
    if differences:
        raise WeightsUnusable(
            f"These weights do not fit {name} ({'; '.join(differences)}). Get the file again, or "
            "choose the model that it belongs to."
        )


def _swin(weights: Weights) -> SwinConfig:
    block = re.compile(r"bb\.layers\.([0-3])\.blocks\.(\d+)\.attn\.relative_position_bias_table")
    depths = [0, 0, 0, 0]
    for key in weights:
        found = block.fullmatch(key)
        if found:
            depths[int(found[1])] += 1
    tables = [f"bb.layers.{stage}.blocks.0.attn.relative_position_bias_table" for stage in range(4)]
    heads = tuple(_size(weights, table, 1) for table in tables)
    reach = math.isqrt(_size(weights, tables[0], 0))  # 2 window - 1
    embed = _size(weights, "bb.patch_embed.proj.weight", 0)
    hidden = _size(weights, "bb.layers.0.blocks.0.mlp.fc1.weight", 0)
    swin = SwinConfig(embed, tuple(depths), heads, (reach + 1) // 2, hidden // embed)
    if any(channels % count for channels, count in zip(swin.channels, heads, strict=True)):
        raise WeightsUnusable(
            f"These weights are damaged: {heads} attention heads cannot share {swin.channels} "
            "channels. Get the file again."
        )
    return swin


def _isnet(weights: Weights) -> IsNetConfig:
    stages = {}
    for name in STAGES:
        entry, first = f"{name}.rebnconvin.conv_s1.weight", f"{name}.rebnconv1.conv_s1.weight"
        channels, out_channels = _size(weights, entry, 1), _size(weights, entry, 0)
        stages[name] = (channels, _size(weights, first, 0), out_channels)
    return IsNetConfig(_size(weights, "conv_in.weight", 0), stages)


def _size(weights: Weights, key: str, axis: int) -> int:
    """Return one size of one tensor; WeightsUnusable when there is no such thing."""
    value = weights.get(key)
    if value is None or value.ndim <= axis or not value.shape[axis]:
        found = "is missing" if value is None else f"has the shape {_shape(value)}"
        raise WeightsUnusable(
            f"These weights are damaged or belong to another network: {key} {found}. "
            "Get the file again."
        )
    return value.shape[axis]


def _derived(key: str, like: Tensor, device: torch.device) -> Tensor:
    """Make a constant or counter here: whatever a file says, an index stays in its range."""
    if key.endswith("relative_position_index"):
        return relative_positions(math.isqrt(like.shape[0])).to(device)
    return torch.zeros((), dtype=like.dtype, device=device)


def _shape(value: Tensor) -> str:
    return " x ".join(str(size) for size in value.shape) or "a single number"
