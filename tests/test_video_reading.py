"""Videos are read frame by frame, from any number, upright, at their own times."""

# Pins the inside of video.reading

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.tests.support.videos import (
    TURNS,
    Clip,
    make_video,
    number_on,
    steady_times,
    turn,
)
from rmbg_nodes.video.frames import VideoFrame
from rmbg_nodes.video.info import read_info
from rmbg_nodes.video.reading import read_frames


def frames(path: Path, first: int = 0, stop: int | None = None) -> list[VideoFrame]:
    said: list[str] = []
    found = [*read_frames(path, read_info(path), first, stop, warn=said.append)]
    assert said == []
    return found


def painted_numbers(found: list[VideoFrame]) -> list[int]:
    return [number_on(frame.pixels.numpy()) for frame in found]


#: Encoders and their GOPs that make seeking hard.
GOPS = {
    "b-frames": Clip(options={"g": "8", "bf": "3"}),
    "open": Clip(options={"g": "8", "bf": "3", "x264-params": "open-gop=1:keyint=8:min-keyint=8"}),
    "one key": Clip(options={"g": "250", "bf": "2"}),
    "all keys": Clip(options={"g": "1"}),
    "mpeg4": Clip(codec="mpeg4", options={"g": "6", "bf": "2"}),
}


@pytest.mark.parametrize("clip", GOPS.values(), ids=GOPS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_reading_begins_at_any_frame(tmp_path: Path, clip: Clip, suffix: str) -> None:
    if suffix == ".avi":  # its muxer fills the steps between with empty frames
        clip = replace(clip, time_base=1 / clip.rate)
    path = make_video(tmp_path / f"a{suffix}", clip)
    whole = frames(path)
    assert painted_numbers(whole) == [frame.number for frame in whole] == [*range(clip.frames)]
    for first in (1, 7, 8, 9, 13, 23):
        part = frames(path, first, first + 3)
        expected = whole[first : first + 3]
        assert [(one.number, one.pts) for one in part] == [(o.number, o.pts) for o in expected]
        for one, other in zip(part, expected, strict=True):
            assert one.pixels.equal(other.pixels)
    assert frames(path, clip.frames) == []


def test_timestamps_are_the_files(tmp_path: Path) -> None:
    times = [0, 512, 700, 2048, 2049, 5000, 9000, 9001]
    clip = Clip(frames=8, times=times, options={"bf": "2"})
    path = make_video(tmp_path / "a.mp4", clip)
    info = read_info(path)
    found = frames(path)
    assert [frame.pts * info.time_base for frame in found] == [t * clip.time_base for t in times]


@pytest.mark.parametrize("degrees", TURNS)
def test_a_turned_video_is_upright(tmp_path: Path, degrees: int) -> None:
    path = make_video(tmp_path / "a.mp4", Clip(frames=3, aspect=Fraction(4, 3)))
    stored = frames(path)[1].pixels
    turn(path, *TURNS[degrees])
    info = read_info(path)
    shown = frames(path)[1].pixels
    assert info.rotation == degrees
    assert (info.height, info.width, 3) == tuple(shown.shape)
    assert info.pixel_aspect == (Fraction(3, 4) if degrees % 180 else Fraction(4, 3))
    assert shown.equal(stored.rot90(-degrees // 90, (0, 1)))


def test_a_mirrored_video_is_upright(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", Clip(frames=2))
    stored = frames(path)[0].pixels
    turn(path, -1, 0, 0, 1)
    assert read_info(path).mirrored
    assert frames(path)[0].pixels.equal(stored.flip(1))


@pytest.fixture
def clip_path(tmp_path: Path) -> Path:
    return make_video(tmp_path / "a.mp4")


def test_the_first_look_says_what_the_file_is(clip_path: Path) -> None:
    info = read_info(clip_path)
    assert (info.width, info.height, info.frames, info.bits) == (64, 48, 24, 8)
    assert (info.frame_rate, info.seconds) == (Fraction(25), Fraction(24, 25))
    assert (info.has_alpha, info.audio, info.subtitles, info.remarks) == (False, 0, 0, ())
    assert steady_times(Clip())[1] * Clip().time_base == Fraction(1, 25)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 99], ids=["empty", "text"])
def test_what_is_no_video_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(BadPicture, match=r"a\.mp4 cannot be used: it is no video"):
        read_info(path)


def test_too_large_a_video_is_refused(clip_path: Path) -> None:
    with pytest.raises(BadPicture, match="64 x 48 pixels are more than the limit of 0.001"):
        read_info(clip_path, max_megapixels=0.001)
