"""A video from end to end: every frame once, in order, with its time and its sound; what fails ends
the run, and the next one goes on."""

# Pins the inside of video.reading.read_frames
# Pins the inside of video.cutting.segments

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import BadOption, BadPicture, Cancelled, OverBudget, PictureError
from rmbg_nodes.core.types import Backend, Job
from rmbg_nodes.pipeline.gate import open_backend
from rmbg_nodes.records.store import Records, open_records
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeLocal, FakeProvider
from rmbg_nodes.tests.support.video_backends import Everything, Straggler, make_green_screen
from rmbg_nodes.tests.support.videos import Clip, make_video, number_on
from rmbg_nodes.video.cutting.segments import WorkFolder, folder_of
from rmbg_nodes.video.reading.info import read_info
from rmbg_nodes.video.reading.read_frames import read_frames
from rmbg_nodes.video.video_options import VideoOptions, clock, seconds_of
from rmbg_nodes.video.video_plan import VideoPlan, plan_video
from rmbg_nodes.video.video_report import VideoReport
from rmbg_nodes.video.video_run import cut_out_video

FRAMES = 24
OPAQUE = VideoOptions(background="white", steady=0)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records(tmp_path / "records", 10_000_000)
    yield opened
    opened.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_video(tmp_path / "in.mp4", Clip(frames=FRAMES, audio=["aac"]))


def planned(
    source: Path, out: Path, options: VideoOptions = OPAQUE, segment: int = 10
) -> VideoPlan:
    return plan_video(source, out, options, segment=segment)


def made(plan: VideoPlan, backend: Backend, records: Records, **more: Any) -> VideoReport:
    return cut_out_video(plan, backend, records=records, **{"settings": Settings(), **more})


def numbers(path: Path) -> list[int]:
    """The numbers that are painted on a video's frames."""
    info = read_info(path)
    frames = read_frames(path, info, warn=lambda sentence: pytest.fail(sentence))
    return [number_on(frame.pixels.contiguous().numpy()) for frame in frames]


def times(path: Path) -> list[Fraction]:
    info = read_info(path)
    frames = read_frames(path, info, warn=lambda sentence: pytest.fail(sentence))
    return [frame.pts * info.time_base for frame in frames]


