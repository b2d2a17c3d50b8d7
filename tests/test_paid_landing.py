"""A paid result that has no place to go: it stays with its provider, and its cost is told.

Against a provider on this machine, with RMBG_CACHE=0 where nothing but the journal remembers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes import BadOption, OverBudget, remove_background
from rmbg_nodes.batch import Canvas, Recipe, Remover, Summary, Watch, run
from rmbg_nodes.cli import main
from rmbg_nodes.core.errors import PictureError
from rmbg_nodes.pipeline.context import open_user_records
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import loopback
from rmbg_nodes.tests.support.hosted.server import HostedServer


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    monkeypatch.setenv("RMBG_CACHE", "0")
    with loopback(monkeypatch, "fal") as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A folder with two different pictures."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for seed in range(2):
        y, x = np.mgrid[:48, :64]
        disc = 250 - 8 * np.clip(np.hypot(y - 24, x - 24 - 8 * seed) - 10, 0, 28)
        pixels = np.stack([disc, disc * 0.9, disc * 0.8], -1).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"shot{seed}.jpg", quality=95)
    return folder


class Hearing(list):  # type: ignore[type-arg]
    """The provider's requests; something happens here while it works on a submit."""

    def __init__(self, then: Callable[[], object]) -> None:
        self._then = then

    def append(self, request: object) -> None:
        super().append(request)
        if request.method == "POST":  # type: ignore[attr-defined]
            self._then()


def meanwhile(server: HostedServer, then: Callable[[], object]) -> None:
    server.records.requests = Hearing(then)


def costs(outcome: str) -> list[str]:
    """What the receipts with this outcome say of the money."""
    contents = [receipt.data() for receipt in open_user_records().receipts.each()]
    return sorted(str(one["cost"]) for one in contents if one["outcome"] == outcome)


def as_folder(path: Path) -> Callable[[], None]:
    def make() -> None:
        path.mkdir(parents=True, exist_ok=True)

    return make


