"""Small real videos, made with PyAV: every frame has its number painted on it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rmbg_nodes.video.frames import Colours, VideoInfo

#: The number is written in as many squares, dark or bright, along the upper edge.
BITS = 8
SQUARE = 8
#: Display matrix, in quarter turns clockwise, as a file holds it: a, b, c, d.
TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@dataclass(frozen=True)
class Clip:
    """What a video is to be like."""

    frames: int = 24
    width: int = 64
    height: int = 48
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the encoder."""
    container: Mapping[str, str] = field(default_factory=dict)
    """Options of the muxer."""
    rate: Fraction = Fraction(25)
    time_base: Fraction = Fraction(1, 12800)
    times: Sequence[int] = ()
    """Of each frame; empty: at a steady rate from 0."""
    aspect: Fraction | None = None
    matrix: int = 1
    colour_range: int = 1
    primaries: int = 1
    transfer: int = 1
    audio: Sequence[str] = ()
    """Encoders, one a track; each plays a tone with a click in every second."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    languages: Sequence[str] = ()
    """Of the audio tracks."""


_USUAL = Clip()


def video_info(width: int = 64, height: int = 48, **changes: object) -> VideoInfo:
    """An 8-bit video of 25 frames a second, as its writer is told of it."""
    facts = {
        "width": width,
        "height": height,
        "rotation": 0,
        "pixel_aspect": Fraction(1),
        "time_base": Fraction(1, 25),
        "frame_rate": Fraction(25),
        "frames": None,
        "seconds": None,
        "bits": 8,
        "colours": Colours("bt709", False, "bt709", "bt709"),
    }
    return VideoInfo(**{**facts, **changes})  # type: ignore[arg-type]


def painted(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return (H, W, 3): a smooth picture that moves, with the number in squares."""
    y, x = np.mgrid[:height, :width]
    red = 60 + 120 * (x + number) / (width + 64)
    green = 60 + 120 * y / height
    blue = 120 + 60 * np.sin((x - 2 * number) / 9)
    picture = np.stack([red, green, blue], axis=-1)
    for bit in range(BITS):
        left = bit * SQUARE
        picture[:SQUARE, left : left + SQUARE] = 235 if number >> bit & 1 else 20
    return picture.round().astype(np.uint8)


def number_on(pixels: NDArray[np.uint8 | np.uint16]) -> int:
    """Return the number that is painted on a picture (H, W, 3 or more)."""
    luma = pixels[..., :3].astype(float).mean(axis=-1) / np.iinfo(pixels.dtype).max
    inner = slice(2, SQUARE - 2)
    squares = (luma[inner, bit * SQUARE + 2 : (bit + 1) * SQUARE - 2] for bit in range(BITS))
    return sum((square.mean() > 0.5) << bit for bit, square in enumerate(squares))


def steady_times(clip: Clip) -> list[int]:
    """Return the timestamps of a clip's frames."""
    step = 1 / (clip.rate * clip.time_base)
    return [*clip.times] or [round(number * step) for number in range(clip.frames)]


