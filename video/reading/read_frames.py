"""The frames of a video as a stream: in the order of display, upright, R'G'B', from any number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..frames import VideoFrame, VideoInfo
from .container import Losses, frames_of, open_video, unusable
from .info import INTERLACED
from .rgb_planes import RgbPlanes
from .timestamps import Clock, read_frame_times

if TYPE_CHECKING:
    from av.video.frame import VideoFrame as Decoded

#: How many key frames are tried, each earlier than the last: some containers' seeking overshoots.
_TRIES = 3


def read_frames(
    path: Path,
    info: VideoInfo,
    first: int = 0,
    stop: int | None = None,
    *,
    begins: int | None = None,
    check: Callable[[], None] = lambda: None,
    warn: Callable[[str], None],
) -> Iterator[VideoFrame]:
    """Decode the frames first <= number < stop, one at a time.

    first: found by seeking to a key frame where the packets' timestamps tell frames apart, else by
    decoding from the start. begins: the timestamp of frame `first`, where an earlier reading told
    it: damage before it then shifts no number. check: called before each packet or frame; ends the
    reading by raising. warn: gets the remarks of `info` before the first frame, and sentences on
    what was damaged, missing or corrected at the end.
    `VideoFrame.pixels` is a view of planes; `.contiguous()` interleaves it. Raises BadPicture where
    the video becomes interlaced or changes its size.
    """
    damage = _Damage(info, warn)
    clock = Clock(info.time_base, info.frame_rate)
    planes = RgbPlanes(info)
    pts: int | None = None
    for remark in info.remarks:
        warn(remark)
    for number, stated, frame in _numbered(path, first, begins, damage.losses, check):
        if stop is not None and number >= stop:
            break
        check()
        pts = clock.time(stated)
        damage.seen(frame)
        if number < first:
            continue
        _judge(path, info, frame, number)
        yield VideoFrame(
            number=number,
            pts=pts,
            duration=getattr(frame, "duration", 0) or 0,
            pixels=planes.pixels(frame),
        )
    else:
        damage.ended(whole=first == 0, last=pts)
    damage.report(clock.corrected)


def _judge(path: Path, info: VideoInfo, frame: Decoded, number: int) -> None:
    """Raise BadPicture where a frame is not like the first."""
    if frame.interlaced_frame:
        raise unusable(path, f"from frame {number} on {INTERLACED}")
    size = (frame.height, frame.width) if info.rotation % 180 else (frame.width, frame.height)
    if size != (info.width, info.height):
        raise unusable(
            path,
            f"its pictures change from {info.width} x {info.height} to {size[0]} x {size[1]} "
            f"pixels at frame {number}; convert it to one size first",
        )


class _Damage:
    """What could not be read, counted, and said once."""

    def __init__(self, info: VideoInfo, warn: Callable[[str], None]) -> None:
        self._info = info
        self._warn = warn
        self._corrupt = 0
        self._read = 0
        self._missing = False
        self.losses = Losses()

    def seen(self, frame: Decoded) -> None:
        self._read += 1
        self._corrupt += bool(frame.is_corrupt)

    def ended(self, *, whole: bool, last: int | None) -> None:
        """Judge whether the file goes on as long as it promises.

        whole: it was read from its first frame on. last: when the last frame is shown.
        """
        info = self._info
        if whole and info.frames is not None:
            self._missing = self._read + self.losses.hidden < info.frames
        elif last is not None and info.seconds and (info.frames or not info.audio):
            ends = last * info.time_base + 1 / info.frame_rate
            self._missing = info.seconds - ends > max(Fraction(1), 2 / info.frame_rate)

    def report(self, corrected: int) -> None:
        if self.losses.damaged or self._missing:
            self._warn(
                f"The video is damaged or cut off: {self._read} frames could be read; what is "
                "missing is missing in the result, too."
            )
        if self._corrupt:
            self._warn(f"{self._corrupt} frames of the video are damaged and may look it.")
        if corrected:
            self._warn(
                f"{corrected} frames of the video have a time that does not rise; they were given "
                "the nearest that does."
            )


def _numbered(
    path: Path, first: int, begins: int | None, losses: Losses, check: Callable[[], None]
) -> Iterator[tuple[int, int | None, Decoded]]:
    """Yield decoded frames with their numbers and stated times: from `first` on, or where that
    cannot be found without decoding, from 0 on."""
    if first:
        sought = _sought(path, first, begins, losses, check)
        start = next(sought, None)
        if start is not None:
            yield first, *start
            for number, (stated, frame) in enumerate(sought, first + 1):
                yield number, stated, frame
            return
    with open_video(path) as video:
        for number, frame in enumerate(frames_of(video, losses)):
            yield number, video.stated_time(frame), frame


def _sought(
    path: Path, first: int, begins: int | None, losses: Losses, check: Callable[[], None]
) -> Iterator[tuple[int | None, Decoded]]:
    """Yield stated times and frames from number `first` on; nothing where seeking does not find
    it."""
    times = read_frame_times(path, check)
    with open_video(path) as video:
        opening = next(frames_of(video, Losses()), None)
        if times is None or opening is None or opening.pts is None:
            return
        # What is shown before the first frame that decodes leans on frames that are not there.
        wanted = times.time_of(times.number_of(opening.pts) + first) if begins is None else begins
        key = None if wanted is None else times.key_before(wanted)
        for _ in range(_TRIES):
            if wanted is None or key is None:
                return
            video.seek(key)
            decoded = frames_of(video, losses, from_key=True)
            start = _first_at(decoded, wanted, check)
            if start is not None:
                yield wanted, start
                for frame in decoded:
                    yield frame.pts, frame
                return
            key = times.key_before(key - 1)


def _first_at(decoded: Iterator[Decoded], wanted: int, check: Callable[[], None]) -> Decoded | None:
    """Return the frame shown at `wanted`; None where the next ones are shown later."""
    for frame in decoded:
        check()
        if frame.pts is not None and frame.pts >= wanted:
            return frame if frame.pts == wanted else None
    return None
