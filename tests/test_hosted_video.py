"""Whole videos at hosts, on real sockets: sent once, paid once, checked, and never lost."""

# Pins the inside of backends.hosted.backend
# Pins the inside of backends.hosted.http.retry
# Pins the inside of backends.hosted.http.transport
# Pins the inside of backends.hosted.jobs.repeats
# Pins the inside of backends.hosted.jobs.wait
# Pins the inside of backends.hosted.video_backend
# Pins the inside of catalogue.hosted_videos
# Pins the inside of core.money
# Pins the inside of video.reading.frame_survey
# Pins the inside of video.hosted.hosted_video

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from rmbg_nodes import open_backend, remove_background, remove_background_video
from rmbg_nodes.backends.hosted import backend as hosted_backend
from rmbg_nodes.backends.hosted import video_backend
from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.transport import Transport
from rmbg_nodes.backends.hosted.jobs import repeats, wait
from rmbg_nodes.catalogue.backends import BACKENDS, find
from rmbg_nodes.catalogue.hosted_videos import CODECS, VIDEO_MODELS, VIDEO_ROWS
from rmbg_nodes.cli import main
from rmbg_nodes.config.hosted import priced
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import (
    BackendUnknown,
    BadOption,
    BadPicture,
    Cancelled,
    MayBeBilled,
    OverBudget,
    PictureError,
    Refusal,
    ResultWaiting,
    RmbgError,
    UnusableResult,
)
from rmbg_nodes.core.money import Budget
from rmbg_nodes.core.specs import OptionValue
from rmbg_nodes.core.types import Job
from rmbg_nodes.pipeline.gate import OpenBackend, open_video_model
from rmbg_nodes.records.store import Records, open_records
from rmbg_nodes.tests.support.hosted.faults import Fault, Kind, Step
from rmbg_nodes.tests.support.hosted.opening import loopback
from rmbg_nodes.tests.support.hosted.server import VIDEO_SPEECHES, HostedServer
from rmbg_nodes.tests.support.hosted.videos import answer_video, small_video
from rmbg_nodes.tests.support.videos import Clip, make_video
from rmbg_nodes.video.hosted.hosted_video import cut_out_hosted, quote_hosted
from rmbg_nodes.video.reading.frame_survey import survey
from rmbg_nodes.video.reading.info import read_info
from rmbg_nodes.video.video_report import VideoReport

ROOT = Path(__file__).resolve().parent.parent
KEY = "loopback-key-0123456789"
IDS = tuple(VIDEO_MODELS)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(Transport, backoff=Backoff(0.005, 0.02), again_seconds=0.4)
    monkeypatch.setattr(hosted_backend, "Transport", quick)
    monkeypatch.setattr(repeats, "_PAUSES", (0.02, 0.02))
    monkeypatch.setattr(wait, "_UNKNOWN_PAUSE", 0.01)


@dataclass
class Studio:
    """A user with one video, who runs it again and again. Nothing but the folder is remembered."""

    server: HostedServer
    folder: Path
    cache_bytes: int = 50_000_000
    settings: Settings = field(default_factory=Settings)

    @property
    def id(self) -> str:
        return f"{self.server.provider}/video"

    @property
    def out(self) -> Path:
        return self.folder / "out" / "cut.webm"

    def records(self) -> Records:
        return open_records(self.folder / "records", self.cache_bytes)

    def model(self, **options: OptionValue) -> OpenBackend:
        return open_video_model(self.id, settings=self.settings, options=options)

    def run(
        self,
        video: Path | None = None,
        out: Path | None = None,
        job: Job | None = None,
        max_cost: Decimal | None = None,
        **options: OptionValue,
    ) -> VideoReport:
        records = self.records()
        try:
            return cut_out_hosted(
                video or self.folder / "clip.mp4",
                out or self.out,
                self.model(**options),
                settings=self.settings,
                job=job,
                records=records,
                max_cost=max_cost,
            )
        finally:
            records.close()

    def open_jobs(self) -> list[str | None]:
        """The ids of what is not settled; None for one without an id."""
        records = self.records()
        try:
            return [job.request_id for job in records.journal.pending()]
        finally:
            records.close()

    def left_overs(self) -> list[str]:
        """Files that are not finished."""
        return [path.name for path in self.folder.rglob("*") if path.suffix in (".tmp", ".part")]


