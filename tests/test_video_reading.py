"""Videos are read frame by frame, from any number, upright, at their own times."""

# Pins the inside of video.reading.read_frames

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from rmbg_nodes.core.errors import BadPicture, Cancelled
from rmbg_nodes.tests.support.videos import (
    TURNS,
    Clip,
    make_sound,
    make_video,
    number_on,
    painted_alpha,
    piped,
    steady_times,
    turn,
)
from rmbg_nodes.video.frames import VideoFrame
from rmbg_nodes.video.reading.info import read_info
from rmbg_nodes.video.reading.read_frames import read_frames


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


INTERLACED = {
    "flagged by frames": Clip(options={"flags": "+ilme+ildct", "x264-params": "tff=1"}),
    "mpeg2": Clip(codec="mpeg2video", options={"flags": "+ilme+ildct"}, time_base=Fraction(1, 25)),
}


@pytest.mark.parametrize("clip", INTERLACED.values(), ids=INTERLACED)
@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_interlaced_video_is_refused_with_the_way_out(
    tmp_path: Path, clip: Clip, suffix: str
) -> None:
    path = make_video(tmp_path / f"a{suffix}", clip)
    with pytest.raises(BadPicture, match="it is interlaced.*bwdif"):
        read_info(path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.m4a")
    with pytest.raises(BadPicture, match="it has no video track"):
        read_info(path)


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.m4a", cover=True)
    with av.open(str(path)) as file:
        assert len(file.streams.video) == 1
    with pytest.raises(BadPicture, match="it has no video track"):
        read_info(path)


ALPHA = {
    "vp9": (Clip(codec="libvpx-vp9", pixel_format="yuva420p"), ".webm", 8),
    "vp8": (
        Clip(codec="libvpx", pixel_format="yuva420p", options={"auto-alt-ref": "0"}),
        ".webm",
        8,
    ),
    "prores": (
        Clip(codec="prores_ks", pixel_format="yuva444p10le", options={"profile": "4"}),
        ".mov",
        12,
    ),
    "png": (Clip(codec="png", pixel_format="rgba"), ".mov", 8),
    "qtrle": (Clip(codec="qtrle", pixel_format="argb"), ".mov", 8),
}


@pytest.mark.parametrize(("clip", "suffix", "bits"), ALPHA.values(), ids=ALPHA)
def test_alpha_is_read(tmp_path: Path, clip: Clip, suffix: str, bits: int) -> None:
    path = make_video(tmp_path / f"a{suffix}", clip)
    info = read_info(path)
    assert (info.has_alpha, info.bits) == (True, bits)
    found = frames(path)
    assert painted_numbers(found) == [*range(clip.frames)]
    for frame in (*found[3:5], *frames(path, 17, 18)):
        pixels = frame.pixels.numpy()
        alpha = pixels[..., 3] / np.iinfo(pixels.dtype).max
        expected = painted_alpha(frame.number, clip.width, clip.height) / 255
        assert np.abs(alpha - expected).mean() <= 2 / 255


def test_odd_sides_are_kept(tmp_path: Path) -> None:
    clip = Clip(frames=4, width=71, height=49, codec="libvpx-vp9")
    path = make_video(tmp_path / "a.webm", clip)
    found = frames(path)
    assert tuple(found[0].pixels.shape) == (49, 71, 3)
    assert painted_numbers(found) == [*range(4)]


def test_what_is_left_of_a_cut_off_video_is_read_and_said(tmp_path: Path) -> None:
    clip = Clip(frames=100, options={"g": "10"})
    path = make_video(tmp_path / "a.mkv", clip)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    said: list[str] = []
    found = [*read_frames(path, read_info(path), warn=said.append)]
    assert 20 < len(found) < 80
    assert painted_numbers(found) == [*range(len(found))]
    assert said == [
        f"The video is damaged or cut off: {len(found)} frames could be read; what is missing is "
        "missing in the result, too."
    ]


def test_damage_in_the_middle_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    clip = Clip(frames=40, codec="libvpx-vp9", options={"g": "5"})
    path = make_video(tmp_path / "a.mp4", clip)
    with av.open(str(path)) as file:
        spots = [p.pos for p in file.demux(video=0) if p.size and 80 < p.pts * 25 / 128 < 1200]
    data = bytearray(path.read_bytes())
    for spot in spots[1:3]:
        data[spot : spot + 8] = b"\xff" * 8
    path.write_bytes(data)
    said: list[str] = []
    found = [*read_frames(path, read_info(path), warn=said.append)]
    assert len(found) < 40
    assert number_on(found[-1].pixels.numpy()) == 39
    assert said[0].startswith("The video is damaged or cut off")


def test_a_known_time_finds_a_frame_behind_damage(tmp_path: Path) -> None:
    clip = Clip(frames=30, codec="libvpx-vp9", options={"g": "5"})
    path = make_video(tmp_path / "a.mp4", clip)
    with av.open(str(path)) as file:
        spot = [packet.pos for packet in file.demux(video=0) if packet.size][1]
    data = bytearray(path.read_bytes())
    data[spot : spot + 8] = b"\xff" * 8
    path.write_bytes(data)
    said: list[str] = []
    whole = [*read_frames(path, read_info(path), warn=said.append)]
    one = whole[20]
    again = next(read_frames(path, read_info(path), one.number, begins=one.pts, warn=said.append))
    assert (again.number, again.pts) == (one.number, one.pts)
    assert again.pixels.equal(one.pixels)


def test_equal_times_are_told_apart_with_a_warning(tmp_path: Path) -> None:
    times = [0, 400, 401, 402, 800, 1200]
    path = make_video(tmp_path / "a.mkv", Clip(frames=6, times=times, options={"bf": "0"}))
    said: list[str] = []
    found = [*read_frames(path, read_info(path), warn=said.append)]
    pts = [frame.pts for frame in found]
    assert pts == sorted(set(pts))
    assert painted_numbers(found) == [*range(6)]
    assert len(said) == 1
    assert "frames of the video have a time that does not rise" in said[0]
    part = [*read_frames(path, read_info(path), 3, warn=said.append)]
    assert [(frame.number, frame.pts) for frame in part] == [*enumerate(pts[3:], 3)]


def test_a_video_that_was_piped_has_no_length_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    piped(path, Clip(frames=30))
    info = read_info(path)
    assert (info.frames, info.seconds) == (None, None)
    assert painted_numbers(frames(path)) == [*range(30)]
    assert painted_numbers(frames(path, 20, 22)) == [20, 21]


def test_a_beginning_before_zero_is_kept(tmp_path: Path) -> None:
    times = [-512, 0, 512, 1024]
    path = make_video(tmp_path / "a.mkv", Clip(frames=4, times=times, options={"bf": "0"}))
    assert painted_numbers(frames(path)) == [0, 1, 2, 3]
    assert painted_numbers(frames(path, 2)) == [2, 3]


def test_high_dynamic_range_is_said(tmp_path: Path) -> None:
    clip = Clip(pixel_format="yuv420p10le", matrix=9, primaries=9, transfer=16, frames=2)
    info = read_info(make_video(tmp_path / "a.mp4", clip))
    assert (info.colours.primaries, info.colours.transfer) == ("bt2020", "smpte2084")
    assert [words[:37] for words in info.remarks] == ["It is of high dynamic range (PQ): its"]
    said: list[str] = []
    found = [*read_frames(tmp_path / "a.mp4", info, warn=said.append)]
    assert {frame.pixels.dtype for frame in found} == {torch.uint16}
    assert said == [*info.remarks]


def test_a_change_of_size_is_refused_where_it_happens(tmp_path: Path) -> None:
    one = make_video(tmp_path / "a.ts", Clip(frames=10))
    other = make_video(tmp_path / "b.ts", Clip(frames=10, width=80))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + other.read_bytes())
    found: list[VideoFrame] = []
    with pytest.raises(BadPicture, match="change from 64 x 48 to 80 x 48 pixels at frame 10"):
        found.extend(read_frames(both, read_info(both), warn=pytest.fail))


def test_reading_ends_when_it_is_told_to(clip_path: Path) -> None:
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen == 5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        list(read_frames(clip_path, read_info(clip_path), check=stop, warn=pytest.fail))


def test_the_first_of_several_videos_is_read_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    one = make_video(tmp_path / "one.mkv", Clip(frames=6))
    other = make_video(tmp_path / "other.mkv", Clip(frames=6, width=80), first_number=100)
    with av.open(str(one)) as a, av.open(str(other)) as b, av.open(str(path), "w") as target:
        for source in (a, b):
            target.add_stream_from_template(source.streams.video[0], opaque=True)
        for index, source in enumerate((a, b)):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = target.streams[index]
                    target.mux(packet)
    said: list[str] = []
    found = [*read_frames(path, read_info(path), warn=said.append)]
    assert painted_numbers(found) == [*range(6)]
    assert said == ["It has 2 video tracks; the first is read."]