class Counted(Job):
    """Counts the frames, and is stopped at one of them."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.done = 0
        self._stop_at = stop_at

    def step(self, done: int) -> None:
        self.done += done

    def check(self) -> None:
        if self._stop_at is not None and self.done >= self._stop_at:
            raise Cancelled("Stopped.")


def test_every_frame_once_in_order_with_its_time_and_sound(
    source: Path, tmp_path: Path, records: Records
) -> None:
    job = Counted()
    report = made(planned(source, tmp_path / "out.mp4"), Everything(), records, job=job)
    assert numbers(report.path) == [*range(FRAMES)]
    assert times(report.path) == times(source)
    assert (report.frames, report.earlier, report.empty, job.done) == (FRAMES, 0, 0, FRAMES)
    with av.open(str(report.path)) as out:
        assert [stream.type for stream in out.streams] == ["video", "audio"]
    assert not folder_of(report.path).exists()


def test_a_rate_that_varies_stays(tmp_path: Path, records: Records) -> None:
    moments = [0, 512, 700, 2000, 2100, 4096, 4608, 9000, 9001, 9600, 12000, 12800]
    source = make_video(tmp_path / "in.mp4", Clip(frames=len(moments), times=moments))
    report = made(planned(source, tmp_path / "out.mp4", segment=5), Everything(), records)
    assert times(report.path) == times(source)
    assert numbers(report.path) == [*range(len(moments))]


def test_answers_in_any_order(source: Path, tmp_path: Path, records: Records) -> None:
    backend = Everything(window=5, backwards=True)
    report = made(planned(source, tmp_path / "out.mp4"), backend, records)
    assert numbers(report.path) == [*range(FRAMES)]


def test_frames_do_not_pile_up_behind_a_late_one(
    source: Path, tmp_path: Path, records: Records
) -> None:
    backend = Straggler(late=2)
    report = made(planned(source, tmp_path / "out.mp4"), backend, records, workers=1)
    assert numbers(report.path) == [*range(FRAMES)]
    # The window, as many again that wait for the late one, and those in the workers' hands.
    assert backend.most_before <= 2 + 4 + 2 * 2 + 4 < FRAMES


def test_a_frame_that_fails_ends_the_run_and_the_next_goes_on(
    source: Path, tmp_path: Path, records: Records
) -> None:
    plan = planned(source, tmp_path / "out.mp4")
    with pytest.raises(PictureError, match=r"^Frame 15 at 0:00:00.600: .* run the same again"):
        made(plan, Everything(failing=[15]), records)
    assert not plan.out.exists()
    backend = Everything()
    report = made(plan, backend, records)
    assert backend.asked == [*range(10, FRAMES)]
    assert (report.frames, report.earlier) == (FRAMES, 10)
    assert numbers(plan.out) == [*range(FRAMES)]


def test_cancel_leaves_closed_segments(source: Path, tmp_path: Path, records: Records) -> None:
    plan = planned(source, tmp_path / "out.mp4", segment=4)
    with pytest.raises(Cancelled):
        made(plan, Everything(), records, job=Counted(stop_at=9))
    assert not plan.out.exists()
    left = sorted(place.name for place in folder_of(plan.out).iterdir())
    closed = [name for name in left if name.endswith(".mp4")]
    assert len(closed) >= 2
    assert [name.replace(".mp4", ".json") for name in closed] == [
        name for name in left if name.endswith(".json") and name != "run.json"
    ]
    report = made(plan, Everything(), records)
    assert report.earlier == 4 * len(closed)
    assert numbers(plan.out) == [*range(FRAMES)]


@pytest.mark.parametrize("steady", [0.0, 1.0])
def test_a_run_that_went_on_gives_what_one_gives_that_was_never_stopped(
    source: Path, tmp_path: Path, records: Records, steady: float
) -> None:
    options = VideoOptions(steady=steady, matte=tmp_path / "m.mp4")
    whole = made(planned(source, tmp_path / "a.mov", options, 6), FakeLocal(), records)
    plan = planned(source, tmp_path / "b.mov", options, 6)
    for stop in (8, 15, 20):
        with pytest.raises(Cancelled):
            made(plan, FakeLocal(), records, job=Counted(stop_at=stop))
    report = made(plan, FakeLocal(), records)
    assert report.earlier >= 18
    assert report.decoded_sha256 == whole.decoded_sha256
    assert report.written_sha256 == whole.written_sha256


def test_one_receipt_for_the_video(source: Path, tmp_path: Path, records: Records) -> None:
    report = made(planned(source, tmp_path / "out.mp4"), Everything(), records)
    assert records.receipts.verify().fault is None
    (receipt,) = records.receipts.each()
    said: dict[str, Any] = receipt.data()
    assert receipt.id == report.receipt
    assert said["backend"] == "fake/local"
    assert said["input"]["frames"] == said["image"]["frames"] == FRAMES
    assert said["input"]["sha256"] == report.decoded_sha256
    assert said["image"]["sha256"] == report.written_sha256
    assert said["settings"]["steady"] == 0
    assert str(tmp_path) not in receipt.body
    assert records.receipts.matching(report.written_sha256) == [receipt]


def test_other_settings_begin_anew(source: Path, tmp_path: Path, records: Records) -> None:
    plan = planned(source, tmp_path / "out.mp4")
    with pytest.raises(PictureError):
        made(plan, Everything(failing=[15]), records)
    report = made(replace(plan, options=replace(OPAQUE, background="red")), Everything(), records)
    assert (report.frames, report.earlier) == (FRAMES, 0)
    assert any("begun anew" in words for words in report.warnings)


def test_another_source_begins_anew(source: Path, tmp_path: Path, records: Records) -> None:
    out = tmp_path / "out.mp4"
    with pytest.raises(PictureError):
        made(planned(source, out), Everything(failing=[15]), records)
    make_video(source, Clip(frames=FRAMES - 4))
    report = made(planned(source, out), Everything(), records)
    assert (report.frames, report.earlier) == (FRAMES - 4, 0)
    assert numbers(out) == [*range(FRAMES - 4)]


def test_only_one_run_at_a_time(source: Path, tmp_path: Path, records: Records) -> None:
    plan = planned(source, tmp_path / "out.mp4")
    held = WorkFolder(plan.out, {})
    with pytest.raises(BadOption, match="Another run is at work"):
        made(plan, Everything(), records)
    held.release()
    made(plan, Everything(), records)


def test_a_part(source: Path, tmp_path: Path, records: Records) -> None:
    options = replace(OPAQUE, start=seconds_of("0.2"), stop=seconds_of("0:0:0.6"))
    report = made(planned(source, tmp_path / "out.mp4", options, 4), Everything(), records)
    assert numbers(report.path) == [*range(5, 15)]
    assert report.seconds == pytest.approx(0.4)


def test_a_part_without_frames_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="it has 24 frames and lasts"):
        planned(source, tmp_path / "out.mp4", replace(OPAQUE, start=Fraction(7)))


def test_a_sequence(source: Path, tmp_path: Path, records: Records) -> None:
    options = VideoOptions(format="png", steady=0)
    plan = planned(source, tmp_path / "frames", options)
    with pytest.raises(PictureError):
        made(plan, Everything(failing=[15]), records)
    report = made(plan, Everything(), records)
    assert report.earlier == 10
    names = sorted(path.name for path in plan.out.iterdir())
    assert names == [f"frame_{number:06d}.png" for number in range(FRAMES)]
    with pytest.raises(BadOption, match="is there already"):
        planned(source, plan.out, options)


def test_an_animated_webp_is_written_in_one_piece(
    source: Path, tmp_path: Path, records: Records
) -> None:
    options = VideoOptions(format="webp-animated", steady=0)
    plan = planned(source, tmp_path / "out.webp", options, segment=5)
    assert made(plan, Everything(), records).frames == FRAMES
    with Image.open(tmp_path / "out.webp") as clip:
        assert clip.n_frames == FRAMES


def test_a_video_too_long_for_its_format_is_refused_first(tmp_path: Path) -> None:
    long = make_video(tmp_path / "long.mp4", Clip(frames=601, options={"preset": "ultrafast"}))
    options = VideoOptions(format="webp-animated", steady=0)
    with pytest.raises(BadOption, match="at most 600 frames"):
        planned(long, tmp_path / "out.webp", options)
    part = replace(options, stop=Fraction(10))
    assert planned(long, tmp_path / "out.webp", part).frames == 250


def test_a_backdrop_and_a_matte(source: Path, tmp_path: Path, records: Records) -> None:
    options = VideoOptions(background="#ff0000", steady=0, matte=tmp_path / "matte.mp4")
    report = made(planned(source, tmp_path / "out.mp4", options), FakeLocal(), records)
    assert report.matte is not None
    for path in (report.path, report.matte):
        assert times(path) == times(source)


def test_the_keyer_leaves_nothing_of_a_green_screen(tmp_path: Path, records: Records) -> None:
    source = make_green_screen(tmp_path / "in.mp4", frames=12)
    backend = open_backend("keyer", settings=Settings())
    report = made(planned(source, tmp_path / "out.mov", VideoOptions()), backend, records)
    backend.close()
    info = read_info(report.path)
    assert info.has_alpha
    for frame in read_frames(report.path, info, warn=lambda sentence: pytest.fail(sentence)):
        alpha = frame.pixels[..., 3].float() / 65535
        left = 10 + frame.number
        assert alpha[24:40, left + 4 : left + 26].min() > 0.98
        assert alpha[:16].max() < 0.02


class TestMoney:
    def test_each_frame_is_paid_for_once(
        self, source: Path, tmp_path: Path, records: Records
    ) -> None:
        provider = FakeProvider()
        plan = planned(source, tmp_path / "out.mp4")
        with pytest.raises(Cancelled):
            made(plan, FakeHosted(provider), records, job=Counted(stop_at=14))
        report = made(plan, FakeHosted(provider), records)
        assert len(provider.billed) == len(set(provider.billed)) == FRAMES
        assert report.facts.cost == FRAMES * Decimal("0.018")
        (receipt,) = records.receipts.each()
        assert receipt.data()["cost"] == str(report.facts.cost)
        assert records.journal.pending() == []

    def test_too_dear_is_refused_before_anything_is_sent(
        self, source: Path, tmp_path: Path, records: Records
    ) -> None:
        provider = FakeProvider()
        with pytest.raises(OverBudget, match="24 x 0.018"):
            made(
                planned(source, tmp_path / "new" / "out.mp4"),
                FakeHosted(provider),
                records,
                max_cost=Decimal("0.4"),
            )
        assert provider.billed == []
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "records"]

    def test_without_a_cache_what_was_not_written_is_fetched_again(
        self, source: Path, tmp_path: Path
    ) -> None:
        records = open_records(tmp_path / "records", 0)
        provider = FakeProvider()
        plan = planned(source, tmp_path / "out.mp4")
        with pytest.raises(Cancelled):
            made(plan, FakeHosted(provider), records, job=Counted(stop_at=14))
        report = made(plan, FakeHosted(provider), records)
        assert len(provider.billed) == FRAMES
        assert report.frames == FRAMES
        records.close()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("out.mp4", VideoOptions(), "has no transparency"),
        ("out.txt", VideoOptions(), "does not say what video"),
        ("out.mp4", VideoOptions(format="webm-vp9"), "end in .webm"),
        ("in.mp4", OPAQUE, "is the video that is read"),
        ("out.mp4", VideoOptions(background="no such thing"), "no picture or video of that name"),
        ("out.mov", VideoOptions(matte=Path("m.webm")), "is to be a matte"),
    ],
)
def test_what_cannot_be_is_refused_first(
    source: Path, tmp_path: Path, name: str, options: VideoOptions, words: str
) -> None:
    with pytest.raises(BadOption, match=words):
        planned(source, tmp_path / name, options)


@pytest.mark.parametrize(
    ("text", "seconds"), [("83.5", "83.5"), ("1:23.5", "83.5"), ("1:01:01", "3661")]
)
def test_times(text: str, seconds: str) -> None:
    assert seconds_of(text) == Fraction(seconds)


@pytest.mark.parametrize("text", ["", "a", "1:2:3:4", "-1", "1/2", "1:-2"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadOption, match="is no time"):
        seconds_of(text)


def test_a_time_as_players_show_it() -> None:
    assert clock(Fraction(3661_5, 10)) == "1:01:01.500"
