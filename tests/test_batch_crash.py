"""kill -9 at any moment of a batch: the next run knows exactly what is there, and finishes it.

Each time there are more pictures to do, and a real process works on them and is killed. `make soak`
kills 20 times for a model of this machine and 20 times for a hosted one.

Beside whole results a kill leaves files `.rmbg-*.part`, at most one for each worker: half written,
hidden, under no result's name and never counted. The next run takes them away.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rmbg_nodes.batch import Output, Recipe, run
from rmbg_nodes.tests.support.fake_backend import FakeLocal
from rmbg_nodes.tests.support.hosted.pictures import picture_digest
from rmbg_nodes.tests.support.hosted.server import HostedServer

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parent.parent
PICTURES = 16
WORKERS = 2
# So many pictures take about this long once the process has begun.
LATEST = 0.8
PATIENCE = 60.0
RECIPE = Recipe(output=Output(mask=True, provenance=False))
# Says when it begins, the key of each picture that is done, and what became of the batch.
CHILD = f"""
import json, sys
from functools import partial
from rmbg_nodes.tests.support.fake_backend import FakeLocal
from rmbg_nodes.batch import Output, Recipe, Watch, run

class Say(Watch):
    def landed(self, picture, final):
        print("landed", picture.key, picture.error, flush=True)

print("ready", flush=True)
recipe = Recipe(output=Output(mask=True, provenance=False))
opener = partial(FakeLocal, seconds=0.02)
summary = run(*sys.argv[1:], recipe, backend=opener, workers={WORKERS}, watch=Say())
print(json.dumps(summary.data()), flush=True)
"""

Levels = NDArray[np.uint8]


@dataclass
class Crash:
    """One catalogue and its history. landed: what processes have said that is done."""

    folder: Path
    seed: int
    count: int = 0
    kills: int = 0
    landed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = self.folder / "names"
        names.mkdir()
        (names / "rmbg_nodes").symlink_to(ROOT)
        self.source, self.dest = self.folder / "in", self.folder / "out"

    def kill_once(self) -> None:
        """More pictures, a run, and its sudden end."""
        self._more_pictures()
        child = self._start()
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(random.Random(f"{self.seed} {self.count}").uniform(0, LATEST))
        child.kill()
        said, wrong = child.communicate()
        assert wrong == ""
        self._heard(said)
        self.kills += 1
        for name in self._files():
            self._check_whole(name)

    def finish(self) -> None:
        """A run without a kill does what is left, and nothing else."""
        self._more_pictures()
        before = len(self.landed)
        child = self._start()
        said, wrong = child.communicate(timeout=PATIENCE)
        assert (child.returncode, wrong) == (0, "")
        self._heard(said)
        now = len(self.landed) - before
        summary = json.loads(said.splitlines()[-1])
        # A picture that was noted, and not yet told of when the process was killed, is done, too.
        assert self.count - self.kills * 2 * WORKERS <= len(self.landed) <= self.count
        assert (summary["pictures"], summary["done_now"]) == (self.count, now)
        assert summary["done_before"] == self.count - now
        assert {"failed", "quarantined", "not_begun"} <= {k for k, n in summary.items() if n == 0}
        expected = {f"{stem}{tail}.png" for stem in self._stems() for tail in ("", "-mask")}
        assert self._files() == expected
        assert [*self.dest.rglob(".rmbg-*.part")] == []
        for name in expected:
            self._check_whole(name)

    def _heard(self, said: str) -> None:
        """Nothing that a process has said to be done is ever done again."""
        for line in said.splitlines():
            if line.startswith("landed ") and line.endswith(" None"):
                self.landed.append(line.split(" ")[1])
        assert len(set(self.landed)) == len(self.landed)

    def _files(self) -> set[str]:
        """Everything under DEST that is under a result's name."""
        names = {
            path.relative_to(self.dest).as_posix()
            for path in self.dest.rglob("*")
            if path.is_file() and ".rmbg" not in path.parts
        }
        parts = {name for name in names if Path(name).name.startswith(".rmbg-")}
        assert all(name.endswith(".part") for name in parts)
        assert len(parts) <= self.kills * WORKERS
        return names - parts

    def _check_whole(self, name: str) -> None:
        with Image.open(self.dest / name) as found, Image.open(self._expected() / name) as wanted:
            assert np.array_equal(np.asarray(found), np.asarray(wanted)), name

    def _expected(self) -> Path:
        """What a run that nobody kills makes of the pictures."""
        dest = self.folder / "expected"
        if not dest.exists() or len([*dest.rglob("*-mask.png")]) < self.count:
            assert run(self.source, dest, RECIPE, backend=FakeLocal, workers=WORKERS).complete
        return dest

    def _stems(self) -> Iterator[str]:
        return (f"{number % 3}/{number:03}" for number in range(self.count))

    def _more_pictures(self) -> None:
        stems = [*self._stems()]
        self.count += PICTURES
        for stem in [*self._stems()][len(stems) :]:
            save(self.source / f"{stem}.png", self.seed, int(stem[-3:]))

    def _start(self) -> subprocess.Popen[str]:
        ours = {"PYTHONPATH": str(self.folder / "names"), "RMBG_DATA": str(self.folder / "data")}
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, str(self.source), str(self.dest)],
            env={**os.environ, **ours},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@dataclass
