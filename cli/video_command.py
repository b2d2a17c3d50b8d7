"""`rmbg video`: the subject cut out of videos, frame by frame, taken up again where it stopped."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from ..catalogue.backends import BACKENDS, find
from ..catalogue.hosted_videos import VIDEO_MODELS, find_video_model
from ..config.settings import Settings
from ..core.errors import BadOption, PictureError
from ..core.money import added, read_amount, with_currency
from ..core.report import JsonValue
from ..core.specs import OptionValue
from ..core.steady import DEFAULT_STRENGTH
from ..core.types import Job
from ..pipeline.context import open_user_records
from ..pipeline.gate import allow_unopened, check_key, check_ready, is_video_model, open_backend
from ..video.hosted.whole_options import check_whole
from ..video.video_cost import expected_cost
from ..video.video_options import VideoOptions, seconds_of
from ..video.video_plan import VideoPlan, plan_video
from ..video.video_report import VideoReport
from ..video.video_run import cut_out_video
from ..video.writing.video_formats import VIDEO_FORMATS, VideoFormat, video_format
from .dry_run import refused
from .hosted_videos_run import run_hosted
from .options import parse_options
from .shared import add_allow_empty, add_edges, add_reading, add_usage, fail, settings_for
from .terminal import say
from .video_files import VideoFiles, means_file, place_videos


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IN", help="videos, folders or patterns")
    add(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="a file for one video, else a folder; a sequence of pictures is a folder",
    )
    add("-r", "--recursive", action="store_true", help="also the folders inside folders")
    add(
        "--format",
        choices=tuple(row.id for row in VIDEO_FORMATS),
        help="of the result (default: what the name of OUT asks for)",
    )
    add("--quality", type=int, metavar="1..100", help="of formats that have one")
    add(
        "--backend",
        default="local",
        metavar="ID",
        help=f"one of: {', '.join([*BACKENDS, *VIDEO_MODELS])}",
    )
    add_usage(parser, "what the videos are for")
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="of the backend")
    add("--resubmit", action="store_true", help="pay again for what an earlier job lost")
    add("--max-cost", metavar="USD", help="the most that each video may cost in this run")
    add(
        "--steady",
        type=float,
        default=DEFAULT_STRENGTH,
        metavar="0..1",
        help=f"how much of the edge's flicker is damped (default {DEFAULT_STRENGTH:g}; 0 is none)",
    )
    add("--from", dest="start", metavar="TIME", help="where to begin: seconds, or h:m:s")
    add("--to", dest="stop", metavar="TIME", help="where to end: seconds, or h:m:s")
    add(
        "--background",
        metavar="COLOUR|FILE",
        help="put the subject on a colour, a picture or another video",
    )
    add("--matte", metavar="FILE", help="write the mask as a video, too: a file, or a folder")
    add_edges(parser)
    add(
        "--workers",
        type=int,
        metavar="N",
        help="threads beside the model (one for each core, at most 8)",
    )
    add_allow_empty(parser)
    add("--json", action="store_true", help="print one JSON object a video on stdout")
    add("--dry-run", action="store_true", help="say what would be done, and what it would cost")
    add_reading(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    if is_video_model(arguments.backend, settings):
        matte = None if arguments.matte is None else Path(arguments.matte)
        spec = find_video_model(settings.backend or arguments.backend)
        check_whole(spec, _options(arguments, matte), VideoOptions(refine=True, solid=True))
        return run_hosted(arguments, settings, _placed(arguments))
    asked = _asked(arguments)
    failed: list[VideoFiles] = []
    plans = []
    for files in _placed(arguments):
        try:
            plans.append(_planned(arguments, files))
        except PictureError as error:
            fail(str(files.source), str(error))
            failed.append(files)
    if arguments.dry_run:
        return _look_only(asked, plans) or (1 if failed else 0)
    if not plans:
        return 1
    made = _cut_out(asked, plans)
    return 1 if failed else made


@dataclass(frozen=True)
class _Asked:
    """What the command asks for, and is allowed."""

    arguments: argparse.Namespace
    settings: Settings
    options: dict[str, OptionValue]
    """Of the backend."""
    ground: str
    """Why this use is allowed."""
    max_cost: Decimal | None

    def check_ready(self) -> None:
        """See `gate.check_ready`."""
        arguments = self.arguments
        check_ready(arguments.backend, self.options, arguments.usage, self.settings)


def _asked(arguments: argparse.Namespace) -> _Asked:
    settings = settings_for(arguments)
    options = parse_options(arguments.option)
    _, ground = allow_unopened(arguments.backend, options, arguments.usage, settings)
    if arguments.resubmit:
        options["resubmit"] = True
    max_cost = None if arguments.max_cost is None else read_amount(arguments.max_cost)
    if arguments.workers is not None and arguments.workers < 1:
        raise BadOption(f"--workers is {arguments.workers}; it must be 1 or more.")
    return _Asked(arguments, settings, options, ground, max_cost)


def _placed(arguments: argparse.Namespace) -> list[VideoFiles]:
    return place_videos(
        arguments.inputs,
        arguments.output,
        arguments.matte,
        _format(arguments),
        recursive=arguments.recursive,
    )


def _format(arguments: argparse.Namespace) -> VideoFormat | None:
    """Return the format that is asked for, or that a folder gets; None = by the name of OUT."""
    if arguments.format is not None:
        return video_format(arguments.format)
    if means_file(arguments.output):
        return None
    return video_format("prores-4444" if arguments.background is None else "h264")


def _planned(arguments: argparse.Namespace, files: VideoFiles) -> VideoPlan:
    options = _options(arguments, files.matte)
    return plan_video(files.source, files.out, options, max_megapixels=arguments.max_megapixels)


def _options(arguments: argparse.Namespace, matte: Path | None) -> VideoOptions:
    format = _format(arguments)
    return VideoOptions(
        format=None if format is None else format.id,
        steady=arguments.steady,
        refine=not arguments.no_refine,
        solid=not arguments.no_solid,
        decontaminate=arguments.decontaminate,
        background=arguments.background,
        matte=matte,
        quality=arguments.quality,
        start=_time(arguments.start),
        stop=_time(arguments.stop),
    )


def _time(text: str | None) -> Fraction | None:
    return None if text is None else seconds_of(text)


def _look_only(asked: _Asked, plans: Sequence[VideoPlan]) -> int:
    """Say what would be done, and what it would cost; return the status."""
    spec = find(asked.settings.backend or asked.arguments.backend)
    expected = expected_cost(plans, spec)
    for plan in plans:
        if asked.arguments.json:
            print(json.dumps({**_row(plan), "backend": spec.id}, ensure_ascii=True))
        else:
            print(f"{plan.source} -> {plan.out} ({_said(plan)})")
    if not asked.arguments.json:
        print(f"{spec.id}: {asked.ground}")
        print(f"Cost: {expected.at_most if expected else 'nothing'}. Nothing was done.")
    return 2 if refused(expected, asked.check_ready, asked.settings, asked.max_cost) else 0


def _row(plan: VideoPlan) -> dict[str, JsonValue]:
    return {
        "input": str(plan.source),
        "output": str(plan.out),
        "format": plan.format.id,
        "frames": plan.frames,
        "width": plan.info.width,
        "height": plan.info.height,
    }


def _said(plan: VideoPlan) -> str:
    frames = "an unknown number of" if plan.frames is None else f"{plan.frames:,}"
    return f"{frames} frames of {plan.info.width} x {plan.info.height}, {plan.format.label}"


def _cut_out(asked: _Asked, plans: Sequence[VideoPlan]) -> int:
    """Make each video, and return the status. A video that fails does not stop the others."""
    arguments = asked.arguments
    backend = open_backend(
        arguments.backend, usage=arguments.usage, settings=asked.settings, options=asked.options
    )
    expected = expected_cost(plans, backend.spec)
    if expected is not None:
        if open_user_records(asked.settings).cache.empty:
            check_key(arguments.backend, asked.options, asked.settings)
        say(str(expected))
    reports, failed = [], 0
    cost: Decimal | None = Decimal(0)
    try:
        for plan in plans:
            try:
                with tqdm(total=plan.frames, unit="frame", disable=None, file=sys.stderr) as bar:
                    report = cut_out_video(
                        plan,
                        backend,
                        usage=arguments.usage,
                        settings=asked.settings,
                        job=_BarJob(bar),
                        max_cost=asked.max_cost,
                        workers=arguments.workers,
                    )
            except PictureError as error:
                fail(str(plan.source), str(error))
                failed += 1
                continue
            reports.append(report)
            cost = added(cost, report.facts.cost)
            _tell(plan, report, as_json=arguments.json)
    finally:
        backend.close()
        if expected is not None:
            say(f"{len(reports)} made. Cost: {with_currency(cost, expected.price.currency)}.")
    empty = [report for report in reports if report.empty == report.frames]
    return 1 if failed or (empty and not arguments.allow_empty) else 0


class _BarJob(Job):
    def __init__(self, bar: tqdm[NoReturn]) -> None:
        self._bar = bar

    def step(self, done: int) -> None:
        self._bar.update(done)


def _tell(plan: VideoPlan, report: VideoReport, *, as_json: bool) -> None:
    if as_json:
        said = {"input": str(plan.source), **report.data()}
        print(json.dumps(said, ensure_ascii=True), flush=True)
    print(f"{plan.source} -> {report.text()}", file=sys.stderr)
