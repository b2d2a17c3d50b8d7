"""Finished frames into closed segments, one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from ...core.money import cost_text, read_cost
from ...core.report import JsonValue
from ...core.types import Facts
from ..video_plan import VideoPlan
from ..writing.open_writer import VideoWriter, open_writer
from ..writing.sequences import picture_path
from ..writing.video_formats import VideoFormat
from .frame_steps import FinishedFrame
from .segments import Segment, WorkFolder

_FRAMES = "frames"
#: Different notes of a backend that are kept of one segment.
_MOST_NOTES = 10


@dataclass
class _Open:
    """The segment that is being written."""

    number: int
    files: list[Path]
    writers: list[VideoWriter]
    frames: list[FinishedFrame] = field(default_factory=list)
    """Without their pictures."""


class SegmentWriter:
    """Writes one frame after the other, in order; used by one thread at a time."""

    def __init__(
        self, plan: VideoPlan, work: WorkFolder, matte: VideoFormat | None, number: int
    ) -> None:
        """matte: format of the matte's video, None where there is none. number: of the next
        segment, counted from 0."""
        self._plan = plan
        self._work = work
        self._matte = matte
        self._number = number
        self._open: _Open | None = None

    def write(self, frame: FinishedFrame) -> int | None:
        """Write one frame. Return how many segments are closed, where it was the last of one."""
        if self._open is None:
            self._open = self._begin()
        now = self._open
        now.writers[0].write(frame.cut)
        if frame.matte is not None:
            now.writers[1].write(frame.matte)
        now.frames.append(frame.without_pictures())
        return self.close() if len(now.frames) == self._plan.segment else None

    def close(self) -> int | None:
        """Close the open segment, if there is one."""
        now = self._open
        if now is None:
            return None
        for writer in now.writers:
            writer.close()
        self._work.close_segment(now.number, _noted(now, self._work.path, self._plan.format))
        self._open = None
        self._number += 1
        return self._number

    def discard(self) -> None:
        """Give up the open segment: its frames are made again by the next run."""
        for writer in self._open.writers if self._open else ():
            writer.discard()
        self._open = None

    def _begin(self) -> _Open:
        plan, formats = self._plan, [self._plan.format]
        files = [segment_file(self._work.path, plan.format, self._number)]
        if self._matte is not None:
            formats.append(self._matte)
            files.append(segment_file(self._work.path, self._matte, self._number, matte=True))
        qualities = (plan.options.quality, None)
        writers = [
            open_writer(format, path, plan.info, quality=quality)
            for format, path, quality in zip(formats, files, qualities, strict=False)
        ]
        return _Open(self._number, files, writers)


def segment_file(folder: Path, format: VideoFormat, number: int, *, matte: bool = False) -> Path:
    """Return the file of a segment; the folder of all frames where each is a file."""
    if format.is_sequence:
        return folder / _FRAMES
    return folder / f"{number:06d}{'-matte' if matte else ''}{format.suffix}"


def facts_in(segment: Segment) -> Facts:
    """Return what the backend said of a segment's last frame."""
    said = {**segment.facts, "cost": read_cost(str(segment.facts["cost"])), "notes": segment.notes}
    return Facts(**said)  # type: ignore[arg-type]


def _noted(now: _Open, folder: Path, format: VideoFormat) -> Segment:
    cuts = [frame.cut for frame in now.frames]
    paths = now.files
    if format.is_sequence:
        pictures = (picture_path(now.files[0], cut.number, format.suffix) for cut in cuts)
        paths = [*pictures, *now.files[1:]]
    last = now.frames[-1].facts
    fresh = (frame.facts for frame in now.frames if frame.facts.device != "cache")
    notes = dict.fromkeys(note for facts in fresh for note in facts.notes)
    return Segment(
        first=cuts[0].number,
        frames=len(cuts),
        pts=tuple(cut.pts for cut in cuts),
        files={path.relative_to(folder).as_posix(): path.stat().st_size for path in paths},
        decoded=tuple(frame.decoded for frame in now.frames),
        written=tuple(frame.written for frame in now.frames),
        seconds=sum(frame.facts.seconds for frame in now.frames),
        empty=sum(frame.empty for frame in now.frames),
        facts=_plain(last),
        notes=tuple(notes)[:_MOST_NOTES],
    )


def _plain(facts: Facts) -> Mapping[str, JsonValue]:
    said = {**asdict(facts), "cost": cost_text(facts.cost), "notes": []}
    return cast("Mapping[str, JsonValue]", json.loads(json.dumps(said)))