class PaidCrash:
    """The same with a provider in this process, and the command line."""

    server: HostedServer
    folder: Path
    seed: int
    pictures: dict[str, Levels] = field(default_factory=dict)

    def kill_once(self) -> None:
        """More pictures, a run, and its sudden end some time after its first request."""
        self._more_pictures()
        seen = len(self.server.requests)
        child = self._start()
        until = time.monotonic() + PATIENCE
        while len(self.server.requests) == seen and child.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.002)
        time.sleep(random.Random(f"{self.seed} {len(self.pictures)}").uniform(0, LATEST))
        child.kill()
        _, wrong = child.communicate()
        assert "Traceback" not in wrong, wrong
        time.sleep(0.1)  # what had arrived is accepted and billed
        self._nobody_paid_twice()

    def finish(self) -> int:
        """Two runs without a kill: all is delivered but what may have been billed, whose number is
        returned; nothing is sent again for that."""
        first = self._whole_run()
        bills = self.server.bills
        again = self._whole_run()
        billed = self._nobody_paid_twice()
        assert self.server.bills == bills
        lost = {name for name in self.pictures if not (self.folder / "out" / name).exists()}
        assert billed >= set(self.pictures) - lost
        for summary in (first, again):
            assert summary["pictures"] == len(self.pictures)
            assert summary["done_before"] + summary["done_now"] == len(self.pictures) - len(lost)
            assert summary["failed"] == len(lost)
            assert summary["reasons"] == ({"MayBeBilled": len(lost)} if lost else {})
        assert again["done_now"] == 0
        for name, levels in self.pictures.items():
            if name not in lost:
                with Image.open(self.folder / "out" / name) as image:
                    assert (image.mode, image.size) == ("RGBA", levels.shape[1::-1])
                    image.load()
        return len(lost)

    def _nobody_paid_twice(self) -> set[str]:
        digests = [job.digest for job in list(self.server.jobs.values())]
        assert len(digests) == len(set(digests)) == self.server.bills
        return {n for n, levels in self.pictures.items() if picture_digest(levels) in digests}

    def _whole_run(self) -> dict[str, Any]:
        child = self._start()
        said, wrong = child.communicate(timeout=PATIENCE)
        assert "Traceback" not in wrong, wrong
        summary: dict[str, Any] = json.loads(said)
        assert child.returncode == (1 if summary["failed"] else 0)
        return summary

    def _start(self) -> subprocess.Popen[str]:
        provider = self.server.provider
        ours = {
            **self.server.environment(),
            "RMBG_DATA": str(self.folder / "data"),
            "XDG_CONFIG_HOME": str(self.folder),
            f"RMBG_{provider.upper()}_IN_FLIGHT": "2",
            f"RMBG_{provider.upper()}_REQUESTS_A_MINUTE": "6000",
        }
        command = [sys.executable, str(ROOT), "batch", str(self.folder / "in"), "--json"]
        return subprocess.Popen(
            [*command, "-o", str(self.folder / "out"), "--backend", provider],
            env={**os.environ, **ours},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _more_pictures(self) -> None:
        for number in range(len(self.pictures), len(self.pictures) + PICTURES // 2):
            name = f"{number:03}.png"
            self.pictures[name] = save(self.folder / "in" / name, self.seed, number)


def save(path: Path, seed: int, number: int) -> Levels:
    """A picture like no other, bright in its middle."""
    levels = np.random.default_rng((seed, number)).integers(0, 60, (36, 48, 3), dtype=np.uint8)
    levels[9:27, 12:36] += 190
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)
    return levels


def crashed(folder: Path, seed: int, kills: int) -> None:
    crash = Crash(folder, seed)
    for _ in range(kills):
        crash.kill_once()
    crash.finish()


def crashed_paid(folder: Path, seed: int, kills: int) -> int:
    with HostedServer("bria", seconds=0.1) as server:
        crash = PaidCrash(server, folder, seed)
        for _ in range(kills):
            crash.kill_once()
        lost = crash.finish()
        assert server.complaints == []
        return lost


def test_killed_twice(tmp_path: Path) -> None:
    crashed(tmp_path, seed=1, kills=2)


def test_killed_with_paid_pictures(tmp_path: Path) -> None:
    crashed_paid(tmp_path, seed=1, kills=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 105))
def test_killed_20_times(tmp_path: Path, seed: int) -> None:
    crashed(tmp_path, seed, kills=4)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(200, 205))
def test_killed_20_times_with_paid_pictures(tmp_path: Path, seed: int) -> None:
    crashed_paid(tmp_path, seed, kills=4)
