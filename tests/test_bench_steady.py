"""`bench/steady.py`: its sequences are what their kinds say, and its table what was measured."""

# Pins the inside of core.motion
# Pins the inside of core.steady

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes.bench import steady_kinds, steady_run, steady_scenes, steady_stage
from rmbg_nodes.core.motion import moved
from rmbg_nodes.core.steady import Steady
from rmbg_nodes.demo.shapes import Array


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Path], list[Path]]:
    """Two subjects and a photograph, and frames so small that they are soon drawn."""
    for module in (steady_kinds, steady_scenes, steady_stage):
        monkeypatch.setattr(module, "WIDTH", 128)
        monkeypatch.setattr(module, "HEIGHT", 96)
        monkeypatch.setattr(module, "FRAMES", 8)
    rng = np.random.default_rng(1)
    subject = rng.integers(0, 255, (60, 40, 4), np.uint8)
    subject[..., 3] = 255
    subject[:4, :, 3] = 0
    photograph = rng.integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(subject).save(tmp_path / "subject.png")
    Image.fromarray(photograph).resize((400, 300)).save(tmp_path / "photograph.png")
    return [tmp_path / "subject.png"], [tmp_path / "photograph.png"]


@pytest.mark.parametrize("name", ["still", "fast", "shake", "cut"])
def test_the_truth_moves_as_the_motion_says(
    name: str, sources: tuple[list[Path], list[Path]]
) -> None:
    drawn = steady_scenes.render(steady_kinds.KINDS[name], *sources, seed=3)
    again = steady_scenes.render(steady_kinds.KINDS[name], *sources, seed=3)
    assert np.array_equal(drawn.pixels, again.pixels)
    assert drawn.pixels.shape == (8, 96, 128, 3)
    assert len(drawn.motion) == 7
    cuts = [index for index in range(7) if np.isnan(drawn.motion[index]).any()]
    assert cuts == ([3] if name == "cut" else [])
    alpha, motion = torch.from_numpy(drawn.alpha), torch.from_numpy(drawn.motion).movedim(-1, 1)
    inside = alpha[0] > 0.99
    later = moved(alpha[1:2], motion[0])[0]
    assert float((later - alpha[0])[inside].abs().mean()) < 0.1


def test_the_table_tells_what_a_flickering_sequence_gains(
    sources: tuple[list[Path], list[Path]],
) -> None:
    drawn = steady_scenes.render(steady_kinds.KINDS["still"], *sources, seed=3)
    patches = np.random.default_rng(2).uniform(-0.4, 0.4, (8, 6, 8)).astype(np.float32)
    noise = patches.repeat(16, 1).repeat(16, 2)
    sequence: dict[str, Array] = {
        "pixels": drawn.pixels,
        "truth": drawn.alpha,
        "motion": drawn.motion,
        "alpha": (drawn.alpha + noise).clip(0, 1),
    }
    damped = steady_run.measure(sequence, Steady(1.0))
    kept = steady_run.measure(sequence, Steady(0))
    assert kept.dtssd == kept.dtssd_steady
    assert damped.dtssd == kept.dtssd
    assert damped.dtssd_steady < 0.8 * damped.dtssd
    head, row, mean = steady_run.table({"one": damped})
    assert len(head) == len(row) == len(mean)
    assert row[1:] == mean[1:]


def test_sequences_that_are_kept_are_not_made_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for name in steady_kinds.KINDS:
        alpha = rng.uniform(0, 1, (4, 20, 30)).astype(np.float32)
        np.savez(
            tmp_path / f"{name}-9.npz",
            pixels=rng.integers(0, 255, (4, 20, 30, 3), np.uint8),
            truth=np.zeros_like(alpha),
            motion=np.zeros((3, 20, 30, 2), np.float16),
            alpha=alpha,
        )
    nowhere = steady_run.Sources(tmp_path / "none", tmp_path / "none", tmp_path / "none")
    done = steady_run.run(nowhere, tmp_path, [9], partial(Steady, 0), lambda name: None)
    assert list(done) == [f"{name}, seed 9" for name in steady_kinds.KINDS]
