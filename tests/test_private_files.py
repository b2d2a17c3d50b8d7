"""What this package keeps for a user is that user's alone, under the most open umask."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.batch import Landed, Recipe, Watch, run
from rmbg_nodes.cli import main
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeProvider

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.delenv("RMBG_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "share" / "deep"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "etc" / "deep"))
    monkeypatch.setenv("RMBG_USAGE", "commercial")
    old = os.umask(0)
    home.chmod(0o755)
    yield home
    os.umask(old)


def open_to_others(*folders: Path) -> set[str]:
    found = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    assert len(found) > len(folders)
    modes = {path: path.stat().st_mode & 0o777 for path in found if path.exists()}
    return {f"{path} {mode:o}" for path, mode in modes.items() if mode & 0o077}


def shots(folder: Path) -> Path:
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        levels = np.zeros((40, 60, 3), np.uint8)
        levels[8:30, 10 + seed : 40] = 200
        folder.mkdir(exist_ok=True)
        Image.fromarray(levels).save(folder / name)
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


class Looks(Watch):
    """While the run goes on, with SQLite's other files and the locks there."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self.seen: set[str] = set()
        self.names: set[str] = set()

    def landed(self, picture: Landed, final: bool) -> None:
        self.seen |= open_to_others(*self.folders)
        self.names |= {path.name for folder in self.folders for path in folder.rglob("*")}


def test_records_cache_and_state_of_a_batch_are_private(home: Path, tmp_path: Path) -> None:
    dest = tmp_path / "new" / "out"
    looks = Looks(home / "share", dest / ".rmbg")
    hosted = partial(FakeHosted, FakeProvider())
    counts = run(shots(tmp_path / "in"), dest, Recipe(), backend=hosted, watch=looks).counts
    assert (counts.done_now, counts.quarantined) == (3, 1)
    assert looks.seen == set()
    assert {"state.sqlite-wal", "lock", "records.sqlite-wal", "owners", "results"} <= looks.names
    assert open_to_others(home / "share", dest / ".rmbg") == set()
    assert {"quarantine.jsonl", "summary.json"} <= {p.name for p in (dest / ".rmbg").iterdir()}
    for result in (dest, dest.parent):  # where the results are, the umask holds
        assert result.stat().st_mode & 0o777 == 0o777
    assert (dest / "a.png").stat().st_mode & 0o777 == 0o666
    assert home.stat().st_mode & 0o777 == 0o755


def test_keys_and_settings_are_private(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["config", "init"]) == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("a-key-of-some-length"))
    assert main(["keys", "set", "fal"]) == 0
    assert open_to_others(home / "etc") == set()


def test_what_is_known_of_weights_is_private(home: Path, tmp_path: Path) -> None:
    (tmp_path / "own.safetensors").write_bytes(b"weights")
    main(["weights", "verify", str(tmp_path / "own.safetensors")])
    assert open_to_others(home / "share") == set()


def test_a_folder_of_the_users_is_left_as_it_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = home / "shared"
    shared.mkdir(mode=0o775)
    monkeypatch.setenv("RMBG_DATA", str(shared))
    run(shots(tmp_path / "in"), tmp_path / "out", backend=partial(FakeHosted, FakeProvider()))
    assert shared.stat().st_mode & 0o777 == 0o775
    assert open_to_others(*shared.iterdir()) == set()
