"""Steady: flicker goes, motion stays, nothing crosses a cut, and a run can go on anywhere."""

# Pins the inside of core.steady

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import Tensor

from rmbg_nodes.bench.sequence_metrics import dtssd
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


def flickering(frames: list[tuple[Tensor, Tensor]]) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Patches of alpha that come and go, another in every frame; and the true alpha, (T, H, W)."""
    made = torch.Generator().manual_seed(11)
    truths = torch.stack([alpha for _, alpha in frames])
    spoilt = []
    for pixels, alpha in frames:
        cells = torch.rand(1, 1, 9, 12, generator=made)
        patches = torch.nn.functional.interpolate(cells, size=alpha.shape, mode="bilinear")[0, 0]
        spoilt.append((pixels, (alpha + 0.5 * (patches - 0.5)).clamp(0, 1)))
    return spoilt, truths


def mean_absolute(alphas: Tensor, truths: Tensor) -> float:
    return float((alphas - truths).abs().mean())


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
    assert float((results[4] - truth).abs().max()) < 0.1
    assert all(float((results[near] - truth).abs().max()) < 0.05 for near in (3, 5))
    assert float((results[0] - truth).abs().max()) < 1e-5


def test_a_moving_disc_is_not_smeared() -> None:
    frames = [scene(30 + 5 * index) for index in range(12)]
    for result, (_, truth) in zip(run(frames, Steady(1.0)), frames, strict=True):
        assert float((result - truth).abs().mean()) < 0.004


def test_flicker_of_a_still_scene_goes_down_to_a_third() -> None:
    frames, truths = flickering([scene(60) for _ in range(16)])
    steadied = torch.stack(run(frames, Steady(1.0)))
    own = torch.stack([alpha for _, alpha in frames])
    assert dtssd(steadied, truths) < dtssd(own, truths) / 3
    assert mean_absolute(steadied, truths) < mean_absolute(own, truths)
    half = torch.stack(run(frames, Steady(0.5)))
    assert dtssd(steadied, truths) < dtssd(half, truths) < dtssd(own, truths)


@pytest.mark.parametrize("speed", [0, 4])
def test_a_step_of_the_exposure_is_no_cut_and_hides_no_flicker(speed: int) -> None:
    clean = [scene(40 + speed * index) for index in range(12)]
    dark = [
        (pixels * (0.6 if index >= 6 else 1), alpha) for index, (pixels, alpha) in enumerate(clean)
    ]
    frames, truths = flickering(dark)
    steadied = torch.stack(run(frames, Steady(1.0)))
    own = torch.stack([alpha for _, alpha in frames])
    assert dtssd(steadied[4:8], truths[4:8]) < 0.5 * dtssd(own[4:8], truths[4:8])


def test_a_shaking_camera_is_followed() -> None:
    large, alpha = texture(5, HEIGHT + 20, WIDTH + 20), disc(60, 45)
    shaken = []
    for right, down in ((0, 0), (7, 3), (2, 9), (9, 1), (4, 4), (0, 8), (6, 6), (3, 0), (8, 9)):
        shift = (slice(down, down + HEIGHT), slice(right, right + WIDTH))
        moved = torch.zeros(HEIGHT + 20, WIDTH + 20)
        moved[10 : 10 + HEIGHT, 10 : 10 + WIDTH] = alpha
        shaken.append((large[shift], moved[shift]))
    frames, truths = flickering(shaken)
    steadied = torch.stack(run(frames, Steady(1.0)))
    own = torch.stack([alpha for _, alpha in frames])
    assert dtssd(steadied, truths) < 0.6 * dtssd(own, truths)


def test_the_same_comes_out_again_and_no_more_is_kept_than_the_window() -> None:
    frames, _ = flickering([scene(30 + 2 * index) for index in range(20)])
    steady, again = Steady(1.0), Steady(1.0)
    alive: list[weakref.ref[Tensor]] = []
    for pixels, alpha in frames:
        given = alpha.clone()
        alive.append(weakref.ref(given))
        for one, other in zip(steady.push(pixels, given), again.push(pixels, alpha), strict=True):
            assert torch.equal(one, other)
        del given
        gc.collect()
        assert sum(one() is not None for one in alive) <= 2 * LOOK_AHEAD + 1


def test_nothing_crosses_a_cut() -> None:
    first = [scene(40) for _ in range(5)]
    second = [scene(80, 30, seed=7) for _ in range(5)]
    alone = run(first, Steady(1.0)) + run(second, Steady(1.0))
    for cut, whole in zip(run(first + second, Steady(1.0)), alone, strict=True):
        assert torch.equal(cut, whole)


def test_a_run_goes_on_exactly_when_the_look_back_is_pushed_again() -> None:
    frames, _ = flickering([scene(40 + 2 * index) for index in range(14)])
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
