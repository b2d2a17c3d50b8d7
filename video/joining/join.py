"""Closed segments of encoded frames become one file, with the source's sound and words.

Nothing is decoded or encoded again: packets are copied. Both the film and the source are read as
they are written, so the memory is that of a few packets and 8 bytes a frame.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from heapq import merge
from pathlib import Path

import av
import av.error

from ...config.private_files import whole
from ...core.errors import BadOption
from ..frames import VideoInfo
from .film_packets import FilmPackets
from .source_tracks import SourceTracks
from .tracks import container_of


def join(
    segments: Sequence[Path],
    out: Path,
    source: Path | None,
    info: VideoInfo,
    *,
    first: int = 0,
    stop: int | None = None,
    times: Sequence[int] | None = None,
    tag: str = "",
    check: Callable[[], None] = lambda: None,
    warn: Callable[[str], None],
) -> None:
    """Write the frames of all segments, in order, and the source's tracks into one file.

    out: .mov, .mp4, .webm or .mkv; it is whole or it is not there. source: whose audio and
    subtitle tracks are copied, as far as the container carries them, and whose title, time of
    making and languages are kept; None for none. first, stop: numbers of the source's frames that
    the segments hold; sound and words are cut to their time. times: of every frame, in steps of
    `info.time_base` and in the order of display; None: those that the segments state. tag: the
    codec's name in the container, where it is not the muxer's own choice. check: called before
    each packet; ends the joining by raising. warn: gets a sentence for each track left out.

    A part that does not begin with the first frame begins at 0; the whole keeps its timestamps,
    unless its first track begins after 0, as transport streams do: then that one begins at 0.
    Raises BadOption where the file cannot be written, BadPicture for a segment that cannot be read.
    """
    container = container_of(out)
    film = FilmPackets(segments, info, times, check)
    try:
        with whole(out) as part, SourceTracks(source, container, out.name, warn) as tracks:
            begin, end = film.begin if first else None, film.end if stop is not None else None
            origin = begin if begin is not None else tracks.begin(film.begin)
            with av.open(
                str(part), "w", format=container.muxer, options=dict(container.options)
            ) as target:
                track = film.add_to(target, tag)
                tracks.add_to(target)
                for _, packet in merge(
                    film.packets(track, origin), tracks.packets(origin, end), key=_moment
                ):
                    check()
                    target.mux(packet)
            _put_on_disk(part)
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadOption(
            f"{out} cannot be written ({reason}); make room, or choose another place or format."
        ) from error


def _moment(due: tuple[float, object]) -> float:
    return due[0]


def _put_on_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
