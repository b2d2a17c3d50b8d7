"""What a video file says of itself, and which videos are refused, before any work is begun."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..frames import Colours, VideoInfo
from .container import Losses, OpenVideo, frames_of, open_video, unusable
from .turning import TURNS, is_askew, orientation_of_frame, upright_aspect
from .ycbcr import HDR_TRANSFERS, UNREADABLE_MATRICES, UNSPECIFIED, stated_colours

if TYPE_CHECKING:
    from av.video.format import VideoFormat
    from av.video.frame import VideoFrame as Decoded

#: AVFieldOrder: unknown, progressive; all above are interlaced.
_PROGRESSIVE = 1
_FULL = 2
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d\.\d+)")
INTERLACED = (
    "it is interlaced, and removing backgrounds from half pictures leaves combs; deinterlace it "
    "first, for example with ffmpeg -i IN -vf bwdif -c:a copy OUT"
)


def read_info(path: Path, *, max_megapixels: float = 64.0) -> VideoInfo:
    """Read what the file says and its first frame; decode nothing more.

    Raises BadPicture, in words, for what is no video, is interlaced, encrypted or too large, or
    has colours that cannot be read.
    """
    with open_video(path) as video:
        context = video.stream.codec_context
        _check_size(path, context.width, context.height, max_megapixels)
        if (getattr(context, "field_order", 0) or 0) > _PROGRESSIVE:
            raise unusable(path, INTERLACED)
        frame = _first_frame(video)
        _check_size(path, frame.width, frame.height, max_megapixels)
        if frame.interlaced_frame:
            raise unusable(path, INTERLACED)
        return _info(video, frame)


def _check_size(path: Path, width: int, height: int, max_megapixels: float) -> None:
    if width * height > max_megapixels * 1e6:
        raise unusable(
            path,
            f"{width} x {height} pixels are more than the limit of {max_megapixels:g} megapixels; "
            "make it smaller or raise the limit",
        )


def _first_frame(video: OpenVideo) -> Decoded:
    losses = Losses()
    frame = next(frames_of(video, losses), None)
    if frame is None:
        why = f" ({losses.reason})" if losses.reason else ""
        raise unusable(
            video.path,
            f"none of its frames can be decoded{why}; it is damaged, encrypted or has no frames",
        )
    return frame


def _info(video: OpenVideo, frame: Decoded) -> VideoInfo:
    container, stream = video.container, video.stream
    orientation = orientation_of_frame(frame)
    turn, mirrored = TURNS[orientation]
    width, height = (frame.height, frame.width) if turn % 180 else (frame.width, frame.height)
    colours = _colours(video, frame)
    aspect = stream.codec_context.sample_aspect_ratio or stream.sample_aspect_ratio or Fraction(1)
    return VideoInfo(
        width=width,
        height=height,
        rotation=turn,
        pixel_aspect=upright_aspect(aspect if aspect > 0 else Fraction(1), orientation),
        time_base=video.time_base,
        frame_rate=stream.average_rate or stream.guessed_rate or Fraction(25),
        frames=_promised_frames(video),
        seconds=_seconds(video),
        bits=max(component.bits for component in frame.format.components),
        colours=colours,
        has_alpha=has_alpha(frame.format),
        audio=len(container.streams.audio),
        subtitles=len(container.streams.subtitles),
        mirrored=mirrored,
        remarks=tuple(_remarks(video, frame, colours)),
    )


def has_alpha(format: VideoFormat) -> bool:
    """Return whether frames of a pixel format say how opaque they are."""
    return any(component.is_alpha for component in format.components)


def _colours(video: OpenVideo, frame: Decoded) -> Colours:
    context = video.stream.codec_context
    matrix = _first_stated(frame.colorspace, context.colorspace)
    if matrix in UNREADABLE_MATRICES and not frame.format.is_rgb:
        raise unusable(
            video.path,
            f"its colours are stored as {UNREADABLE_MATRICES[matrix]}, which is not read; convert "
            "it to BT.709",
        )
    return stated_colours(
        matrix=matrix,
        full_range=_is_full(video, frame),
        primaries=_first_stated(getattr(frame, "color_primaries", 2), context.color_primaries),
        transfer=_first_stated(getattr(frame, "color_trc", 2), context.color_trc),
        lines=frame.height,
        rgb=frame.format.is_rgb or frame.format.has_palette,
    )


def _first_stated(*codes: int) -> int:
    return next((int(code) for code in codes if code != UNSPECIFIED), UNSPECIFIED)


def _is_full(video: OpenVideo, frame: Decoded) -> bool:
    """Return whether samples use their whole range; unstated: RGB, grey and JPEG's formats do."""
    stated = frame.color_range or video.stream.codec_context.color_range
    name = frame.format.name
    return stated == _FULL if stated else frame.format.is_rgb or name.startswith(("yuvj", "gray"))


def _promised_frames(video: OpenVideo) -> int | None:
    if video.container.format.name == "avi":  # its count includes gaps without a picture
        return None
    if video.stream.frames:
        return int(video.stream.frames)
    stated = video.stream.metadata.get("NUMBER_OF_FRAMES", "")
    return int(stated) if stated.isdecimal() and int(stated) else None


def _seconds(video: OpenVideo) -> Fraction | None:
    if video.stream.duration:
        return Fraction(video.stream.duration * video.time_base)
    stated = _DURATION.fullmatch(video.stream.metadata.get("DURATION", ""))
    if stated:  # Matroska's, written by most programs
        hours, minutes, seconds = stated.groups()
        return Fraction(seconds) + 60 * int(minutes) + 3600 * int(hours)
    duration = video.container.duration
    return Fraction(duration, 1_000_000) if duration and duration > 0 else None


def _remarks(video: OpenVideo, frame: Decoded, colours: Colours) -> Iterator[str]:
    if video.others:
        yield f"It has {video.others + 1} video tracks; the first is read."
    if colours.transfer in HDR_TRANSFERS:
        yield (
            f"It is of high dynamic range ({HDR_TRANSFERS[colours.transfer]}): its samples are "
            "kept as they are, and masks are less sure than on ordinary video."
        )
    if is_askew(frame):
        yield "It is to be shown at a slant; it is left as it is stored."
