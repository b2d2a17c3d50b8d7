"""What a picture must be to be written."""

from __future__ import annotations

from ..core.errors import BadOption, BadPicture
from .frames import CutFrame, VideoInfo
from .video_formats import VideoFormat


def check_picture(frame: CutFrame, format: VideoFormat, info: VideoInfo) -> None:
    """Raise BadPicture for a picture of another size or kind than the video's."""
    height, width, channels = frame.image.shape
    if (width, height) != (info.width, info.height):
        raise BadPicture(
            f"Picture {frame.number} is {width} x {height} in a video of {info.width} x "
            f"{info.height}; all pictures of a video have one size."
        )
    if channels == 4 and format.alpha == "none" and not format.matte:
        raise BadPicture(
            f"{format.label} has no transparency: put the pictures on a backdrop first, or choose "
            "a format with alpha."
        )


def check_count(frames: int, format: VideoFormat) -> None:
    """Raise BadOption for more frames than a format may have."""
    if format.most_frames is not None and frames > format.most_frames:
        raise BadOption(
            f"An {format.label} is kept in memory while it is written, and has at most "
            f"{format.most_frames} frames here; choose webm-vp9, or write a shorter part."
        )
