"""Steady: flicker goes, motion stays, nothing crosses a cut, and a run can go on anywhere."""

# Pins the inside of core.steady

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.core.steady import LOOK_AHEAD, Steady

HEIGHT, WIDTH = 90, 121


def texture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """A picture with detail of every size."""
    made = torch.Generator().manual_seed(seed)
    planes = torch.zeros(1, 3, height, width)
    for cells in (5, 11, 23, 47):
        noise = torch.rand(1, 3, cells, cells, generator=made)
        planes += torch.nn.functional.interpolate(noise, size=(height, width), mode="bilinear")
    return (planes / 4)[0].permute(1, 2, 0).contiguous()


def disc(x: float, y: float, radius: float = 18) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    distance = ((columns - x) ** 2 + (rows - y) ** 2).sqrt()
    return (radius - distance + 0.5).clamp(0, 1)


def scene(x: float, y: float = 45, seed: int = 1) -> tuple[Tensor, Tensor]:
    """A disc with a texture that it carries along, before another; pixels and true alpha."""
    alpha = disc(x, y)
    carried = torch.roll(texture(seed + 100), (round(y), round(x)), (0, 1)) * 0.6 + 0.4
    return torch.lerp(texture(seed) * 0.6, carried, alpha[..., None]), alpha


def run(frames: list[tuple[Tensor, Tensor]], steady: Steady) -> list[Tensor]:
    results = [result for frame in frames for result in steady.push(*frame)]
    return results + steady.finish()


def test_nothing_changes_at_strength_0_and_nothing_waits() -> None:
    steady = Steady(0)
    pixels, alpha = scene(50)
    (result,) = steady.push(pixels, alpha)
    assert torch.equal(result, alpha)
    assert steady.finish() == []
    assert (steady.look_ahead, steady.look_back) == (0, 0)


@pytest.mark.parametrize("count", range(9))
def test_every_frame_comes_once_in_order_after_its_look_ahead(count: int) -> None:
    pixels = texture(1, 20, 31)
    steady = Steady(1.0, look_ahead=2)
    came = []
    for index in range(count):
        results = steady.push(pixels, torch.full((20, 31), index / 10))
        assert len(results) == (1 if index >= 2 else 0)
        came += results
    came += steady.finish()
    assert len(came) == count
    means = [float(result.mean()) for result in came]
    assert means == sorted(means)
    assert steady.finish() == []


def test_a_hole_in_one_frame_is_repaired_and_the_others_keep_theirs() -> None:
    frames = [scene(50) for _ in range(9)]
    truth = frames[4][1]
    holed = truth.clone()
    holed[40:50, 45:55] = 0
    frames[4] = (frames[4][0], holed)
    results = run(frames, Steady(1.0))
    assert float((results[4] - truth).abs().mean()) < 0.2 * float((holed - truth).abs().mean())
    assert float((results[0] - truth).abs().max()) < 1e-5


def test_a_moving_disc_is_not_smeared() -> None:
    frames = [scene(30 + 5 * index) for index in range(12)]
    for result, (_, truth) in zip(run(frames, Steady(1.0)), frames, strict=True):
        assert float((result - truth).abs().mean()) < 0.004


def test_nothing_crosses_a_cut() -> None:
    first = [scene(40) for _ in range(5)]
    second = [scene(80, 30, seed=7) for _ in range(5)]
    alone = run(first, Steady(1.0)) + run(second, Steady(1.0))
    for cut, whole in zip(run(first + second, Steady(1.0)), alone, strict=True):
        assert torch.equal(cut, whole)


def test_a_run_goes_on_exactly_when_the_look_back_is_pushed_again() -> None:
    flicker = torch.Generator().manual_seed(3)
    frames = []
    for index in range(14):
        pixels, alpha = scene(40 + 2 * index)
        noise = torch.rand(alpha.shape, generator=flicker)
        frames.append((pixels, (alpha + 0.3 * noise - 0.15).clamp(0, 1)))
    whole = run(frames, Steady(1.0))
    steady = Steady(1.0)
    start = 9
    again = run(frames[start - steady.look_back :], steady)[steady.look_back :]
    assert len(again) == len(whole) - start
    for one, other in zip(again, whole[start:], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (17, 16), (33, 65), (721, 1283)])
def test_every_size_is_taken(size: tuple[int, int]) -> None:
    frames = [(texture(index, *size), torch.full(size, 0.5)) for index in range(3)]
    results = run(frames, Steady(1.0, look_ahead=1))
    assert [tuple(result.shape) for result in results] == [size] * 3
    assert all(float((result - 0.5).abs().max()) < 1e-6 for result in results)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(BadOption, match="steadiness"):
        Steady(1.5)
    with pytest.raises(ValueError, match="look_ahead"):
        Steady(1.0, look_ahead=0)
    steady = Steady(1.0, look_ahead=LOOK_AHEAD)
    with pytest.raises(BadPicture):
        steady.push(texture(1, 20, 20), torch.zeros(20, 21))
    steady.push(texture(1, 20, 20), torch.zeros(20, 20))
    with pytest.raises(BadPicture, match="size"):
        steady.push(texture(1, 20, 21), torch.zeros(20, 21))
