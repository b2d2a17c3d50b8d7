"""kill -9 at any moment of a hosted batch: nobody pays twice, and nothing that is paid for is lost.

The real command line works on a folder against a provider in this process, and is killed again and
again, each time with more pictures to do. `make soak` kills it 204 times, and counts what it saw
in the log (--log-cli-level=INFO).
"""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes.core.types import Frame
from rmbg_nodes.records.store import open_records
from rmbg_nodes.tests.support.hosted.comfy import Comfy
from rmbg_nodes.tests.support.hosted.opening import KEYED, PROVIDERS, UNKEYED, opened
from rmbg_nodes.tests.support.hosted.pictures import Levels, picture_digest
from rmbg_nodes.tests.support.hosted.server import HostedServer

pytestmark = pytest.mark.whole

_log = logging.getLogger("rmbg_nodes.tests")

ROOT = Path(__file__).resolve().parent.parent
PICTURES = 8
# A batch of eight, two at a time, takes about this long after its first request.
LATEST = 1.2
PATIENCE = 60.0


@dataclass
class Crash:
    """One user's folder and its history. counts: what was seen after each kill."""

    server: HostedServer
    folder: Path
    seed: int
    pictures: dict[str, Levels] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def kill_once(self) -> None:
        """Eight pictures more, a run, and its sudden end."""
        self._more_pictures()
        seen = len(self.server.requests)
        run = self._start()
        until = time.monotonic() + PATIENCE
        while len(self.server.requests) == seen and run.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.002)
        time.sleep(random.Random(f"{self.seed} {len(self.pictures)}").uniform(0, LATEST))
        ended = run.poll() is not None
        run.kill()
        _, said = run.communicate()
        assert "Traceback" not in said, said
        time.sleep(0.1)  # what had arrived is accepted and billed
        self._count("ended before" if ended else "killed")
        self._compare(finished=False)

    def finish(self) -> None:
        """A run without a kill settles everything."""
        run = self._start()
        _, said = run.communicate(timeout=PATIENCE)
        assert "Traceback" not in said, said
        lost = self._compare(finished=True)
        assert run.returncode == (1 if lost else 0), said
        for name in self.pictures:
            assert (self.folder / "out" / name).exists() != (name in lost)
            assert (f"{name} was sent" in said and "may have been billed" in said) or (
                name not in lost
            )
        self._count("billed", self.server.bills)
        self._count("lost", len(lost))

    def _compare(self, *, finished: bool) -> set[str]:
        """Billed = delivered + resumable by id + may have been billed; returns the last of them."""
        records = open_records(self.folder / "data" / "records", 10**9)
        assert records.journal.warnings == []
        backend = opened(f"{self.server.provider}/rmbg-2.0")
        rows = {job.work: job for job in records.journal.pending()}
        lost = set()
        for index, (name, levels) in enumerate(self.pictures.items()):
            work = backend.work(Frame(index, torch.from_numpy(levels / np.float32(255)), name))
            assert work is not None
            digest = picture_digest(levels)
            billed = [j.id for j in list(self.server.jobs.values()) if j.digest == digest]
            assert len(billed) <= 1, f"{name} was paid for twice"
            row, delivered = rows.pop(work, None), records.cache.has(work)
            if delivered and row is not None:
                # Killed before the journal heard of it: the next run closes the row.
                assert not finished
                self._count("delivered, row open")
                row = None
            resumable = row is not None and row.request_id in billed
            again = row is not None and row.repeatable
            if row is not None and not row.resumable and not again:
                assert self.server.provider not in KEYED, name
                lost.add(name)
            unknown = again or name in lost
            assert delivered + resumable + unknown == (1 if billed else unknown), name
            assert not (again and finished), name
            self._count("to be asked for again", int(again))
            assert row is None or not row.running
            assert delivered or name in lost or not finished
            self._count("resumable", int(resumable))
        assert rows == {}
        records.close()
        return lost

    def _start(self) -> subprocess.Popen[str]:
        provider = self.server.provider
        ours = {
            **self.server.environment(),
            "RMBG_DATA": str(self.folder / "data"),
            "XDG_CONFIG_HOME": str(self.folder),
            f"RMBG_{provider.upper()}_IN_FLIGHT": "2",
            f"RMBG_{provider.upper()}_REQUESTS_A_MINUTE": "6000",
        }
        command = [sys.executable, str(ROOT), "remove", str(self.folder / "in")]
        return subprocess.Popen(
            [*command, "-o", str(self.folder / "out"), "--backend", provider],
            env={**os.environ, **ours},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _more_pictures(self) -> None:
        (self.folder / "in").mkdir(exist_ok=True)
        for number in range(len(self.pictures), len(self.pictures) + PICTURES):
            name = f"{number:03}.png"
            noise = np.random.default_rng((self.seed, number))
            levels = noise.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(levels).save(self.folder / "in" / name)
            self.pictures[name] = levels

    def _count(self, what: str, more: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + more


def crashed(
    provider: str, folder: Path, seed: int, kills: int, *, held: bool = False
) -> dict[str, int]:
    with HostedServer(provider, seconds=0.1) as server:
        if held:
            cast("Comfy", server.speech).queue = False
        crash = Crash(server, folder, seed)
        for _ in range(kills):
            crash.kill_once()
        crash.finish()
        assert server.complaints == []
        return crash.counts


@pytest.mark.parametrize("provider", PROVIDERS)
def test_killed_once(provider: str, tmp_path: Path) -> None:
    crashed(provider, tmp_path, seed=PROVIDERS.index(provider), kills=1)


@pytest.mark.soak
@pytest.mark.parametrize("provider", UNKEYED)
def test_killed_68_times(provider: str, tmp_path: Path) -> None:
    def trial(seed: int) -> dict[str, int]:
        folder = tmp_path / str(seed)
        folder.mkdir()
        return crashed(provider, folder, seed, kills=4)

    _soak(provider, trial, 17)


@pytest.mark.soak
@pytest.mark.parametrize("way", ["queue", "held"])
@pytest.mark.parametrize("provider", KEYED)
def test_killed_100_times(provider: str, way: str, tmp_path: Path) -> None:
    """Where a lost answer is asked for again: nothing may have been billed, and nothing is lost."""

    def trial(seed: int) -> dict[str, int]:
        folder = tmp_path / str(seed)
        folder.mkdir()
        return crashed(provider, folder, seed, kills=4, held=way == "held")

    _soak(f"{provider} {way}", trial, 25 if way == "queue" else 5)


def _soak(name: str, trial: Callable[[int], dict[str, int]], trials: int) -> None:
    with ThreadPoolExecutor(2) as side_by_side:
        found = list(side_by_side.map(trial, range(100, 100 + trials)))
    for what in sorted({what for counts in found for what in counts}):
        _log.info("%s: %s %d", name, what, sum(counts.get(what, 0) for counts in found))
