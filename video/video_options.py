"""What may be asked for when a video is cut out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..core.checks import check_share
from ..core.errors import BadOption
from ..core.report import JsonValue
from ..core.steady import DEFAULT_STRENGTH


@dataclass(frozen=True)
class VideoOptions:
    """How a video is cut out and written; what the backend does is the backend's own."""

    format: str | None = None
    """Id of a row of VIDEO_FORMATS; None = what the result's name asks for."""
    steady: float = DEFAULT_STRENGTH
    """0..1, how much of the masks' flicker is damped; 0 leaves them as the backend gave them."""
    refine: bool = False
    """See `Finishing.refine`."""
    solid: bool = False
    """See `Finishing.solid`."""
    decontaminate: float = 1.0
    """See `Finishing.decontaminate`."""
    background: str | None = None
    """A colour, a picture or a video that the subject is put on; None = transparent."""
    matte: Path | None = None
    """Where the matte is written as a video of its own; None = nowhere."""
    quality: int | None = None
    """1..100; None = what is usual for the format."""
    start: Fraction | None = None
    """Seconds from the beginning at which the result begins."""
    stop: Fraction | None = None
    """Seconds at which it ends, without the frame that begins there."""

    def __post_init__(self) -> None:
        check_share(self.steady, "steadiness")
        check_share(self.decontaminate, "decontamination")
        begin = self.start or Fraction(0)
        if begin < 0 or (self.stop is not None and self.stop <= begin):
            raise BadOption(
                f"The part from {float(begin):g} s to {float(self.stop or 0):g} s has no frames; "
                "give a beginning of 0 or more, and an end after it."
            )

    def data(self) -> dict[str, JsonValue]:
        """Return what the receipt says of it beyond what it says of pictures; no file's name."""
        return {
            "steady": self.steady,
            "quality": self.quality,
            "from": None if self.start is None else float(self.start),
            "to": None if self.stop is None else float(self.stop),
            "on_background": self.background is not None,
        }


def seconds_of(text: str) -> Fraction:
    """Parse a time: seconds ("83.5"), or hours, minutes and seconds ("1:23.5", "0:01:23.5").

    Raises BadOption.
    """
    parts = text.strip().split(":")
    try:
        numbers = [Fraction(part) for part in parts]
    except (ValueError, ZeroDivisionError):
        numbers = []
    if not 1 <= len(numbers) <= 3 or any(number < 0 for number in numbers) or "/" in text:
        raise BadOption(f"{text!r} is no time; write seconds (83.5) or h:m:s (0:01:23.5).")
    total = Fraction(0)
    for number in numbers:
        total = total * 60 + number
    return total


def clock(seconds: Fraction) -> str:
    """Write a time as h:mm:ss.mmm, as players show it."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest / 1000:06.3f}"
