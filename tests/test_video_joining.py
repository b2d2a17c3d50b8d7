"""Segments become one file: every frame at its own time, sound and words copied as they are."""

# Pins the inside of video.joining.join
# Pins the inside of video.reading.read_frames

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rmbg_nodes.core.errors import BadOption, BadPicture, Cancelled
from rmbg_nodes.tests.support.videos import (
    Clip,
    make_video,
    number_on,
    steady_times,
    with_words,
)
from rmbg_nodes.video.joining.join import join
from rmbg_nodes.video.reading.info import read_info
from rmbg_nodes.video.reading.read_frames import read_frames

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


def clicks(path: Path) -> list[float]:
    """Return when the clicks in the sound begin, in seconds of the file's clock."""
    with av.open(str(path)) as video:
        loud = []
        for frame in video.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(float))
            samples = samples.reshape(-1, frame.samples) if frame.format.is_planar else samples
            peak = samples.max(axis=0) if frame.format.is_planar else samples[0, ::2]
            scale = 1.0 if peak.max() <= 2 else 32768.0
            starts = np.flatnonzero(peak / scale > 0.7)
            if starts.size:
                loud.append(float(frame.time) + starts[0] / frame.sample_rate)
    return [time for last, time in zip([-1.0, *loud], loud, strict=False) if time - last > 0.5]


SOUND = {
    "aac": ("aac", ".mp4", ".mp4"),
    "aac into mov": ("aac", ".mp4", ".mov"),
    "pcm": ("pcm_s16le", ".mov", ".mov"),
    "opus": ("libopus", ".mkv", ".mp4"),
    "opus into webm": ("libopus", ".mkv", ".webm"),
    "opus into mkv": ("libopus", ".mkv", ".mkv"),
    "from a transport stream": ("aac", ".ts", ".mp4"),
}


