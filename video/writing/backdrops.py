"""What lies behind the subject in an opaque video: a colour, a picture, or another video.

All are mixed as they are encoded, as editors do; none is converted to other primaries or another
transfer. A picture or video covers the frame: its middle is kept, and what sticks out is cut off.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ...core.errors import BadPicture
from ...core.layout import to_pixels, to_planes
from ...pictures.formats import sniff
from ...pictures.read import read_picture
from ..frames import VideoInfo
from ..reading.container import unusable
from ..reading.info import read_info
from ..reading.read_frames import read_frames
from ..reading.timestamps import FrameTimes, read_frame_times
from ..reading.ycbcr import HDR_TRANSFERS

_MAGIC_BYTES = 64


class Backdrop(Protocol):
    """Pictures of a video's size, by the moment."""

    def at(self, seconds: Fraction) -> Tensor:
        """Return what lies behind a frame, (H, W, 3) float32 in 0..1, not to be written to.

        seconds: since the moment with which the backdrop begins; each call's is as late as the last
        one's, or later. A video that has ended begins again.
        """

    def close(self) -> None:
        """Give back what is open. Calling it twice is harmless."""


def open_backdrop(
    background: tuple[float, float, float] | Path,
    info: VideoInfo,
    *,
    check: Callable[[], None] = lambda: None,
    warn: Callable[[str], None],
) -> Backdrop:
    """Open what lies behind the frames of a video.

    background: a colour in 0..1, or the file of a picture or video. info: of the video that is cut
    out. check: ends the reading by raising. warn: gets sentences on what the user should know.

    A video as backdrop plays at its own speed from its beginning, whatever the frame rate of the
    other one, and again from its beginning when it ends; its sound is not used. Raises BadPicture
    for a file that is neither picture nor video.
    """
    if info.colours.transfer in HDR_TRANSFERS:
        warn(
            f"The video is {HDR_TRANSFERS[info.colours.transfer]}, and the background is put "
            "behind it as it is: it may look too bright. Choose one that was made for it."
        )
    if not isinstance(background, Path):
        return _Still(torch.tensor(background).expand(info.height, info.width, 3))
    if _is_picture(background):
        pixels = read_picture(background, name=background.name).image
        return _Still(_covering(pixels, Fraction(1), info))
    return _Film(background, info, check, warn)


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return sniff(file.read(_MAGIC_BYTES)) is not None
    except OSError as error:
        raise BadPicture(
            f"The background {path} cannot be read ({error.strerror}); choose another file."
        ) from error


class _Still:
    """The same at all times."""

    def __init__(self, pixels: Tensor) -> None:
        self._pixels = pixels

    def at(self, seconds: Fraction) -> Tensor:
        return self._pixels

    def close(self) -> None:
        """Do nothing: nothing is open."""


class _Film:
    """Another video, of which two frames are in memory: the one that is shown, and the next."""

    def __init__(
        self,
        path: Path,
        behind: VideoInfo,
        check: Callable[[], None],
        warn: Callable[[str], None],
    ) -> None:
        self._path = path
        self._behind = behind
        self._check = check
        self._warn = warn
        self._info = read_info(path)
        self._frames: Generator[tuple[Fraction, Tensor]] | None = None

    def at(self, seconds: Fraction) -> Tensor:
        if self._frames is None:
            self._frames = self._endless(seconds)
            self._next = next(self._frames)
        due = None
        while self._next[0] <= seconds:
            due = self._next[1]
            self._next = next(self._frames)
        if due is not None:
            self._shown = _covering(due, self._info.pixel_aspect, self._behind)
        return self._shown

    def close(self) -> None:
        if self._frames is not None:
            self._frames.close()

    def _endless(self, seconds: Fraction) -> Generator[tuple[Fraction, Tensor]]:
        """Yield frames with the second at which each is shown, from the one shown at `seconds` on,
        and over again."""
        begin, number = self._place(seconds)
        warn = self._warn
        while True:
            origin = None
            for frame in read_frames(self._path, self._info, number, check=self._check, warn=warn):
                if origin is None:
                    origin = frame.pts - self._ticks_before(number)
                start = begin + (frame.pts - origin) * self._info.time_base
                yield start, frame.pixels
            if origin is None:
                raise unusable(self._path, "its frames cannot be decoded; convert it first")
            begin, number = start + 1 / self._info.frame_rate, 0
            warn = _said_before

    def _place(self, seconds: Fraction) -> tuple[Fraction, int]:
        """Return when the round of playing begins that `seconds` falls into, and the number of the
        frame that is shown then."""
        times = self._times
        if times is None or not len(times.shown):
            return Fraction(0), 0
        step = self._info.time_base
        first, last = times.shown[0], times.shown[-1]
        length = (last - first) * step + 1 / self._info.frame_rate
        begin = seconds // length * length
        return begin, bisect_right(times.shown, first + (seconds - begin) / step) - 1

    def _ticks_before(self, number: int) -> int:
        """Return how long after the first frame this one is shown, in steps of its time base."""
        if number == 0 or self._times is None:
            return 0
        return self._times.shown[number] - self._times.shown[0]

    @cached_property
    def _times(self) -> FrameTimes | None:
        """None: the file's timestamps are of no use, and it is decoded from its beginning."""
        return read_frame_times(self._path, self._check)


def _said_before(sentence: str) -> None:
    """Say nothing: the first round has."""


def _covering(pixels: Tensor, pixel_aspect: Fraction, behind: VideoInfo) -> Tensor:
    """Return the middle of a picture at the size of a video, (H, W, 3) float32.

    pixels: (h, w, 3) or, with straight alpha, (h, w, 4); see-through is black.
    """
    values = _floats(pixels)
    if values.shape[2] == 4:
        values = values[..., :3] * values[..., 3:]
    height, width = values.shape[:2]
    wanted = behind.width * behind.pixel_aspect / (behind.height * pixel_aspect)
    shown_width = min(width, max(1, round(height * wanted)))
    shown_height = min(height, max(1, round(width / wanted)))
    left, top = (width - shown_width) // 2, (height - shown_height) // 2
    middle = values[top : top + shown_height, left : left + shown_width]
    size = (behind.height, behind.width)
    if (shown_height, shown_width) == size:
        return middle
    resized = functional.interpolate(
        to_planes(middle[None]), size, mode="bilinear", antialias=True, align_corners=False
    )
    return to_pixels(resized)[0].contiguous()


def _floats(pixels: Tensor) -> Tensor:
    """Return levels of 8 or 16 bits as shares of the whole range; floats as they are."""
    if pixels.is_floating_point():
        return pixels
    return pixels.float().div_(torch.iinfo(pixels.dtype).max)
