"""What a picture must be to be written, and what is done where it is not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...core.errors import BadOption, BadPicture
from ...core.layout import to_pixels, to_planes
from ..frames import CutFrame, VideoInfo
from .video_formats import VideoFormat, written_size


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


def prepared(frame: CutFrame, format: VideoFormat, info: VideoInfo) -> Tensor:
    """Return a picture that was checked as it is written: float32 on the CPU, of square pixels
    where the format has no others."""
    image = frame.image.detach().to("cpu", torch.float32)
    if not format.square_pixels or info.pixel_aspect == 1:
        return image
    width, height = written_size(format, info)
    # Colours are stretched without their alpha: beneath alpha 0 they go on.
    stretched = functional.interpolate(to_planes(image[None]), (height, width), mode="bilinear")
    return to_pixels(stretched)[0]
