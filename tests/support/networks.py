"""Small networks with the structure of the real ones, for tests that need no published size."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from rmbg_nodes.backends.local import network_from_state_dict
from rmbg_nodes.backends.local.networks.birefnet import BiRefNet, BiRefNetConfig, PatchOrder
from rmbg_nodes.backends.local.networks.isnet import STAGES, IsNet, IsNetConfig
from rmbg_nodes.backends.local.networks.swin import SwinConfig
from rmbg_nodes.tests.support.weights import weights_like

SMALL_SWIN = SwinConfig(embed=16, depths=(2, 2, 2, 2), heads=(1, 2, 2, 4), window=7)
_OUT = (8, 8, 12, 16, 16, 16, 16, 12, 8, 8, 8)


def small_birefnet(
    dtype: torch.dtype = torch.float64, patch_order: PatchOrder = "wg hg c"
) -> BiRefNet:
    weights = {key: value.clone() for key, value in _birefnet_weights().items()}
    network = network_from_state_dict(weights, patch_order=patch_order).to(dtype)
    assert isinstance(network, BiRefNet)
    return network


def small_isnet(dtype: torch.dtype = torch.float64) -> IsNet:
    weights = {key: value.clone() for key, value in _isnet_weights().items()}
    network = network_from_state_dict(weights).to(dtype)
    assert isinstance(network, IsNet)
    return network


@cache
def _birefnet_weights() -> dict[str, Tensor]:
    with torch.device("meta"):
        network = BiRefNet(BiRefNetConfig(SMALL_SWIN))
    return weights_like(network)


@cache
def _isnet_weights() -> dict[str, Tensor]:
    encoder = zip(STAGES[:6], (8, *_OUT), _OUT, strict=False)
    stages = {name: (channels, 4, out) for name, channels, out in encoder}
    below = _OUT[5]
    for name, out in zip(STAGES[6:], _OUT[6:], strict=True):
        stages[name] = (below + stages[name.removesuffix("d")][2], 4, out)
        below = out
    with torch.device("meta"):
        network = IsNet(IsNetConfig(8, stages))
    return weights_like(network)
