"""Deformable convolution against its definition, written out pixel by pixel."""

# Pins the inside of backends.local.networks.deform_conv

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rmbg_nodes.backends.local.networks import deform_conv
from rmbg_nodes.backends.local.networks.deform_conv import (
    DeformableConv2d,
    deform_conv2d,
    gathered_rows,
    weighted_rows,
)
from rmbg_nodes.bench import reference


def bilinear(plane: NDArray[np.float64], y: float, x: float) -> float:
    """The plane at a fractional place, zeros outside."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                share = (1 - abs(y - row)) * (1 - abs(x - column))
                total += share * plane[row, column]
    return total


def definition(x, offset, weight, bias, mask, stride, padding, dilation) -> Tensor:
    x, offset, weight, bias, mask = (t.numpy() for t in (x, offset, weight, bias, mask))
    kh, kw = weight.shape[2:]
    result = np.zeros((len(x), len(weight), *offset.shape[2:]))
    for b, i, j in np.ndindex(len(x), *offset.shape[2:]):
        for k in range(kh * kw):
            y = i * stride - padding + k // kw * dilation + offset[b, 2 * k, i, j]
            z = j * stride - padding + k % kw * dilation + offset[b, 2 * k + 1, i, j]
            seen = np.array([bilinear(plane, y, z) for plane in x[b]]) * mask[b, k, i, j]
            result[b, :, i, j] += weight[:, :, k // kw, k % kw] @ seen
    return torch.from_numpy(result + bias[:, None, None])


def arguments(kernel: tuple[int, int], out: tuple[int, int], spread: float) -> list[Tensor]:
    random = torch.Generator().manual_seed(7)
    taps = kernel[0] * kernel[1]
    shapes = ((2, 3, 6, 7), (2, 2 * taps, *out), (4, 3, *kernel), (4,), (2, taps, *out))
    tensors = [torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]
    tensors[1] *= spread
    return tensors


@pytest.mark.parametrize(
    ("kernel", "out", "stride", "padding", "dilation"),
    [
        ((1, 1), (6, 7), 1, 0, 1),
        ((3, 3), (6, 7), 1, 1, 1),
        ((3, 2), (2, 3), 2, 0, 1),
        ((3, 3), (6, 7), 1, 2, 2),
        ((7, 7), (6, 7), 1, 3, 1),
    ],
)
def test_it_is_the_definition(kernel, out, stride, padding, dilation) -> None:
    # Offsets of 3 pixels on a map of 6 x 7 also leave the map, far and near.
    x, offset, weight, bias, mask = arguments(kernel, out, 3.0)
    ours = deform_conv2d(
        x, offset, weight, bias, mask, stride=stride, padding=padding, dilation=dilation
    )
    wanted = definition(x, offset, weight, bias, mask, stride, padding, dilation)
    assert float((ours - wanted).abs().max()) < 1e-12


@pytest.mark.parametrize("place", [-1.0, -0.5, 0.0, 5.0, 5.5, 6.0, 6.5, 1e6, -1e6])
def test_the_edge_is_the_definition(place: float) -> None:
    x, offset, weight, bias, mask = arguments((1, 1), (6, 7), 0.0)
    offset[:, 0] = place - torch.arange(6.0)[:, None]
    ours = deform_conv2d(x, offset, weight, bias, mask)
    wanted = definition(x, offset, weight, bias, mask, 1, 0, 1)
    assert float((ours - wanted).abs().max()) < 1e-9


def test_without_offsets_it_is_a_convolution() -> None:
    x, offset, weight, bias, _ = arguments((3, 3), (6, 7), 0.0)
    wanted = torch.nn.functional.conv2d(x, weight, bias, padding=1)
    assert float((deform_conv2d(x, offset, weight, bias, padding=1) - wanted).abs().max()) < 1e-12


def test_gradients_reach_every_argument() -> None:
    x, offset, weight, bias, mask = arguments((3, 3), (6, 7), 1.0)
    tensors = [t[:1] if t.shape[0] == 2 else t for t in (x, offset, weight, bias, mask)]
    tensors = [t.clone().requires_grad_() for t in tensors]

    def convolve(*given: Tensor) -> Tensor:
        return deform_conv2d(*given, padding=1)

    assert torch.autograd.gradcheck(convolve, tensors, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_places_are_exact_in_every_dtype(dtype: torch.dtype) -> None:
    """On a row of 1000 pixels, each reads exactly its right neighbour's neighbour."""
    x = (torch.arange(1000) % 200).to(dtype).view(1, 1, 1, -1)
    offset = torch.zeros(1, 2, 1, 1000, dtype=dtype)
    offset[:, 1] = 2
    moved = deform_conv2d(x, offset, torch.ones(1, 1, 1, 1, dtype=dtype))
    assert moved.dtype == dtype
    assert moved[..., :-2].equal(x[..., 2:])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_work_in_half_precision(dtype: torch.dtype) -> None:
    layer = DeformableConv2d(4, 6, 3).to(dtype)
    layer(torch.randn(1, 4, 8, 8, dtype=dtype)).float().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, offset, weight, bias, mask = arguments((3, 3), (6, 7), 1.0)
    x, offset, mask = (t.repeat(1, 1, 4, 4) for t in (x, offset, mask))
    whole = deform_conv2d(x, offset, weight, bias, mask, padding=1)
    monkeypatch.setattr(deform_conv, "_SLICE_BYTES", {"cpu": 1})
    with torch.no_grad():
        sliced = deform_conv2d(x, offset, weight, bias, mask, padding=1)
    assert len(deform_conv.slices(24 * 28, 1000, x.device)) == 1
    with torch.no_grad():
        assert len(deform_conv.slices(24 * 28, 1000, x.device)) == 11
    assert float((whole - sliced).abs().max()) < 1e-12


def test_devices_without_bags_get_the_same() -> None:
    random = torch.Generator().manual_seed(1)
    table = torch.randn(50, 8, generator=random, dtype=torch.float64)
    rows = torch.randint(0, 50, (30, 4), generator=random)
    weights = torch.rand(30, 4, generator=random, dtype=torch.float64)
    bags, gathered = weighted_rows(table, rows, weights), gathered_rows(table, rows, weights)
    assert float((bags - gathered).abs().max()) < 1e-14


def test_an_offset_that_is_no_number_spoils_its_own_pixel_alone() -> None:
    x, offset, weight, bias, mask = arguments((3, 3), (6, 7), 1.0)
    offset[0, 0, 2, 3] = math.nan
    offset[0, 4, 5, 6] = math.inf
    y = deform_conv2d(x, offset, weight, bias, mask, padding=1)
    assert y[0, :, 2, 3].isnan().all()
    assert int(y.isnan().any(dim=1).sum()) == 1


def test_shapes_that_do_not_fit_are_refused() -> None:
    x, offset, weight, bias, mask = arguments((3, 3), (6, 7), 1.0)
    with pytest.raises(ValueError, match=r"to 4 x 5 pixels needs offsets of shape \(2, 18, 4, 5\)"):
        deform_conv2d(x, offset, weight, bias, mask)
    with pytest.raises(ValueError, match="mask"):
        deform_conv2d(x, offset, weight, bias, mask[:, :3], padding=1)


def test_the_baseline_of_the_benchmark_does_the_same() -> None:
    x, offset, weight, bias, mask = arguments((3, 3), (6, 7), 1.0)
    ours = deform_conv2d(x, offset, weight, None, mask, padding=1)
    theirs = reference.deform_conv2d(x, offset, weight, mask, 1)
    assert float((ours - theirs).abs().max()) < 1e-12
