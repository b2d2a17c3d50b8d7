"""Swin's windows as indices, against padding, rolling and cutting."""

# Pins the inside of backends.local.networks.swin
# Pins the inside of backends.local.networks.windows

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rmbg_nodes.backends.local.networks.swin import Mlp, Stage, relative_positions
from rmbg_nodes.backends.local.networks.windows import window_bands
from rmbg_nodes.bench import reference
from rmbg_nodes.tests.support.networks import small_birefnet
from rmbg_nodes.tests.support.weights import picture

EVERYTHING = 1 << 62


@pytest.fixture(scope="module")
def network():
    return small_birefnet()


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("most", [1, 40, EVERYTHING])
@pytest.mark.parametrize(("height", "width"), [(14, 14), (16, 5), (1, 1), (7, 22), (3, 40)])
def test_windows_hold_every_token_once(height: int, width: int, shift: int, most: int) -> None:
    bands = window_bands(height, width, 7, shift, most)
    tokens = torch.cat([band.tokens for band in bands])
    assert tokens.sort().values.equal(torch.arange(height * width))
    windows = 0
    for band in bands:
        assert band.places[band.back].equal(torch.arange(len(band.tokens)))
        assert len(band.back) + len(band.padding) == len(band.places)
        assert len(band.places) == 49 * sum(run.windows for run in band.runs)
        assert most < EVERYTHING or len(bands) <= 2
        windows += sum(run.windows for run in band.runs)
    assert windows == -(-height // 7) * -(-width // 7)


@pytest.mark.parametrize(("height", "width"), [(14, 14), (16, 5), (7, 22)])
def test_tokens_and_masks_are_those_of_a_rolled_map(height: int, width: int) -> None:
    window, shift = 7, 3
    x = torch.arange(1.0, height * width + 1).view(1, height, width, 1)
    padded = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    rolled = reference.cut(torch.roll(padded, (-shift, -shift), (1, 2)), window).squeeze(-1)
    masks = reference.shift_mask(height, width, window)
    wanted = {tuple(row.tolist()): mask for row, mask in zip(rolled, masks, strict=True)}
    for band in window_bands(height, width, window, shift, EVERYTHING):
        seen = (band.tokens[band.places] + 1.0).index_fill(0, band.padding, 0)
        masks_of = [run.mask for run in band.runs for _ in range(run.windows)]
        for row, mask in zip(seen.view(-1, window * window), masks_of, strict=True):
            theirs = wanted.pop(tuple(row.tolist()))
            assert theirs.equal(torch.zeros_like(theirs) if mask is None else mask)
    assert not wanted


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (48, 32)])
def test_the_maps_are_those_of_the_paper(network, height: int, width: int) -> None:
    images = picture(5, 2, height, width).double()
    with torch.no_grad():
        ours, theirs = network.bb(images), reference.swin(network.bb, images)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert float((a - b).abs().max()) < 1e-11


@pytest.mark.parametrize("most", [1, 300])
def test_the_size_of_a_band_changes_nothing(network, most: int) -> None:
    images = picture(6, 2, 128, 96).double()
    stages = [module for module in network.modules() if isinstance(module, Stage)]
    with torch.no_grad():
        whole = network.bb(images)
        for stage in stages:
            stage.band_tokens = most
        banded = network.bb(images)
        for stage in stages:
            stage.band_tokens = EVERYTHING
    assert max(float((a - b).abs().max()) for a, b in zip(whole, banded, strict=True)) < 1e-12


def test_layouts_are_kept_in_bounds_and_off_the_device(network) -> None:
    stage = network.bb.stages()[0]
    for width in range(1, 200):
        stage.bands(7, width, 0, EVERYTHING)
    assert len(stage._kept) <= 64
    assert stage.bands(7, 7, 0, EVERYTHING) is stage.bands(7, 7, 0, EVERYTHING)
    assert stage.bands(7, 7, 0, EVERYTHING)[0].tokens.device.type == "cpu"


def test_relative_positions_by_hand() -> None:
    assert relative_positions(2).tolist() == [
        [4, 3, 1, 0],
        [5, 4, 2, 1],
        [7, 6, 4, 3],
        [8, 7, 5, 4],
    ]


def test_gelu_is_the_exact_one() -> None:
    mlp = Mlp(1, 1).double()
    mlp.load_state_dict(
        {
            key: torch.full_like(value, float("weight" in key))
            for key, value in mlp.state_dict().items()
        }
    )
    x = torch.tensor([[1.3]], dtype=torch.float64)
    exact = x * 0.5 * (1 + torch.erf(x / 2**0.5))
    assert abs(mlp(x).item() - exact.item()) < 1e-14


def test_layer_norms_use_the_published_epsilon(network) -> None:
    norms = [module for module in network.modules() if isinstance(module, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-5}
    batch_norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.eps for norm in batch_norms} == {1e-5}