@pytest.fixture(params=tuple(VIDEO_SPEECHES))
def studio(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Studio]:
    yield from _studio(request.param, monkeypatch, tmp_path)


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Studio]:
    yield from _studio("fal", monkeypatch, tmp_path)


def _studio(provider: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Studio]:
    with loopback(monkeypatch, provider, videos=True) as server:
        small_video(folder / "clip.mp4")
        yield Studio(server, folder)
        assert server.complaints == []


def frames_of(path: Path) -> int:
    return survey(path, read_info(path)).frames


# The whole way


def test_a_video_goes_there_and_comes_back(studio: Studio) -> None:
    price = VIDEO_MODELS[studio.id].price
    report = studio.run()
    assert report.path == studio.out
    assert frames_of(studio.out) == report.frames == 10
    assert read_info(studio.out).has_alpha
    facts = report.facts
    assert price is not None
    assert facts.cost == price.amount
    assert facts.left_machine
    assert facts.request_id in studio.server.jobs
    assert studio.server.bills == 1
    assert report.receipt
    assert studio.open_jobs() == []
    assert studio.left_overs() == []
    sent = (studio.folder / "clip.mp4").read_bytes()
    assert [*studio.server.records.uploads.values()] == [sent]


def test_what_was_paid_for_is_not_paid_again(studio: Studio) -> None:
    first = studio.run()
    studio.out.unlink()
    asked = len(studio.server.requests)
    again = studio.run(video=(studio.folder / "clip.mp4").rename(studio.folder / "other name.mp4"))
    assert len(studio.server.requests) == asked
    assert studio.server.bills == 1
    assert again.facts.cost == 0
    assert again.earlier == 10
    assert again.written_sha256 == first.written_sha256
    assert frames_of(studio.out) == 10


def test_another_codec_is_another_work(fal: Studio) -> None:
    fal.run()
    fal.run(out=fal.folder / "cut.mov", codec="mov_proresks")
    assert fal.server.bills == 2
    assert read_info(fal.folder / "cut.mov").has_alpha


def test_the_key_is_in_no_file(studio: Studio) -> None:
    studio.server.plan(Fault("status", 500), Fault("download", "truncate"))
    studio.run()
    for path in studio.folder.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("codec", CODECS)
def test_the_ending_says_what_is_written(fal: Studio, codec: str) -> None:
    wrong = next(suffix for name, suffix in CODECS.items() if name != codec)
    with pytest.raises(BadOption, match=f"codec={codec}"):
        fal.run(out=fal.folder / f"cut{wrong}", codec=codec)
    assert fal.server.requests == []


def test_an_address_is_given_instead_of_an_upload(studio: Studio) -> None:
    address = "https://films.example/clip.mp4?signature=abc"
    studio.server.records.uploads[address] = (studio.folder / "clip.mp4").read_bytes()
    studio.run(address=address)
    assert not [request for request in studio.server.requests if request.step == "upload"]
    studio.out.unlink()
    studio.run()  # the same video, uploaded, is the same work
    assert studio.server.bills == 1


@pytest.mark.parametrize(
    "address", ["http://films.example/a.mp4", "https://127.0.0.1/a.mp4", "/home/me/a.mp4", "x"]
)
def test_an_address_that_nobody_can_fetch_is_refused(fal: Studio, address: str) -> None:
    with pytest.raises(BadOption, match="public https address"):
        fal.run(address=address)
    assert fal.server.requests == []


# Limits and money


