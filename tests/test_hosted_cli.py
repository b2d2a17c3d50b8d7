"""`rmbg remove --backend fal` and what belongs to it, against servers on this machine."""

# Pins the inside of backends.hosted.backend
# Pins the inside of backends.hosted.http.retry
# Pins the inside of backends.hosted.http.transport
# Pins the inside of backends.hosted.jobs.repeats

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.backends.hosted import backend as hosted_backend
from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.transport import Transport
from rmbg_nodes.backends.hosted.jobs import repeats
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.cli import main
from rmbg_nodes.config.hosted import hosting_of
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import PROVIDERS, loopback
from rmbg_nodes.tests.support.hosted.pictures import expected_alpha
from rmbg_nodes.tests.support.hosted.server import HostedServer

ROOT = Path(__file__).resolve().parent.parent
SECRET = "sentinel-key-7f3a9c51d2"


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    with loopback(monkeypatch, "fal", key=SECRET) as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def shots(tmp_path: Path) -> list[Path]:
    """Three different pictures in one folder."""
    return [picture(tmp_path / "in" / f"shot{seed}.png", seed) for seed in range(3)]


def picture(path: Path, seed: int) -> Path:
    """A soft bright disc on a dark ground."""
    y, x = np.mgrid[:48, :64]
    disc = 250 - 8 * np.clip(np.hypot(y - 24, x - 24 - 4 * seed) - 10, 0, 28)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([disc, disc * 0.9, disc * 0.8], -1).astype(np.uint8)).save(path)
    return path


def levels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.whole
def test_the_demo_shows_photographs_with_the_backend_that_is_named(
    fal: HostedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "-o", str(tmp_path), "--backend", "fal"]) == 0
    said = capsys.readouterr().out
    assert "astronaut: fal/rmbg-2.0" in said
    assert fal.bills == said.count("fal/rmbg-2.0") >= 1
    assert levels(tmp_path / "astronaut-cutout.png").shape == (512, 512, 4)


def remove(shots: list[Path], out: Path, *more: str, backend: str = "fal") -> list[str]:
    return ["remove", *map(str, shots), "-o", f"{out}{os.sep}", "--backend", backend, *more]


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def rmbg(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        check=False,
        timeout=120,
    )


def pending(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["pending", "--json"]) == 0
    jobs: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return jobs


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_masks_are_the_providers_and_the_bill_is_told(
    provider: str, shots, tmp_path, monkeypatch, capsys
) -> None:
    with loopback(monkeypatch, provider, key=SECRET) as server:
        assert main(remove(shots, tmp_path / "out", backend=provider)) == 0
        assert server.bills == 3
        assert server.complaints == []
    for shot in shots:
        cut = levels(tmp_path / "out" / shot.name)
        np.testing.assert_array_equal(cut[..., 3], expected_alpha(levels(shot)))
        solid = cut[..., 3] == 255
        assert solid.any()
        np.testing.assert_array_equal(cut[solid][:, :3], levels(shot)[solid])
    said = capsys.readouterr().err
    assert f"{provider}/rmbg-2.0: up to 3 x 0.018 USD = 0.054 USD" in said
    assert "3 delivered. Cost: 0.054 USD." in said


def test_json_rows_in_a_process_of_its_own_and_a_second_run_is_free(
    fal: HostedServer, shots: list[Path], tmp_path: Path
) -> None:
    first = rmbg(*remove(shots, tmp_path / "a", "--json", "--usage", "commercial"))
    assert first.returncode == 0, first.stderr
    reports = [row["report"] for row in rows(first.stdout)]
    assert {report["request_id"] for report in reports} == set(fal.jobs)
    for report in reports:
        assert report["outcome"] == "delivered"
        assert report["cost"] == "0.018"
        assert report["left_machine"] is True
        assert report["usage"] == "commercial"
    requests = len(fal.requests)
    again = rmbg(*remove(shots, tmp_path / "b", "--json", "--decontaminate", "0.3", "--no-refine"))
    assert again.returncode == 0
    for row in rows(again.stdout):
        assert row["report"]["cost"] == "0"
        assert row["report"]["left_machine"] is False
        assert any("from the cache" in warning for warning in row["report"]["warnings"])
        assert Path(row["output"]).exists()
    assert "3 delivered, 3 of them for nothing. Cost: 0 USD." in again.stderr
    assert len(fal.requests) == requests
    for text in (first.stdout, first.stderr, again.stdout, again.stderr):
        assert SECRET not in text