def painted_alpha(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return (H, W): opaque where the number is painted, and a ramp that moves below it."""
    ramp = np.broadcast_to((np.arange(width) * 2 + number) % 200 + 40, (height, width)).copy()
    ramp = np.minimum(ramp, 255)
    ramp[: SQUARE * 2] = 255
    return ramp.astype(np.uint8)


def make_video(path: Path, clip: Clip = _USUAL, *, first_number: int = 0) -> Path:
    """Write a video of this kind; the container is that of the path's suffix.

    first_number: painted on the first frame.
    """
    with av.open(str(path), "w", options=dict(clip.container)) as target:
        _write(target, clip, first_number)
    return path


def piped(path: Path, clip: Clip) -> Path:
    """Write a Matroska file as into a pipe: nothing of its head is filled in at the end."""
    with path.open("wb") as file, av.open(_Pipe(file), "w", format="matroska") as target:
        _write(target, clip, 0)
    return path


def make_sound(path: Path, *, cover: bool = False) -> Path:
    """Write a file with one audio track. cover: and a picture for its player."""
    with av.open(str(path), "w", format="mp4") as target:
        stream = _tone(target, "aac")
        if cover:
            picture = _pictures(target, "mjpeg", Fraction(1), {})
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
            picture.disposition = Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(painted(0, 64, 48), format="rgb24")
            target.mux(picture.encode(frame.reformat(format="yuvj420p")))
            target.mux(picture.encode(None))
        for part in _sound(1.0):
            target.mux(stream.encode(part))
        target.mux(stream.encode(None))
    return path


class _Pipe:
    """A file that can only be written to, forwards."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(data)


def _pictures(
    target: OutputContainer, codec: str, rate: Fraction, options: Mapping[str, str]
) -> VideoStream:
    stream = target.add_stream(codec, rate=rate, options=dict(options))
    assert isinstance(stream, VideoStream)
    return stream


def _tone(target: OutputContainer, codec: str) -> AudioStream:
    stream = target.add_stream(codec, rate=48000)
    assert isinstance(stream, AudioStream)
    return stream


def _write(target: OutputContainer, clip: Clip, first_number: int) -> None:
    target.metadata.update(clip.metadata)
    stream = _pictures(target, clip.codec, clip.rate, clip.options)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = clip.width, clip.height, clip.pixel_format
    context.time_base = stream.time_base = clip.time_base
    context.thread_count = 1
    context.colorspace, context.color_range = clip.matrix, clip.colour_range
    context.color_primaries, context.color_trc = clip.primaries, clip.transfer
    if clip.aspect:
        context.sample_aspect_ratio = clip.aspect
    sounds = [_tone(target, name) for name in clip.audio]
    for sound, language in zip(sounds, clip.languages, strict=False):
        sound.metadata["language"] = language
    for number, pts in enumerate(steady_times(clip)):
        frame = _frame(clip, first_number + number, pts)
        target.mux(stream.encode(frame))
    target.mux(stream.encode(None))
    for sound in sounds:
        for part in _sound(float(clip.frames / clip.rate)):
            target.mux(sound.encode(part))
        target.mux(sound.encode(None))


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Give an MP4 or MOV file's first track a display matrix."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    struct.pack_into(">9i", data, place, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def _frame(clip: Clip, number: int, pts: int) -> av.VideoFrame:
    colours = painted(number, clip.width, clip.height)
    alpha = painted_alpha(number, clip.width, clip.height)
    picture = av.VideoFrame.from_ndarray(np.dstack([colours, alpha]), format="rgba")
    matrix = {1: 1, 9: 9}.get(clip.matrix, 5)
    frame = picture.reformat(
        format=clip.pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=2,
        dst_color_range=clip.colour_range,
        interpolation=2 | 0x2000 | 0x40000,
    )
    frame.pts, frame.time_base = pts, clip.time_base
    return frame


def _sound(seconds: float) -> list[av.AudioFrame]:
    rate, size = 48000, 960
    moment = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * 440 * moment) + (moment % 1.0 < 0.002)
    stereo = np.clip(np.stack([wave, wave]), -1, 1).astype(np.float32)
    parts = []
    for start in range(0, stereo.shape[1], size):
        samples = np.ascontiguousarray(stereo[:, start : start + size])
        part = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        part.sample_rate, part.pts, part.time_base = rate, start, Fraction(1, rate)
        parts.append(part)
    return parts


def make_still(
    path: Path,
    codec: str,
    pixel_format: str,
    planes: Sequence[NDArray[np.uint8 | np.uint16]],
    *,
    matrix: int = 1,
    colour_range: int = 1,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write a video of two frames with exactly these samples; the codec should lose nothing."""
    height, width = planes[0].shape
    picture = av.VideoFrame(width, height, pixel_format)
    for plane, samples in zip(picture.planes, planes, strict=True):
        rows = np.zeros((samples.shape[0], plane.line_size // samples.itemsize), samples.dtype)
        rows[:, : samples.shape[1]] = samples
        plane.update(rows.tobytes())
    picture.color_range, picture.colorspace = colour_range, matrix
    with av.open(str(path), "w") as target:
        stream = _pictures(target, codec, Fraction(25), options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, pixel_format
        context.colorspace, context.color_range = matrix, colour_range
        for pts in range(2):
            picture.pts, picture.time_base = pts, Fraction(1, 25)
            target.mux(stream.encode(picture))
        target.mux(stream.encode(None))
    return path


SRT = """1
00:00:00,200 --> 00:00:00,800
before and into

2
00:00:01,000 --> 00:00:01,500
in the middle

3
00:00:02,600 --> 00:00:02,900
after
"""
#: The same words as two formats that need no encoder.
WORDS = {
    ".srt": SRT,
    ".vtt": "WEBVTT\n\n" + SRT.replace(",", "."),
}


def with_words(video: Path, out: Path, kind: str) -> Path:
    """Write a file with the video's tracks and a track of words; kind: a key of WORDS."""
    words = out.with_suffix(kind)
    words.write_text(WORDS[kind], encoding="utf-8")
    with av.open(str(video)) as film, av.open(str(words)) as text, av.open(str(out), "w") as target:
        for source in (film, text):
            for stream in source.streams:
                target.add_stream_from_template(stream, opaque=True)
        for source, first in ((text, len(film.streams)), (film, 0)):
            for packet in source.demux():
                if packet.size:
                    packet.stream = target.streams[first + packet.stream_index]
                    target.mux(packet)
    return out