def test_a_long_video_is_refused_before_anything_is_sent(fal: Studio) -> None:
    long = small_video(fal.folder / "long.mp4", frames=25 * 61, width=16, height=16)
    with pytest.raises(BadPicture, match=r"lasts 61\.0 s.*takes 60 s"):
        fal.run(video=long)
    assert fal.server.requests == []


def test_a_large_file_is_refused_with_what_to_do(
    fal: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = VIDEO_MODELS["fal/video"]
    assert row.hosting
    small = replace(row, hosting=replace(row.hosting, most_bytes=100))
    monkeypatch.setattr(video_backend, "find_video_model", lambda _: small)
    with pytest.raises(BadPicture, match="option `address`"):
        fal.run()
    assert fal.server.requests == []


def test_a_file_in_no_known_container_is_not_sent(fal: Studio) -> None:
    path = fal.folder / "clip.flv"
    path.write_bytes(b"FLV\x01" + bytes(200))
    with pytest.raises(PictureError):
        fal.run(video=path)
    assert fal.server.bills == 0


def test_the_price_is_by_seconds_and_told_first(studio: Studio) -> None:
    video = small_video(studio.folder / "longer.mp4", frames=52, width=16, height=16)  # 2.08 s
    row = VIDEO_MODELS[studio.id]
    assert row.price is not None
    assert row.price.unit == "second"
    quote = quote_hosted(video, studio.model())
    assert quote.seconds == 3
    assert quote.total.amount == 3 * (row.price.amount or 0)
    assert str(row.price) in str(quote)
    assert row.price.source in str(quote)
    assert studio.server.requests == []
    assert studio.run(video=video).facts.cost == 3 * (row.price.amount or 0)


def test_a_budget_by_seconds_is_kept(fal: Studio) -> None:
    video = small_video(fal.folder / "longer.mp4", frames=52, width=16, height=16)
    for limit in (
        {"max_cost": Decimal("0.12")},
        {"budget": Budget(day=Decimal("0.12"))},
    ):
        shop = replace(fal, settings=Settings(budget=limit.pop("budget", Budget())))  # type: ignore[arg-type]
        with pytest.raises(OverBudget):
            shop.run(video=video, **limit)
        assert fal.server.requests == []
    assert fal.run(video=video, max_cost=Decimal("0.126")).facts.cost == Decimal("0.126")


def test_ones_own_price_holds_for_a_second(fal: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_PRICES", "fal/video=0.01")
    assert fal.run().facts.cost == Decimal("0.01")


def test_every_row_says_where_its_price_is_from() -> None:
    for row in VIDEO_ROWS:
        assert row.price
        assert row.price.source
        assert row.price.unit == "second"
        assert priced(row).price == row.price


def test_models_of_videos_are_in_no_menu_of_pictures() -> None:
    assert not set(IDS) & set(BACKENDS)
    for id in IDS:
        with pytest.raises(BackendUnknown, match="rmbg video"):
            find(id)


# What goes wrong on the way

BEFORE: tuple[int | Kind, ...] = (400, 401, 402, 422, "moderation")
LOST: tuple[int | Kind, ...] = ("reset after work", "not json", "empty", "no id", "truncate")
AFTER: Mapping[Step, tuple[int | Kind, ...]] = {
    "upload": (500, "reset after work", "truncate", "not json"),
    "status": (500, 503, "not json", "empty", "truncate", "gone", "unknown state"),
    "result": (500, "not json", "empty", "truncate"),
    "download": (500, 503, "truncate", "not json", "empty", "expired", "expired 404", "redirect"),
}


def tried(studio: Studio, **options: OptionValue) -> RmbgError | None:
    try:
        studio.run(**cast("Any", options))
    except RmbgError as error:
        return error
    return None


@pytest.mark.parametrize("times", [1, 60], ids=["once", "again and again"])
@pytest.mark.parametrize(
    ("step", "kind"), [(step, kind) for step, kinds in AFTER.items() for kind in kinds], ids=str
)
def test_nothing_that_is_free_to_repeat_costs_twice(
    studio: Studio, step: Step, kind: int | Kind, times: int
) -> None:
    if step not in studio.server.steps():
        pytest.skip("this host has no such step")
    studio.server.plan(Fault(step, kind, times=times))
    error = tried(studio)
    if error is not None:
        assert isinstance(error, PictureError)
        assert not studio.out.exists()
        assert studio.left_overs() == []
        # What may be owed has its id; what was not sent has none.
        assert (len(studio.open_jobs()) == 1) == (studio.server.bills == 1)
        assert step == "upload" or studio.open_jobs() == [*studio.server.jobs]
    studio.server.mend()
    studio.run()
    assert studio.server.bills == 1
    assert frames_of(studio.out) == 10
    assert studio.open_jobs() == []


@pytest.mark.parametrize("kind", BEFORE, ids=str)
def test_a_refused_submit_costs_nothing(studio: Studio, kind: int | Kind) -> None:
    studio.server.plan(Fault("submit", kind))
    error = tried(studio)
    assert isinstance(error, (PictureError, Refusal))
    assert studio.server.bills == 0
    assert studio.open_jobs() == []
    assert not studio.out.exists()
    studio.run()
    assert studio.server.bills == 1


@pytest.mark.parametrize("kind", LOST, ids=str)
def test_a_lost_answer_is_never_paid_twice_by_itself(studio: Studio, kind: int | Kind) -> None:
    studio.server.plan(Fault("submit", kind))
    error = tried(studio)
    keyed = VIDEO_MODELS[studio.id].hosting.repeatable  # type: ignore[union-attr]
    if keyed:
        assert error is None
        assert studio.server.bills == 1
        return
    assert isinstance(error, MayBeBilled)
    assert studio.server.bills == 1
    assert studio.open_jobs() == [None]
    again = tried(studio)
    assert isinstance(again, MayBeBilled)
    assert studio.server.bills == 1
    studio.run(resubmit=True)
    assert studio.server.bills == 2
    assert studio.open_jobs() == []
    assert frames_of(studio.out) == 10


def test_a_lost_answer_is_asked_for_by_a_later_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for studio in _studio("comfy", monkeypatch, tmp_path):
        studio.server.plan(Fault("submit", "reset after work", times=60))
        assert isinstance(tried(studio), ResultWaiting)
        studio.server.mend()
        studio.run()
        assert studio.server.bills == 1
        assert len(studio.server.records.uploads) == 1


@pytest.mark.parametrize("kind", ["failed", "moderation"])
def test_a_job_that_fails_is_owed_nothing(studio: Studio, kind: Kind) -> None:
    studio.server.plan(Fault("status", kind))
    error = tried(studio)
    assert isinstance(error, PictureError)
    assert studio.server.bills == 0
    studio.run()
    assert studio.server.bills == 1


def test_an_answer_that_is_too_large_is_not_downloaded(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_backend, "_BESIDE", 0)
    monkeypatch.setattr(video_backend, "_A_PIXEL", 0)
    with pytest.raises(ResultWaiting, match="larger than"):
        studio.run()
    assert studio.open_jobs() == [*studio.server.jobs]
    assert studio.left_overs() == []
    monkeypatch.undo()


# Answers that are none

WRONG: Mapping[str, dict[str, Any]] = {
    "frames missing": {"frames": 9},
    "a frame too many": {"frames": 11},
    "wrong size": {"width": 32, "height": 24},
    "turned": {"width": 48, "height": 64},
    "no alpha": {"alpha": False},
}


@pytest.mark.parametrize("fault", [*WRONG, "html", "empty", "half", "picture", "sound"])
def test_an_answer_that_fails_the_check_is_kept_with_its_id(studio: Studio, fault: str) -> None:
    good = answer_video("webm_vp9", frames=10, width=64, height=48)
    shape = {"frames": 10, "width": 64, "height": 48, **WRONG.get(fault, {})}
    bad = {
        "html": b"<!doctype html><html>sorry</html>",
        "empty": b"",
        "half": good[: len(good) // 2],
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "sound": b"ID3\x04" + bytes(500),
    }.get(fault) or (b"" if fault == "empty" else answer_video("webm_vp9", **cast("Any", shape)))
    studio.server.video_answer = lambda data, codec: bad
    with pytest.raises(UnusableResult, match="was kept"):
        studio.run()
    assert studio.open_jobs() == [*studio.server.jobs]
    assert not studio.out.exists()
    assert studio.left_overs() == []
    with pytest.raises(UnusableResult, match="was kept"):
        studio.run()
    assert studio.server.bills == 1
    for job in studio.server.jobs.values():  # the host has mended it
        job.file = good, "video/webm"
    studio.run()
    assert studio.server.bills == 1
    assert studio.open_jobs() == []
    assert frames_of(studio.out) == 10


def test_a_useless_answer_is_paid_for_anew_when_asked(studio: Studio) -> None:
    honest = studio.server.video_answer
    studio.server.video_answer = lambda data, codec: b"<html>"
    assert isinstance(tried(studio), UnusableResult)
    studio.server.video_answer = honest
    studio.run(resubmit=True)
    assert studio.server.bills == 2
    assert frames_of(studio.out) == 10
    assert studio.open_jobs() == []


def test_an_answer_that_is_opaque_in_every_frame_holds_no_mask(fal: Studio) -> None:
    fal.server.video_answer = lambda data, codec: answer_video(
        codec, frames=10, width=64, height=48, opaque=True
    )
    with pytest.raises(UnusableResult, match="opaque in every frame"):
        fal.run()


# Kept, fetched, handed over


def test_without_a_cache_it_is_fetched_again_until_it_has_its_place(studio: Studio) -> None:
    shop = replace(studio, cache_bytes=0)
    blocked = studio.folder / "blocked"
    blocked.write_text("a file, where a folder belongs")
    with pytest.raises(BadOption, match="not paid again"):
        shop.run(out=blocked / "cut.webm")
    assert studio.open_jobs() == [*studio.server.jobs]
    assert studio.left_overs() == []
    shop.run()
    assert studio.server.bills == 1
    assert studio.open_jobs() == []
    assert frames_of(studio.out) == 10
    assert studio.left_overs() == []


def test_a_place_that_cannot_be_written_costs_nothing_twice(studio: Studio) -> None:
    blocked = studio.folder / "blocked"
    blocked.write_text("a file, where a folder belongs")
    with pytest.raises(BadOption, match="not paid again"):
        studio.run(out=blocked / "cut.webm")
    asked = len(studio.server.requests)
    studio.run()
    assert len(studio.server.requests) == asked
    assert studio.server.bills == 1


def test_a_damaged_cache_is_recognised_and_not_delivered(fal: Studio) -> None:
    fal.run()
    (entry,) = (path for path in (fal.folder / "records" / "results").rglob("*") if path.is_file())
    data = bytearray(entry.read_bytes())
    for at in (0, len(data) // 2, len(data) - 60, len(data) - 1):
        broken = bytearray(data)
        broken[at] ^= 1
        entry.write_bytes(broken)
        fal.out.unlink()
        fal.run()
        assert frames_of(fal.out) == 10
        # It was delivered once, so only a new job can replace it.
        assert fal.server.bills == len(fal.server.jobs)
        entry.write_bytes(data)
    assert fal.server.bills == 5


class Stopping(Job):
    """Cancel, once the server has seen a status call."""

    def __init__(self, server: HostedServer) -> None:
        self.server = server

    def check(self) -> None:
        if any(request.step == "status" for request in self.server.requests):
            raise Cancelled("The run was stopped.")


def test_cancel_keeps_what_is_paid_for(studio: Studio) -> None:
    studio.server.seconds = 30.0
    speech = cast("Any", studio.server.speech)
    speech.queue = True
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        studio.run(job=Stopping(studio.server))
    assert time.monotonic() - begun < 20
    assert studio.server.bills == 1
    assert len(studio.open_jobs()) == 1
    assert studio.left_overs() == []
    for job in studio.server.jobs.values():
        job.ends = 0.0
    studio.run()
    assert studio.server.bills == 1
    assert frames_of(studio.out) == 10


def test_pending_and_resume_know_videos(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RMBG_DATA", str(studio.folder))
    studio.server.plan(Fault("download", 500, times=60))
    assert isinstance(tried(studio), ResultWaiting)
    studio.server.mend()
    assert main(["pending"]) == 0
    said = capsys.readouterr().out
    assert studio.id in said
    assert str(VIDEO_MODELS[studio.id].price) in said
    assert main(["resume"]) == 0
    assert "1 of 1 fetched" in capsys.readouterr().out
    assert studio.open_jobs() == []
    asked = len(studio.server.requests)
    assert studio.run().earlier == 10
    assert len(studio.server.requests) == asked
    assert studio.server.bills == 1


def test_a_fetched_result_is_checked_before_it_is_handed_over(
    fal: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBG_DATA", str(fal.folder))
    honest = fal.server.video_answer
    fal.server.video_answer = lambda data, codec: answer_video(codec, frames=9, width=64, height=48)
    fal.server.plan(Fault("download", 500, times=60))
    assert isinstance(tried(fal), ResultWaiting)
    fal.server.mend()
    assert main(["resume"]) == 0  # without the video nobody can count its frames
    with pytest.raises(UnusableResult, match=r"9 frames, and 10 were sent.*resubmit"):
        fal.run()
    assert not fal.out.exists()
    assert fal.left_overs() == []
    fal.server.video_answer = honest
    fal.run(resubmit=True)
    assert fal.server.bills == 2
    assert frames_of(fal.out) == 10


# The command line and Python


def test_the_command_says_the_price_first_and_makes_the_video(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RMBG_DATA", str(studio.folder))
    command = ["video", str(studio.folder / "clip.mp4"), "-o", str(studio.out), "--backend"]
    assert main([*command, studio.id, "--dry-run"]) == 0
    price = VIDEO_MODELS[studio.id].price
    assert f"1 s x {price}" in capsys.readouterr().err
    assert studio.server.requests == []
    assert main([*command, studio.id, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["frames"] == 10
    assert f"Cost: {price}" in said.err
    assert frames_of(studio.out) == 10
    assert studio.server.bills == 1
    assert main(["receipts", "list"]) == 0
    assert studio.id in capsys.readouterr().out


def test_the_command_refuses_what_is_done_frame_by_frame(
    fal: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["video", str(fal.folder / "clip.mp4"), "--backend", "fal/video", "-o"]
    for more, word in (
        ([str(fal.out), "--from", "0:01"], "start"),
        ([str(fal.out), "--matte", str(fal.folder / "m.mp4")], "matte"),
        ([str(fal.out), "--steady", "0.1"], "steady"),
        ([str(fal.folder / "a.mp4")], "a.mp4 is nothing"),
        ([str(fal.out), "--option", "codec=mov_proresks"], "is no name"),
    ):
        assert main([*command, *more]) != 0
        assert word in capsys.readouterr().err
    assert fal.server.requests == []


def test_a_dry_run_says_what_would_refuse_it(
    fal: Studio, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["video", str(fal.folder / "clip.mp4"), "-o", str(fal.out)]
    command += ["--backend", "fal/video", "--dry-run"]
    assert main([*command, "--max-cost", "0.01"]) == 2
    monkeypatch.delenv("FAL_KEY")
    assert main(command) == 2
    assert "FAL_KEY" in capsys.readouterr().err


def test_python_lets_the_name_of_the_result_choose(
    fal: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBG_DATA", str(fal.folder))
    for name in ("cut.webm", "cut.mkv", "cut.mov"):
        path = fal.folder / name
        report = remove_background_video(fal.folder / "clip.mp4", path, "fal/video")
        assert report.frames == frames_of(path) == 10
    with pytest.raises(BadOption, match="steady"):
        remove_background_video(fal.folder / "clip.mp4", fal.out, "fal/video", steady=0.1)
    silent = open_backend("fal/video", preserve_audio=False)
    remove_background_video(fal.folder / "clip.mp4", fal.out, silent)
    assert fal.server.bills == 4


def test_a_model_of_videos_takes_no_pictures(fal: Studio) -> None:
    with pytest.raises(BadOption, match="whole videos"):
        remove_background(torch.rand(8, 8, 3), open_backend("fal/video"))
    assert fal.server.requests == []


def test_a_lost_sound_is_said(fal: Studio) -> None:
    source = make_video(fal.folder / "loud.mp4", Clip(frames=10, audio=("aac",)))
    report = fal.run(video=source)
    assert any("no sound" in words for words in report.warnings)


# kill -9

_RUN = """
import sys
from pathlib import Path
from rmbg_nodes.pipeline.gate import open_video_model
from rmbg_nodes.tests.support.videos import Clip, make_video
from rmbg_nodes.video.hosted.hosted_video import cut_out_hosted
print("ready", flush=True)
cut_out_hosted(Path(sys.argv[2]), Path(sys.argv[3]), open_video_model(sys.argv[1]))
"""
#: After the request of this number, and so many seconds more.
MOMENTS = [(0, 0.0), (1, 0.0), (2, 0.0), (2, 0.05), (3, 0.0), (3, 0.02), (4, 0.0), (4, 0.05),
           (5, 0.0), (6, 0.0)]  # fmt: skip


@pytest.mark.parametrize("provider", VIDEO_SPEECHES)
def test_killed_it_is_paid_once_and_not_lost(
    provider: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    others = [*VIDEO_SPEECHES]
    _survives(provider, MOMENTS[others.index(provider) :: len(others)], monkeypatch, tmp_path)


@pytest.mark.whole
@pytest.mark.parametrize("provider", VIDEO_SPEECHES)
def test_killed_at_every_moment_it_is_paid_once_and_not_lost(
    provider: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _survives(provider, MOMENTS, monkeypatch, tmp_path)


def _survives(
    provider: str,
    moments: Sequence[tuple[int, float]],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
) -> None:
    """Kill a run at each moment, each time of a new video, and finish it."""
    for studio in _studio(provider, monkeypatch, folder):
        studio.server.seconds = 0.2
        killed = 0
        for number, (requests, more) in enumerate(moments):
            video = small_video(folder / f"{number}.mp4", frames=5 + number, width=32, height=32)
            out = folder / f"{number}.webm"
            bills = studio.server.bills
            killed += _killed(studio, video, requests, more)
            error = None
            try:
                report = studio.run(video=video, out=out)
            except MayBeBilled as lost:
                error = lost
            assert studio.server.bills - bills <= 1, (requests, more)
            if error is None:
                assert report.frames == frames_of(out) == 5 + number
                assert studio.server.bills - bills == 1
            else:  # between the submit and its answer, where no key brings it back
                assert provider != "comfy", (requests, more)
        assert killed > len(moments) / 2


def _killed(studio: Studio, video: Path, requests: int, more: float) -> bool:
    """Run it in a process of its own, and end that suddenly; tell whether it was still at it."""
    seen = len(studio.server.requests)
    ours = {**studio.server.environment(), "RMBG_DATA": str(studio.folder)}
    path = os.pathsep.join(sys.path)
    run = subprocess.Popen(
        [sys.executable, "-c", _RUN, studio.id, str(video), str(studio.folder / "killed.webm")],
        env={**os.environ, **ours, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT.parent,
    )
    assert run.stdout
    assert run.stdout.readline() == "ready\n"
    until = time.monotonic() + 60
    while len(studio.server.requests) < seen + requests and run.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    time.sleep(more)
    ended = run.poll() is not None
    run.kill()
    _, said = run.communicate()
    assert "Traceback" not in said, said
    time.sleep(0.1)  # what had arrived is accepted and billed
    return not ended
