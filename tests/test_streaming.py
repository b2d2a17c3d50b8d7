"""Thousands of pictures through the pipeline in bounded memory; `make soak` runs them all."""

from __future__ import annotations

import gc
import os
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.demo.scenes import render
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.inputs import Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.tests.support.fake_backend import FakeLocal

pytestmark = pytest.mark.whole


def resident() -> int:
    gc.collect()
    return psutil.Process(os.getpid()).memory_info().rss


def flow(count: int, side: int) -> list[int]:
    """Resident memory at five moments of one run over `count` pictures."""
    generator = torch.Generator().manual_seed(0)
    inputs = (
        Input(index, f"picture {index}", partial(torch.rand, side, side, 3, generator=generator))
        for index in range(count)
    )
    memory: list[int] = []
    results = remove(inputs, FakeLocal(), Finishing(refine=True), settings=Settings())
    for number, result in enumerate(results, 1):
        assert isinstance(result, Done)
        if number % (count // 5) == 0:
            memory.append(resident())
    assert number == count
    return memory


def test_a_sample_streams_in_flat_memory() -> None:
    memory = flow(100, 128)
    assert memory[-1] - memory[1] < 12_000_000


@pytest.mark.soak
def test_five_thousand_pictures_stream_in_flat_memory() -> None:
    memory = flow(5000, 256)
    assert memory[-1] - memory[1] < 0.05 * memory[1]


def folder_of_shots(folder: Path, count: int) -> None:
    folder.mkdir()
    scene = render("soft", 1, (96, 96), backdrop="studio")
    levels = (scene.image * 255).round().astype(np.uint8)
    for number in range(count):
        Image.fromarray(np.roll(levels, number % 5, axis=1)).save(folder / f"{number:05}.png")


@pytest.mark.soak
def test_two_thousand_files_from_the_command_line(tmp_path: Path) -> None:
    folder_of_shots(tmp_path / "in", 2000)
    assert main(["remove", str(tmp_path / "in"), "-o", str(tmp_path / "warm"), "--dry-run"]) == 0
    before = resident()
    arguments = ["remove", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--backend", "keyer"]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 2000
    assert resident() - before < 120_000_000
