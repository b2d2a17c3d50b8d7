"""What is to become of one video, checked before a backend is opened."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..core.colour import background_colour
from ..core.errors import BadOption, BadPicture
from .frames import VideoInfo
from .reading.info import read_info
from .reading.timestamps import read_frame_times
from .video_options import VideoOptions
from .writing.picture_checks import check_count
from .writing.video_formats import VIDEO_FORMATS, VideoFormat, video_format

#: Frames of a closed segment: about ten seconds are made again after a kill.
SEGMENT = 250


@dataclass(frozen=True)
class VideoPlan:
    """One video, and what it becomes."""

    source: Path
    out: Path
    options: VideoOptions
    info: VideoInfo
    format: VideoFormat
    first: int
    """Number of the first frame that is taken."""
    stop: int | None
    """Of the first that is not taken any more; None = to the end."""
    segment: int = SEGMENT
    """Frames of a closed segment."""

    @property
    def frames(self) -> int | None:
        """Return how many frames are taken, as far as that can be known beforehand."""
        if self.stop is not None:
            return self.stop - self.first
        return None if self.info.frames is None else max(0, self.info.frames - self.first)

    def seconds(self, pts: int) -> Fraction:
        """Return what a timestamp is in seconds."""
        return pts * self.info.time_base


def plan_video(
    source: Path,
    out: Path,
    options: VideoOptions,
    *,
    check: Callable[[], None] = lambda: None,
    max_megapixels: float = 64.0,
    segment: int = SEGMENT,
) -> VideoPlan:
    """Look at a video, and check that it can become what is asked for; no frame is cut out.

    out: a file, or the folder of a sequence. Raises BadPicture for a video that cannot be read, and
    BadOption.
    """
    format = format_for(out, options)
    if out.resolve() == source.resolve():
        raise BadOption(f"{out} is the video that is read; choose another name.")
    if format.is_sequence and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadOption(
            f"{out} is there already; a sequence of pictures needs a folder of its own."
        )
    if options.background is not None:
        colour_or_path(options.background)
    matte_format(options)
    info = read_info(source, max_megapixels=max_megapixels)
    first, stop = _range(source, info, options, check)
    if not format.closed_segments:
        segment = sys.maxsize
    plan = VideoPlan(source, out, options, info, format, first, stop, segment)
    check_count(plan.frames or 0, format)
    return plan


def format_for(out: Path, options: VideoOptions) -> VideoFormat:
    """Return the format of a result: the one that is asked for, else the one of its name.

    Raises BadOption for a name that does not fit, and where transparency has no place.
    """
    if options.format is not None:
        format = video_format(options.format)
        if not format.is_sequence and out.suffix.lower() != format.suffix:
            raise BadOption(f"{out} is to be {format.label}, whose files end in {format.suffix}.")
    else:
        format = _by_name(out, opaque=options.background is not None)
    holds = format.alpha != "none" or format.matte
    if options.background is None and not holds:
        raise BadOption(
            f"{format.label} has no transparency: choose a background, or a name that ends in .mov "
            "or .webm."
        )
    if options.background is not None and format.matte:
        raise BadOption(f"{format.label} shows the mask alone; leave the background out.")
    return format


def _by_name(out: Path, *, opaque: bool) -> VideoFormat:
    fitting = [
        row
        for row in VIDEO_FORMATS
        if not row.is_sequence and not row.matte and row.suffix == out.suffix.lower()
    ]
    if not fitting:
        suffixes = ", ".join(dict.fromkeys(r.suffix for r in VIDEO_FORMATS if not r.is_sequence))
        raise BadOption(
            f"{out} does not say what video it is to be; end its name in one of {suffixes}, or "
            "choose a format."
        )
    return next((row for row in fitting if (row.alpha == "none") == opaque), fitting[0])


def _range(
    source: Path, info: VideoInfo, options: VideoOptions, check: Callable[[], None]
) -> tuple[int, int | None]:
    """Return the first frame that is taken, and the first that is not taken any more."""
    if options.start is None and options.stop is None:
        return 0, None
    times = read_frame_times(source, check)
    begin = options.start or Fraction(0)
    if times is None or not times.shown:
        first = _ceiling(begin * info.frame_rate)
        last = None if options.stop is None else _ceiling(options.stop * info.frame_rate)
        return first, last
    origin = times.shown[0]
    first = times.number_of(origin + _ceiling(begin / info.time_base))
    stop = len(times.shown)
    if options.stop is not None:
        stop = times.number_of(origin + _ceiling(options.stop / info.time_base))
    if first >= stop:
        raise BadPicture(
            f"{source}: no frame is shown in the part that is asked for; it has "
            f"{len(times.shown)} frames and lasts "
            f"{float((times.shown[-1] - origin) * info.time_base):.3f} s."
        )
    return first, stop


def _ceiling(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)


def colour_or_path(background: str) -> tuple[float, float, float] | Path:
    """Return the colour that a background is, or the path of a picture or video. Raises
    BadOption for what is neither."""
    path = Path(background)
    if path.is_file():
        return path
    try:
        colour = background_colour(background)
    except BadOption as error:
        raise BadOption(f"{error} There is no picture or video of that name either.") from error
    if colour is None:
        raise BadOption("Leave the background out for a transparent one.")
    return colour


def matte_format(options: VideoOptions) -> VideoFormat | None:
    """Return the format of the matte's own video, by the name that it is to have; None where none
    is asked for. Raises BadOption."""
    if options.matte is None:
        return None
    fitting = [row for row in VIDEO_FORMATS if row.matte]
    found = next((row for row in fitting if row.suffix == options.matte.suffix.lower()), None)
    if found is None:
        suffixes = " or ".join(row.suffix for row in fitting)
        raise BadOption(f"{options.matte} is to be a matte; end its name in {suffixes}.")
    return found
