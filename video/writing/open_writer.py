"""Cut-out pictures to a video: closed segments, whatever the format."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ...core.errors import BadOption
from ..frames import CutFrame, VideoInfo
from .film import FilmWriter
from .sequences import SequenceWriter
from .video_formats import VideoFormat


class VideoWriter(Protocol):
    """One segment of a video, being written."""

    def write(self, frame: CutFrame) -> None:
        """Add the next picture in the order of display. Raises BadPicture for one of another size
        or kind than the video's, BadOption when the place cannot be written."""

    def close(self) -> None:
        """Finish the file. Calling it twice is harmless."""

    def discard(self) -> None:
        """Give up what was written: an unfinished file is no video."""


def open_writer(
    format: VideoFormat,
    path: Path,
    info: VideoInfo,
    *,
    quality: int | None = None,
    threads: int = 0,
) -> VideoWriter:
    """Open a writer of one closed segment.

    A segment starts with a key frame, and nothing in it refers to another one. Segments of one
    format, info and quality are joined by copying their packets: their parameters are the same, and
    decoding times are those of display.

    path: the file, or the folder of a sequence, which is made where there is none. info: of the
    source; size, colours, bits, pixel aspect, frame rate and time base are chosen by it. quality:
    1..100, None for the format's usual one. threads: of the encoder; 0 for one a core.

    Raises BadOption for a quality that the format does not have, for an encoder that this
    installation lacks, and where the place cannot be written.
    """
    _check_quality(format, quality)
    if format.is_sequence:
        return SequenceWriter(format, path, info, quality)
    return FilmWriter(format, path, info, quality, threads)


def _check_quality(format: VideoFormat, quality: int | None) -> None:
    if quality is None:
        return
    if format.quality is None:
        raise BadOption(f"{format.label} has one quality only; leave quality out.")
    if not 1 <= quality <= 100:
        raise BadOption(f"quality is {quality}; choose a number from 1 to 100.")