def test_a_failed_picture_is_a_row_and_the_status_is_one(fal, shots, tmp_path, capsys) -> None:
    fal.plan(Fault("submit", 422))
    assert main(remove(shots, tmp_path / "out", "--json")) == 1
    said = capsys.readouterr()
    made = rows(said.out)
    (failed,) = [row for row in made if row["error"]]
    assert failed["output"] is None
    assert failed["report"]["outcome"] == "failed"
    assert failed["report"]["paid"] == "no"
    assert failed["report"]["error_type"] == "BadPicture"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        Path(row["output"]).name for row in made if row["output"]
    )
    assert failed["input"] in said.err
    assert "2 delivered. Cost: 0.036 USD." in said.err
    assert fal.bills == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_missing_key_names_the_variable_and_the_page(provider, shots, tmp_path, capsys) -> None:
    assert main(remove(shots, tmp_path / "out", backend=provider)) == 2
    said = capsys.readouterr().err
    spec = BACKENDS[f"{provider}/rmbg-2.0"]
    assert spec.key_variables[0] in said
    assert hosting_of(spec).key_page in said
    assert "Traceback" not in said


def test_a_key_from_standard_input_serves_the_next_run(
    fal: HostedServer, shots, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.delenv("FAL_KEY")
    kept = rmbg("keys", "set", "fal", stdin=f"{SECRET}\n")
    assert kept.returncode == 0, kept.stderr
    assert main(remove(shots[:1], tmp_path / "out")) == 0
    assert fal.bills == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO("of-another"))
    assert main(["keys", "set", "fal", "--profile", "studio"]) == 0
    assert main(remove(shots[1:2], tmp_path / "out", "--option", "profile=studio")) == 2
    said = capsys.readouterr()
    assert "refused the key" in said.err
    for text in (kept.stdout, kept.stderr, said.out, said.err):
        assert SECRET not in text
        assert "of-another" not in text


def test_a_dry_run_sends_nothing_and_knows_what_is_paid_for(fal, shots, tmp_path, capsys) -> None:
    arguments = remove(shots, tmp_path / "out", "--dry-run")
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "Cost: up to 3 x 0.018 USD = 0.054 USD. Nothing was done." in said
    assert fal.requests == []
    assert main(remove(shots[:1], tmp_path / "out")) == 0
    requests = len(fal.requests)
    capsys.readouterr()
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "1 of them paid for earlier" in said
    assert "up to 2 x 0.018 USD = 0.036 USD" in said
    assert main([*arguments, "--json"]) == 0
    told = [(row["paid_earlier"], row["cost_at_most"]) for row in rows(capsys.readouterr().out)]
    assert told == [(True, "0"), (False, "0.018"), (False, "0.018")]
    assert len(fal.requests) == requests


