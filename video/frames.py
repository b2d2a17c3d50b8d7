"""What passes between reading, cutting out and writing a video: plain data, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # facts about a file are read without waiting for torch
    from torch import Tensor


@dataclass(frozen=True)
class Colours:
    """How a video's samples stand for colours; names as FFmpeg writes them."""

    matrix: str
    """Of Y'CbCr: "bt709", "bt601" (525 and 625 lines alike), "bt2020nc", or "rgb" for none."""
    full_range: bool
    """False: 16..235 of 255 as in television."""
    primaries: str
    """"bt709", "smpte170m", "bt470bg", "bt2020", ...; kept, not converted."""
    transfer: str
    """"bt709", "iec61966-2-1", "smpte2084", ...; kept, not converted."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of its pictures, as they are seen: turned upright."""

    width: int
    """Of the upright picture, in pixels."""
    height: int
    """Of the upright picture, in pixels."""
    rotation: int
    """Quarter turns clockwise, in degrees (0, 90, 180, 270), that made it upright."""
    pixel_aspect: Fraction
    """Width of one pixel of the upright picture over its height."""
    time_base: Fraction
    """Seconds that one step of `VideoFrame.pts` takes."""
    frame_rate: Fraction
    """Average number of frames a second; timestamps are what counts where the rate varies."""
    frames: int | None
    """How many the container promises; None where it does not say."""
    seconds: Fraction | None
    """How long the container says that it lasts; None where it does not."""
    bits: int
    """Of one sample: 8, 10, 12, ..."""
    colours: Colours
    has_alpha: bool = False
    audio: int = 0
    """Number of audio tracks."""
    subtitles: int = 0
    """Number of subtitle tracks."""
    mirrored: bool = False
    """Left and right were exchanged after turning, to make it upright."""
    remarks: tuple[str, ...] = ()
    """What the user should know of the file before the work begins, a sentence each."""


@dataclass(frozen=True)
class VideoFrame:
    """One decoded picture of a video."""

    number: int
    """From 0, counted from the stream's first frame in the order of display."""
    pts: int
    """When it is shown, in `VideoInfo.time_base`, as in the file."""
    duration: int
    """For how long, in the same steps; 0 where it is not known."""
    pixels: Tensor
    """(H, W, 3) or with alpha (H, W, 4), uint8, or uint16 over its whole range where `bits` > 8;
    R'G'B' of full range, upright, straight alpha."""


@dataclass(frozen=True)
class CutFrame:
    """One picture as it is to be written."""

    number: int
    pts: int
    duration: int
    image: Tensor
    """(H, W, 4) straight alpha, or (H, W, 3) opaque; float32 R'G'B' in 0..1."""
