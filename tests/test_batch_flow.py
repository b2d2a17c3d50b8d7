"""A batch of any length in the same memory: pictures are let go of when they are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.batch import run
from rmbg_nodes.core.types import Frame, Job, Outcome
from rmbg_nodes.tests.support.fake_backend import FAKE_LOCAL, FakeLocal

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2
# Resident memory after each picture, as JSON.
CHILD = """
import json, sys
import psutil
from rmbg_nodes.tests.support.fake_backend import FakeLocal
from rmbg_nodes.batch import Watch, run
from rmbg_nodes.config.memory import keep_memory

class Weigh(Watch):
    def landed(self, picture, final):
        assert picture.error is None, picture.error
        held.append(process.memory_info().rss)

held, process = [], psutil.Process()
if sys.argv[3] == "keep":
    keep_memory()
run(*sys.argv[1:3], backend=FakeLocal, workers=2, watch=Weigh())
print(json.dumps(held))
"""


@dataclass
class Alive:
    """How many pictures are in memory."""

    now: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, frame: Frame) -> Frame:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        weakref.finalize(frame.pixels, self._leave)
        return frame

    def _leave(self) -> None:
        with self.lock:
            self.now -= 1


class Counting(FakeLocal):
    """Counts what it was given and is not gone."""

    def __init__(self, alive: Alive) -> None:
        super().__init__()
        self._alive = alive

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        return super().run(map(self._alive.enter, frames), job)


def catalogue(folder: Path, count: int, side: int) -> Path:
    """So many pictures, no two alike."""
    folder.mkdir()
    levels = np.zeros((side, side, 3), np.uint8)
    levels[side // 4 : -side // 4, side // 4 : -side // 4] = 230
    for number in range(count):
        levels[0, 0] = number % 251, number // 251, 0
        Image.fromarray(levels).save(folder / f"{number:05}.png", compress_level=1)
    return folder


@pytest.mark.parametrize("count", [40, pytest.param(160, marks=pytest.mark.whole)])
def test_pictures_in_memory_do_not_depend_on_their_number(tmp_path: Path, count: int) -> None:
    alive = Alive()
    source = catalogue(tmp_path / "in", count, 32)
    summary = run(source, tmp_path / "out", backend=lambda: Counting(alive), workers=WORKERS)
    assert summary.complete
    # Those of one forward, and those that the workers finish or that wait for them.
    assert alive.most <= FAKE_LOCAL.window + 2 * WORKERS + 2
    assert alive.now == 0


@pytest.mark.soak
@pytest.mark.parametrize("memory", ["keep", "give back"])
def test_5000_pictures_in_flat_memory(tmp_path: Path, memory: str) -> None:
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "rmbg_nodes").symlink_to(ROOT)
    source = catalogue(tmp_path / "in", 5000, 256)
    ours = {"PYTHONPATH": str(tmp_path / "names"), "RMBG_DATA": str(tmp_path / "data")}
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(source), str(tmp_path / "out"), memory],
        env={**os.environ, **ours},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    held = json.loads(ended.stdout)
    assert len(held) == 5000
    first, last = sum(held[:1000]) / 1000, sum(held[-1000:]) / 1000
    assert abs(last / first - 1) < 0.05, (first, last)