def test_remove_fetches_free_what_it_could_not_write(fal, shots, tmp_path, capsys) -> None:
    blocked = tmp_path / "out" / "shot0.png"
    meanwhile(fal, as_folder(blocked))
    command = ["remove", str(shots), "-o", f"{tmp_path / 'out'}{os.sep}", "--backend", "fal"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "shot0.png cannot be written" in said
    assert "1 delivered. Cost: 0.036 USD" in said
    assert "1 job with fal" in said
    blocked.rmdir()
    fal.records.requests = []
    assert main(command) == 0
    assert fal.bills == 3, "the other one was handed over, and nothing kept it"
    said = capsys.readouterr().err
    assert "2 delivered, 1 of them for nothing. Cost: 0.018 USD" in said
    assert open_user_records().journal.pending() == []
    assert sum(map(float, costs("delivered"))) == pytest.approx(3 * 0.018)


@pytest.mark.parametrize("mask", [True, False])
def test_batch_fetches_free_what_it_could_not_write(fal, shots, tmp_path, capsys, mask) -> None:
    dest = tmp_path / "dest"
    blocked = dest / ("shot0-mask.png" if mask else "shot0.png")
    meanwhile(fal, as_folder(blocked))
    command = ["batch", str(shots), "-o", str(dest), "--backend", "fal", "--json"]
    command += ["--mask"] if mask else []
    assert main(command) == 1
    first = json.loads(capsys.readouterr().out)
    assert (first["done_now"], first["failed"], first["cost"]) == (1, 1, "0.036")
    blocked.rmdir()
    fal.records.requests = []
    assert main(command) == 0
    second = json.loads(capsys.readouterr().out)
    assert (second["done_now"], second["cost"]) == (1, "0")
    assert fal.bills == 2
    assert open_user_records().journal.pending() == []


def test_the_summary_never_says_nothing_of_a_billed_run(fal, shots, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_CACHE", "50")
    meanwhile(fal, as_folder(tmp_path / "dest" / "shot0.png"))
    summary = run(shots / "shot0.jpg", tmp_path / "dest", Recipe("fal"))
    assert fal.bills == 1
    assert str(summary.cost) == "0.018"
    assert "0.018 USD" in summary.text()


def test_a_lost_answer_is_said_beside_the_cost(fal, shots, tmp_path) -> None:
    fal.plan(Fault("submit", "reset after work"))
    summary = run(shots / "shot0.jpg", tmp_path / "dest", Recipe("fal"))
    assert fal.bills == 1
    assert summary.may_be_billed == 1
    assert "nothing so far; 1 picture may be billed" in summary.text()


def test_a_picture_without_a_subject_keeps_its_cost_and_its_job(fal, tmp_path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "dark.png")
    canvas = Recipe("fal", canvas=Canvas("square"), background="white")
    summary = run(tmp_path / "dark.png", tmp_path / "dest", canvas)
    assert (summary.counts.quarantined, str(summary.cost)) == (1, "0.018")
    assert costs("failed") == ["0.018"]
    again = run(tmp_path / "dark.png", tmp_path / "dest", canvas, retry=True)
    assert (again.counts.quarantined, str(again.cost)) == (1, "0")
    assert fal.bills == 1


def test_a_copy_that_did_not_land_keeps_the_job_of_both(fal, shots, tmp_path) -> None:
    (shots / "shot1.jpg").write_bytes((shots / "shot0.jpg").read_bytes())
    blocked = tmp_path / "dest" / "shot1.png"
    meanwhile(fal, as_folder(blocked))
    assert run(shots, tmp_path / "dest", Recipe("fal")).counts.failed == 1
    blocked.rmdir()
    assert run(shots, tmp_path / "dest", Recipe("fal")).complete
    assert fal.bills == 1


def test_a_full_disk_tells_what_was_paid(fal, shots, tmp_path, monkeypatch) -> None:
    """/dev/full takes the place of the folder's disk: every write to it fails with ENOSPC."""
    told: list[str] = []

    class Told(Watch):
        def ended(self, summary: Summary) -> None:
            told.append(str(summary.cost))

    def no_room(path: Path, data: bytes, **_: bool) -> None:
        try:
            Path("/dev/full").write_bytes(data)
        except OSError as error:
            raise BadOption(f"{path} cannot be written ({error.strerror}).") from error

    monkeypatch.setattr("rmbg_nodes.batch.produce.write_atomic", no_room)
    with pytest.raises(BadOption, match="No space left"):
        run(shots / "shot0.jpg", tmp_path / "dest", Recipe("fal"), watch=Told())
    monkeypatch.undo()
    assert (fal.bills, told) == (1, ["0.018"])


@pytest.mark.parametrize("lost", ["too large", "refused"])
def test_a_remover_pays_once_for_rows_that_nobody_got(fal, shots, lost) -> None:
    files = [path.read_bytes() for path in sorted(shots.iterdir())]
    if lost == "refused":
        with pytest.raises(OverBudget):
            Remover(Recipe("fal", max_cost=Decimal("0.018")))({"bytes": files})
        paid = 1
    else:
        remover = Remover(Recipe("fal", canvas=Canvas("square", margin=0.4999)))
        rows = remover({"bytes": files})
        assert rows["error_type"] == ["BadPicture"] * 2
        assert [json.loads(str(report))["cost"] for report in rows["report"]] == ["0.018"] * 2
        remover.close()
        paid = 2
    assert fal.bills == paid
    made = Remover(Recipe("fal"))({"bytes": files})
    assert made["error"] == [None, None]
    assert fal.bills == 2
    assert open_user_records().journal.pending() == []
    assert Remover(Recipe("fal"))({"bytes": files})["error"] == [None, None]
    assert fal.bills == 4, "what the caller got is not kept anywhere"


def test_a_batch_in_memory_that_raises_has_given_nothing_away(fal) -> None:
    images = torch.rand(2, 48, 64, 3, generator=torch.Generator().manual_seed(1))
    images[1, :, :, 0] *= 0.5
    fal.plan(Fault("status", "failed"))
    with pytest.raises(PictureError):
        remove_background(images, "fal")
    paid = fal.bills
    remove_background(images, "fal")
    assert fal.bills == 2, paid
    assert open_user_records().journal.pending() == []