@pytest.mark.parametrize(("codec", "suffix", "into"), SOUND.values(), ids=SOUND)
@pytest.mark.parametrize("first", [0, 13])
def test_sound_stays_in_time(
    tmp_path: Path, codec: str, suffix: str, into: str, first: int
) -> None:
    clip = Clip(frames=75, audio=[codec], options={"bf": "0", "g": "10"})
    source = make_video(tmp_path / f"source{suffix}", clip)
    info = read_info(source)
    video = Clip(frames=75, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    film = video if into == ".webm" else Clip(frames=75, options={"bf": "0"})
    stop = 60
    segments = segments_of(tmp_path, film, (first, 40, stop), into)
    with av.open(str(source)) as file:
        stated = [frame.pts for frame in file.decode(video=0)][first:stop]
    out = tmp_path / f"out{into}"
    join(segments, out, source, info, first=first, stop=stop, times=stated, warn=pytest.fail)
    found = shown(out)
    assert [number for number, _ in found] == [*range(first, stop)]
    rounding = Fraction(1, 1000) if into in (".webm", ".mkv") else Fraction(1, 90000)
    begin = found[0][1]  # in a transport stream sound comes first, where the frames begin at 0
    assert begin == 0 or (suffix, first) == (".ts", 0)
    for number, second in found:
        assert abs(second - begin - Fraction(number - first, 25)) <= rounding
    heard = np.subtract(clicks(out), float(begin))
    expected = [second - first / 25 for second in range(3) if first / 25 <= second < stop / 25]
    assert len(heard) == len(expected)
    assert np.abs(np.subtract(heard, expected)).max() < 1 / 25
    with av.open(str(out)) as file:
        ends = max(p.pts * p.time_base for p in file.demux(audio=0) if p.size)
    assert ends < begin + Fraction(stop - first, 25)


def test_alpha_of_webm_is_kept(tmp_path: Path) -> None:
    clip = Clip(frames=12, codec="libvpx-vp9", pixel_format="yuva420p")
    whole = make_video(tmp_path / "whole.webm", clip)
    info = read_info(whole)
    segments = segments_of(tmp_path, clip, (0, 5, 12), ".webm")
    out = tmp_path / "out.webm"
    join(segments, out, None, info, warn=pytest.fail)
    assert read_info(out).has_alpha
    ways = zip(
        read_frames(out, read_info(out), warn=pytest.fail),
        read_frames(whole, info, warn=pytest.fail),
        strict=True,
    )
    for one, other in ways:
        assert (one.number, one.pts) == (other.number, other.pts)
        alpha, expected = (frame.pixels[..., 3].float() for frame in (one, other))
        assert (alpha - expected).abs().mean() < 2


def test_what_the_source_says_of_itself_is_kept(tmp_path: Path) -> None:
    clip = Clip(
        frames=6,
        audio=["aac", "aac"],
        languages=["jpn", "eng"],
        metadata={"title": "A film", "creation_time": "2024-01-02T03:04:05.000000Z"},
        aspect=Fraction(4, 3),
    )
    source = make_video(tmp_path / "source.mp4", clip)
    out = tmp_path / "out.mp4"
    join([source], out, source, read_info(source), warn=pytest.fail)
    with av.open(str(out)) as file:
        assert file.metadata["title"] == "A film"
        assert file.metadata["creation_time"] == "2024-01-02T03:04:05.000000Z"
        assert [stream.metadata["language"] for stream in file.streams.audio] == ["jpn", "eng"]
    info, before = read_info(out), read_info(source)
    assert (info.pixel_aspect, info.colours) == (before.pixel_aspect, before.colours)
    assert info.frame_rate == 25


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    segment = make_video(tmp_path / "a.mp4", Clip(frames=50, options={"qp": "0"}))
    out = tmp_path / "out.mp4"
    out.write_bytes(b"the old one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size // 2, hard))
    try:
        with pytest.raises(BadOption, match=r"out\.mp4 cannot be written \(File too large\)"):
            join([segment], out, None, read_info(segment), warn=pytest.fail)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "out.mp4"]
    assert out.read_bytes() == b"the old one"


def test_joining_ends_when_it_is_told_to_and_leaves_nothing(tmp_path: Path) -> None:
    segment = make_video(tmp_path / "a.mp4", Clip(frames=20))
    calls = iter(range(10))

    def stop() -> None:
        if next(calls) == 8:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        join([segment], tmp_path / "b.mp4", None, read_info(segment), check=stop, warn=pytest.fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_missing_frame_is_refused(tmp_path: Path) -> None:
    segment = make_video(tmp_path / "a.mp4", Clip(frames=20))
    with pytest.raises(BadPicture, match="the segments hold 20 frames, and 21 were written"):
        join(
            [segment], tmp_path / "b.mp4", None, read_info(segment),
            times=[*range(21)], warn=pytest.fail,
        )  # fmt: skip


def words(path: Path) -> list[tuple[float, float, bytes]]:
    """Return when each subtitle begins and ends, and its packet's payload."""
    with av.open(str(path)) as video:
        return [
            (
                round(float(packet.pts * packet.time_base), 3),
                round(float((packet.pts + packet.duration) * packet.time_base), 3),
                bytes(packet),
            )
            for packet in video.demux(subtitles=0)
            if packet.size
        ]


@pytest.mark.parametrize(("kind", "suffix"), [(".srt", ".mkv"), (".vtt", ".webm")])
def test_words_are_copied_and_cut_to_the_frames(tmp_path: Path, kind: str, suffix: str) -> None:
    clip = Clip(frames=75, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})
    source = with_words(make_video(tmp_path / "film.webm", clip), tmp_path / f"s{suffix}", kind)
    info = read_info(source)
    assert info.subtitles == 1
    first, stop = 13, 60
    segments = segments_of(tmp_path, clip, (first, stop), ".webm")
    times = [40 * number for number in range(first, stop)]
    out = tmp_path / f"out{suffix}"
    join(segments, out, source, info, first=first, stop=stop, times=times, warn=pytest.fail)
    begin, middle, _ = words(source)
    assert words(out) == [
        (0.0, round(begin[1] - first / 25, 3), begin[2]),
        (round(middle[0] - first / 25, 3), round(middle[1] - first / 25, 3), middle[2]),
    ]


def test_words_that_mp4_does_not_carry_are_named(tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", Clip(frames=75))
    source = with_words(film, tmp_path / "s.mkv", ".srt")
    said: list[str] = []
    join([film], tmp_path / "out.mp4", source, read_info(source), warn=said.append)
    assert said == [
        "MP4 carries no subtitle in subrip, so track 1 is missing in out.mp4; choose another "
        "format to keep it."
    ]