def test_a_dry_run_counts_in_the_users_own_prices(fal, shots, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RMBG_PRICES", "fal/rmbg-2.0=0.01")
    assert main(remove(shots, tmp_path / "out", "--dry-run")) == 0
    assert "3 x 0.01 USD = 0.03 USD" in capsys.readouterr().out


def test_a_lost_answer_waits_for_the_users_word(fal, shots, tmp_path, capsys) -> None:
    fal.plan(Fault("submit", "reset after work"))
    arguments = remove(shots[:1], tmp_path / "out")
    for _ in range(2):
        assert main(arguments) == 1
        said = capsys.readouterr().err
        assert "may have been billed" in said
        assert "--resubmit" in said
        assert "1 job with fal/rmbg-2.0 may be billed and not delivered" in said
        assert fal.bills == 1
    (job,) = pending(capsys)
    assert job["request_id"] is None
    assert job["resumable"] is False
    assert "--resubmit" in job["next"]
    assert main(["pending"]) == 0
    assert "may have been billed" in capsys.readouterr().out
    assert main(["resume"]) == 0
    assert "Nothing waits to be fetched." in capsys.readouterr().out
    assert main([*arguments, "--resubmit"]) == 0
    assert fal.bills == 2
    assert pending(capsys) == []


def test_an_answer_with_a_key_is_listed_and_asked_for_again(
    shots, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(repeats, "_PAUSES", ())
    quick = partial(Transport, backoff=Backoff(0.005, 0.02), again_seconds=0.2)
    monkeypatch.setattr(hosted_backend, "Transport", quick)
    with loopback(monkeypatch, "comfy", key=SECRET) as server:
        server.plan(Fault("submit", "reset after work", times=999))
        assert main(remove(shots[:1], tmp_path / "out", backend="comfy")) == 1
        assert "may have been billed" not in capsys.readouterr().err
        server.mend()
        (job,) = pending(capsys)
        assert (job["resumable"], job["repeatable"]) == (False, True)
        assert main(["pending"]) == 0
        said = capsys.readouterr().out
        assert "can be asked for again" in said
        assert f"resume {job['repeat_key']}" in said
        assert main(["resume", job["repeat_key"]]) == 0
        assert "1 of 1 fetched" in capsys.readouterr().out
        assert main(remove(shots[:1], tmp_path / "out", backend="comfy")) == 0
        assert server.bills == 1
        assert pending(capsys) == []


def test_resume_fetches_what_was_paid_for(fal, shots, tmp_path, capsys, monkeypatch) -> None:
    fal.plan(Fault("status", "unknown state", times=99))
    assert main(remove(shots, tmp_path / "out")) == 1
    assert "3 jobs with fal/rmbg-2.0" in capsys.readouterr().err
    waiting = [job["request_id"] for job in pending(capsys)]
    assert set(waiting) == set(fal.jobs)
    fal.mend()
    assert main(["resume", "none-of-ours"]) == 2
    assert main(["resume", waiting[0], waiting[0]]) == 0
    assert "1 of 1 fetched" in capsys.readouterr().out
    monkeypatch.setenv("RMBG_BACKEND", "keyer")  # pins pictures, not what was paid for elsewhere
    assert main(["resume"]) == 0
    said = capsys.readouterr().out
    assert "2 of 2 fetched" in said
    assert waiting[1] in said
    monkeypatch.delenv("RMBG_BACKEND")
    assert pending(capsys) == []
    posts = [request for request in fal.requests if request.method == "POST"]
    assert main(remove(shots, tmp_path / "out")) == 0
    assert "Cost: 0 USD." in capsys.readouterr().err
    assert [request for request in fal.requests if request.method == "POST"] == posts
    assert fal.bills == 3


def test_the_next_run_resumes_by_itself_and_a_dry_run_knows(fal, shots, tmp_path, capsys) -> None:
    fal.plan(Fault("status", "unknown state", times=99))
    arguments = remove(shots[:1], tmp_path / "out")
    assert main(arguments) == 1
    fal.mend()
    capsys.readouterr()
    assert main([*arguments, "--dry-run"]) == 0
    assert "1 of them paid for earlier" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    (row,) = rows(capsys.readouterr().out)
    assert row["report"]["request_id"] in fal.jobs
    assert any("resumed" in warning for warning in row["report"]["warnings"])
    assert fal.bills == 1


def test_the_cache_is_told_and_cleared(fal, shots, tmp_path, capsys) -> None:
    assert main(remove(shots[:2], tmp_path / "out")) == 0
    capsys.readouterr()
    assert main(["cache", "info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 2
    assert main(["cache", "info"]) == 0
    assert "2 paid results" in capsys.readouterr().out
    assert main(["cache", "clear"]) == 0
    assert "2 results removed" in capsys.readouterr().out
    assert main(remove(shots[:1], tmp_path / "out")) == 0
    assert fal.bills == 3


def test_without_a_cache_every_run_is_paid_for(fal, shots, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_CACHE", "0")
    for bills in (1, 2):
        assert main(remove(shots[:1], tmp_path / "out")) == 0
        assert fal.bills == bills
    assert pending(capsys) == []
    assert main(["cache", "info"]) == 0
    assert "off: RMBG_CACHE is 0" in capsys.readouterr().out
    assert main(["resume"]) == 2


@pytest.mark.whole
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to another process there")
def test_ctrl_c_leaves_jobs_that_can_be_fetched(fal, shots, tmp_path, capsys) -> None:
    fal.seconds = 60
    arguments = remove(shots, tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, str(ROOT), *arguments], stderr=subprocess.PIPE, text=True
    )
    asked = {f"/queue/fal-ai/bria/requests/{number}/status" for number in fal.jobs}
    until = time.monotonic() + 60
    while len(asked) < 3 and time.monotonic() < until:
        time.sleep(0.05)
        asked = {r.path for r in fal.requests if "/status" in r.path}
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - started < 3
    assert process.returncode == 130
    assert "stopped" in said
    assert "3 jobs with fal/rmbg-2.0" in said
    assert "Traceback" not in said
    assert [job["resumable"] for job in pending(capsys)] == [True] * 3
    for job in fal.jobs.values():
        job.ends = 0
    assert main(arguments) == 0
    assert fal.bills == 3
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_the_official_client_by_option(fal, shots, tmp_path, capsys, monkeypatch) -> None:
    pytest.importorskip("fal_client")
    arguments = remove(shots[:1], tmp_path / "out", "--option", "client=official")
    assert main(arguments) == 0
    assert fal.bills == 1
    np.testing.assert_array_equal(
        levels(tmp_path / "out" / "shot0.png")[..., 3], expected_alpha(levels(shots[0]))
    )
    assert main(["cache", "clear"]) == 0
    monkeypatch.setitem(sys.modules, "fal_client.client", None)
    assert main(arguments) == 2
    assert "rmbg-nodes[fal]" in capsys.readouterr().err
    assert main(remove(shots[:1], tmp_path / "o", "--option", "client=theirs")) == 2
    assert "official" in capsys.readouterr().err
    assert fal.bills == 1


def test_commercial_use_is_for_licensed_backends(fal, shots, tmp_path, capsys) -> None:
    commercial = ["--usage", "commercial"]
    assert main(remove(shots[:1], tmp_path / "a", *commercial)) == 0
    capsys.readouterr()
    assert main(remove(shots[:1], tmp_path / "b", *commercial, backend="local")) == 2
    assert "fal/rmbg-2.0" in capsys.readouterr().err  # one of the ways out
    assert not (tmp_path / "b").exists()


def test_the_key_is_in_no_file(fal, shots, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    fal.plan(Fault("submit", "reset after work"))
    assert main(remove(shots, tmp_path / "out", "--json")) == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
