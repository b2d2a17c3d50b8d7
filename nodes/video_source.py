"""The VIDEO that ComfyUI hands to a node: where its bytes are, and which part of them it means."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from comfy_api.latest import InputImpl

from ..core.errors import BadPicture
from ..video.frames import VideoInfo
from ..video.video_options import VideoOptions

#: Of ComfyUI's times, which are floats.
_MICROSECONDS = 1_000_000
#: Seconds by which containers and ComfyUI may differ about how long the same video lasts.
_SAME_LENGTH = Fraction(1, 4)

IN_MEMORY = (
    "This video was frames in memory and no file, so ComfyUI made an H.264 of them first: fine "
    "colours and their transparency are gone. Load Video gives the file itself."
)


class ComfyVideo(Protocol):
    """What is used of ComfyUI's video types."""

    def get_stream_source(self) -> str | BinaryIO:
        """Return its path, or its bytes; of frames in memory those of an H.264 made of them."""

    def get_duration(self) -> float:
        """Return how long the part lasts that is meant, in seconds."""

    def get_dimensions(self) -> tuple[int, int]:
        """Return its width and height in pixels, turned upright or not."""


class _Trimmed(Protocol):
    """A video type that says which part of its file it means."""

    def get_active_trim_window(self) -> tuple[float, float]:
        """Return where it begins and how long it is, in seconds; 0 = to the end."""


def is_in_memory(video: ComfyVideo) -> bool:
    """Tell whether it has no file at all."""
    return isinstance(video, InputImpl.VideoFromComponents)


def only_the_part(options: VideoOptions, video: ComfyVideo, info: VideoInfo) -> VideoOptions:
    """Return the options for the part of its file that a video means.

    Raises BadPicture for a crop, and where an older ComfyUI trims and does not say what is left.
    """
    if is_in_memory(video):
        return options
    if sorted(video.get_dimensions()) != sorted((info.width, info.height)):
        raise BadPicture(
            "This video is a cropped part of its file, which cannot be read from there. Save the "
            "cropped video with Save Video and load it again."
        )
    if hasattr(video, "get_active_trim_window"):
        start, duration = cast("_Trimmed", video).get_active_trim_window()
        begin = Fraction(start).limit_denominator(_MICROSECONDS)
        end = begin + Fraction(duration).limit_denominator(_MICROSECONDS)
        return replace(options, start=begin or None, stop=end if duration else None)
    if info.seconds and abs(Fraction(video.get_duration()) - info.seconds) > _SAME_LENGTH:
        raise BadPicture(
            "This version of ComfyUI does not say which part of the video was trimmed away. "
            "Update ComfyUI, or save the trimmed video and load it again."
        )
    return options


def video_of(path: Path) -> object:
    """Return a file as ComfyUI's VIDEO."""
    return InputImpl.VideoFromFile(str(path))
