"""When frames are shown: found without decoding, and made to rise where a file's do not."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av.error

from .container import open_video


@dataclass(frozen=True)
class FrameTimes:
    """The timestamps of all frames, read from the packets: 8 bytes a frame."""

    shown: array[int]
    """In the order of display."""
    keys: array[int]
    """Of the frames from which decoding can begin, in the order of display."""

    def time_of(self, number: int) -> int | None:
        """Return when a frame is shown; None past the last."""
        return self.shown[number] if number < len(self.shown) else None

    def number_of(self, pts: int) -> int:
        """Return how many frames are shown before `pts`."""
        return bisect_left(self.shown, pts)

    def key_before(self, pts: int) -> int | None:
        """Return the latest key frame shown at or before `pts`."""
        place = bisect_right(self.keys, pts)
        return self.keys[place - 1] if place else None


def read_frame_times(path: Path, check: Callable[[], None]) -> FrameTimes | None:
    """Read every packet's timestamp; None where they do not tell the frames apart."""
    shown: array[int] = array("q")
    keys: array[int] = array("q")
    with open_video(path) as video:
        if not video.is_timed:
            return None
        try:
            for packet in video.packets():
                check()
                if not packet.size or packet.is_discard:
                    continue
                if packet.pts is None:
                    return None
                shown.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        except av.error.FFmpegError:  # the file ends here; whoever decodes it says so
            pass
    shown, keys = array("q", sorted(shown)), array("q", sorted(keys))
    rising = all(earlier < later for earlier, later in zip(shown, shown[1:], strict=False))
    return FrameTimes(shown, keys) if rising else None


class Clock:
    """Gives each frame the timestamp of the file, or the nearest that rises."""

    def __init__(self, time_base: Fraction, frame_rate: Fraction) -> None:
        self._usual = max(1, round(1 / (frame_rate * time_base)))
        self._second = max(1, round(1 / time_base))
        self._last: int | None = None
        self._shift = 0
        self.corrected = 0
        """Number of frames whose timestamp did not rise."""

    def time(self, stated: int | None) -> int:
        """Return when the next frame is shown.

        A missing timestamp follows the last at the usual distance. One that does not rise comes a
        step after the last; where the file's clock jumps back by more than a second, all that
        follows is moved.
        """
        last = self._last
        pts = stated + self._shift if stated is not None else None
        if last is None:
            pts = pts if pts is not None else 0
        elif pts is None:
            pts = last + self._usual
        elif pts <= last:
            self.corrected += 1
            if last - pts > self._second:
                self._shift += last + self._usual - pts
                pts = last + self._usual
            else:
                pts = last + 1
        self._last = pts
        return pts
