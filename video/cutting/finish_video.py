"""The end of a run on a video: its segments joined, its name given, its receipt written."""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from ...catalogue.licences import licence_of
from ...config.private_files import whole
from ...config.settings import Settings
from ...core.errors import BadOption, BadPicture
from ...core.report import JsonValue
from ...core.types import Facts, Job
from ...pipeline.one_run import Run
from ..joining.join import join
from ..video_plan import VideoPlan, matte_format
from ..video_report import VideoReport
from ..writing.video_formats import VideoFormat
from .segment_writer import facts_in, segment_file
from .segments import Segment, WorkFolder, together


def finish_video(
    plan: VideoPlan,
    work: WorkFolder,
    run: Run,
    settings: Settings,
    next_before: int,
    said: list[str],
    job: Job,
) -> VideoReport:
    """Make the result of closed segments, and return what is to be said of it.

    next_before: the number of the frame with which this run began. said: what there is to say of
    the source. Raises BadPicture where there is no frame, BadOption where the place cannot be
    written.
    """
    totals = _Totals(work)
    if not totals.frames:
        raise BadPicture(f"{plan.source}: no frame of it can be read, so there is no result.")
    _place(plan, work, plan.format, totals, plan.out, job, said.append)
    matte = matte_format(plan.options)
    if matte is not None and plan.options.matte is not None:
        _place(plan, work, matte, totals, plan.options.matte, job, said.append, matte=True)
    report = _receipted(plan, work, run, settings, next_before, said, totals)
    work.remove()
    return report


class _Totals:
    """What all closed segments together say."""

    def __init__(self, work: WorkFolder) -> None:
        self._work = work
        self.segments = self.frames = self.empty = 0
        self.seconds = 0.0
        self.pts = array("q")
        self.facts: Facts | None = None
        notes: dict[str, None] = {}
        for segment in work.closed():
            self.pts.extend(segment.pts)
            self.segments += 1
            self.frames += segment.frames
            self.empty += segment.empty
            self.seconds += segment.seconds
            self.facts = facts_in(segment)
            notes |= dict.fromkeys(segment.notes)
        self.notes = tuple(notes)

    def digests(self, kind: str) -> str:
        """Return the sha256 over all frames: "decoded" or "written"."""

        def each() -> Iterator[str]:
            for segment in self._work.closed():
                yield from _digests(segment, kind)

        return together(each())


def _digests(segment: Segment, kind: str) -> Sequence[str]:
    return segment.decoded if kind == "decoded" else segment.written


def _place(
    plan: VideoPlan,
    work: WorkFolder,
    format: VideoFormat,
    totals: _Totals,
    out: Path,
    job: Job,
    warn: Callable[[str], None],
    *,
    matte: bool = False,
) -> None:
    """Join the segments of a video, and give it its name: whole, or not at all."""
    files = [
        segment_file(work.path, format, number, matte=matte) for number in range(totals.segments)
    ]
    try:
        if format.is_sequence:
            if out.exists():
                out.rmdir()
            os.replace(files[0], out)
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        if not format.closed_segments:
            with whole(out) as part:
                shutil.move(files[0], part)
            return
        join(
            files,
            out,
            plan.source,
            plan.info,
            first=plan.first,
            stop=plan.stop,
            times=totals.pts,
            tag=format.tag,
            check=job.check,
            warn=warn,
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadOption(
            f"{out} cannot be written ({reason}). Its frames are kept: make room or take away what "
            "is there, and run the same again."
        ) from error


def _receipted(
    plan: VideoPlan,
    work: WorkFolder,
    run: Run,
    settings: Settings,
    next_before: int,
    said: Sequence[str],
    totals: _Totals,
) -> VideoReport:
    assert totals.facts is not None
    hosted = run.spec.location == "hosted"
    facts = replace(
        totals.facts,
        seconds=totals.seconds,
        cost=work.cost(),
        left_machine=totals.facts.left_machine or hosted,
        device="provider" if hosted else totals.facts.device,
        request_id=totals.facts.request_id if totals.frames == 1 else None,
        notes=totals.notes,
    )
    info = plan.info
    duration = _seconds(plan, totals.pts)
    decoded, written = totals.digests("decoded"), totals.digests("written")
    size: dict[str, JsonValue] = {
        "width": info.width,
        "height": info.height,
        "frames": totals.frames,
        "seconds": round(duration, 3),
    }
    result: dict[str, JsonValue] = {**size, "format": plan.format.id, "sha256": written}
    warnings = tuple(dict.fromkeys((*_warnings(work, totals, said), *facts.notes, *run.remarks)))
    receipt, trouble = run.receipt_of_video(
        facts, {**size, "sha256": decoded}, result, plan.options.data(), warnings
    )
    licence = licence_of(facts.licence, facts.weights_sha256, settings.weights)
    return VideoReport(
        path=plan.out,
        matte=plan.options.matte,
        frames=totals.frames,
        earlier=next_before - plan.first,
        empty=totals.empty,
        width=info.width,
        height=info.height,
        seconds=round(duration, 3),
        decoded_sha256=decoded,
        written_sha256=written,
        ground=run.allowed[1],
        licence_name=licence.name,
        facts=facts,
        warnings=(*warnings, *trouble),
        receipt=receipt,
    )


def _warnings(work: WorkFolder, totals: _Totals, said: Sequence[str]) -> Iterator[str]:
    if work.began_anew:
        yield (
            "frames of an earlier run were of another source or made with other settings, so the "
            "video was begun anew"
        )
    if totals.empty:
        yield f"no subject was found in {totals.empty} of {totals.frames} frames"
    yield from (sentence.rstrip(".") for sentence in said)


def _seconds(plan: VideoPlan, pts: Sequence[int]) -> float:
    """Return how long the result lasts: to the end of its last frame."""
    last = Fraction(1) / plan.info.frame_rate if plan.info.frame_rate else Fraction(0)
    return float(plan.seconds(pts[-1] - pts[0]) + last)
