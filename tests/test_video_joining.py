"""Segments become one file: every frame at its own time, sound and words copied as they are."""

# Pins the inside of video.joining

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest

from rmbg_nodes.core.errors import BadOption
from rmbg_nodes.tests.support.videos import Clip, make_video, number_on, steady_times
from rmbg_nodes.video.info import read_info
from rmbg_nodes.video.joining import join

UNEVEN = [0, 512, 1024, 1600, 2048, 2049, 3072, 4000, 4608, 5120, 5632, 6100, 6656, 7168]


def segments_of(folder: Path, clip: Clip, cuts: Sequence[int], suffix: str) -> list[Path]:
    """Write the frames of a clip as one file for each stretch between two cuts, from frame 0."""
    times = steady_times(clip)
    paths = []
    for place, (first, stop) in enumerate(zip(cuts, cuts[1:], strict=False)):
        part = Clip(
            frames=stop - first,
            times=times[first:stop],
            codec=clip.codec,
            pixel_format=clip.pixel_format,
            options=clip.options,
        )
        paths.append(make_video(folder / f"part{place}{suffix}", part, first_number=first))
    return paths


def shown(path: Path) -> list[tuple[int, Fraction]]:
    """Return the painted number and the second of every frame, as PyAV decodes them."""
    with av.open(str(path)) as video:
        step = video.streams.video[0].time_base
        return [
            (number_on(frame.to_ndarray(format="rgb24")), frame.pts * step)
            for frame in video.decode(video=0)
        ]


def sound(path: Path) -> list[bytes]:
    """Return the payloads of all audio packets."""
    with av.open(str(path)) as video:
        return [bytes(packet) for packet in video.demux(audio=0) if packet.size]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_frames_keep_their_times_and_sound_is_copied(tmp_path: Path, suffix: str) -> None:
    clip = Clip(frames=14, times=UNEVEN, options={"bf": "2", "g": "50"}, audio=["aac"])
    source = make_video(tmp_path / "source.mp4", clip)
    info = read_info(source)
    segments = segments_of(tmp_path, clip, (0, 5, 6, 14), suffix)
    times = [round(pts * clip.time_base / info.time_base) for pts in UNEVEN]
    out = tmp_path / f"out{suffix}"
    join(segments, out, source, info, times=times, warn=pytest.fail)
    assert shown(out) == [(n, pts * clip.time_base) for n, pts in enumerate(UNEVEN)]
    assert sound(out) == sound(source)


def test_a_track_that_does_not_fit_is_named(tmp_path: Path) -> None:
    clip = Clip(frames=6, audio=["pcm_s16le"])
    source = make_video(tmp_path / "source.mov", clip)
    vp9 = Clip(frames=6, codec="libvpx-vp9", options={"deadline": "realtime"})
    segments = segments_of(tmp_path, vp9, (0, 6), ".webm")
    said: list[str] = []
    join(segments, tmp_path / "out.webm", source, read_info(source), warn=said.append)
    assert said == [
        "WebM carries no audio in pcm_s16le, so track 1 is missing in out.webm; choose another "
        "format to keep it."
    ]
    assert [number for number, _ in shown(tmp_path / "out.webm")] == [*range(6)]


def test_a_place_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    segment = make_video(tmp_path / "a.mp4", Clip(frames=3))
    with pytest.raises(BadOption, match=r"out\.mp4 cannot be written \(No such file"):
        join([segment], tmp_path / "none" / "out.mp4", None, read_info(segment), warn=pytest.fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
