"""`rmbg remove`: files in, cut-outs out; one failed file never stops the others."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NoReturn, cast

from tqdm import tqdm

from ..backends.hosted.fetching import Fetcher
from ..catalogue.backends import BACKENDS, find
from ..config.settings import Settings
from ..core.colour import background_colour
from ..core.errors import BadOption
from ..core.money import read_amount
from ..core.report import FailureReport, JsonValue
from ..core.types import Job
from ..pictures.write import is_full
from ..pipeline.context import open_user_records
from ..pipeline.estimate import look
from ..pipeline.finishing import Done, Finishing
from ..pipeline.gate import allow_unopened, check_key, check_ready, open_backend
from ..pipeline.hand_over import Delivery, deliver, encode_result, encoding_for, settle_delivered
from ..pipeline.inputs import Failed, Input
from ..pipeline.remove import remove
from ..records.delivered import DeliveredFiles, Part
from .dry_run import print_left_out, refused, say_plans, usable
from .options import parse_options
from .outcome import Bill, is_empty, say_empty, say_outcome
from .plan import Plan, check_held, load, make_plans, say_left_out, with_places
from .shared import (
    STDOUT,
    add_allow_empty,
    add_fetch,
    add_reading,
    add_usage,
    fail,
    settings_for,
    write_bytes,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="IN",
        help="files, folders, patterns, or - for stdin; results of earlier runs are taken only "
        "where they are named as files",
    )
    add(
        "-o",
        "--output",
        metavar="OUT",
        help="a file for one picture, else a folder; - is stdout (default: NAME.png beside each "
        "picture, NAME-cutout.png where that file exists)",
    )
    add_fetch(parser)
    add("-r", "--recursive", action="store_true", help="also the folders inside folders")
    add("--backend", default="local", metavar="ID", help=f"one of: {', '.join(BACKENDS)}")
    add_usage(parser)
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="of the backend")
    add(
        "--resubmit",
        action="store_true",
        help="pay again for pictures whose earlier job was lost and may have been billed; look at "
        "your account first",
    )
    add(
        "--max-cost",
        metavar="USD",
        help="the most that this run may cost; if the pictures would cost more, none is sent",
    )
    add("--background", default="transparent", metavar="COLOUR", help="transparent, or a colour")
    add(
        "--decontaminate",
        type=float,
        default=1.0,
        metavar="0..1",
        help="how far the old background's colour is taken out of the edge (default 1)",
    )
    add("--no-refine", action="store_true", help="do not draw edges by the picture's colours")
    add("--no-solid", action="store_true", help="leave interiors as see-through as the model's")
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument("--mask", metavar="FILE", help="write the mask too: a file, or a folder")
    masks.add_argument("--only-mask", action="store_true", help="write the mask, not the cut-out")
    add(
        "--format",
        choices=("png", "webp", "tiff", "jpg"),
        default="png",
        help="of results whose name is not given (default png)",
    )
    add(
        "--no-provenance",
        action="store_true",
        help="do not write model, licence and receipt into the pictures (see `rmbg inspect`); "
        "beside their sources, and in folders there, names then end in -cutout",
    )
    add_allow_empty(parser)
    add("--json", action="store_true", help="print one JSON object a picture on stdout")
    add("--dry-run", action="store_true", help="say what would be done, and what it would cost")
    add_reading(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    finishing = Finishing(
        refine=not arguments.no_refine,
        solid=not arguments.no_solid,
        decontaminate=arguments.decontaminate,
        background=background_colour(arguments.background),
    )
    spec = find(settings.backend or arguments.backend)
    options = parse_options(arguments.option)
    _, ground = allow_unopened(arguments.backend, options, arguments.usage, settings)
    if arguments.json and arguments.output == STDOUT:
        raise BadOption("The picture and --json cannot share standard output; name a file.")
    if arguments.resubmit:
        options["resubmit"] = True
    ready = partial(check_ready, arguments.backend, options, arguments.usage, settings)
    fetcher = Fetcher(settings) if arguments.fetch else None
    try:
        planned = make_plans(
            arguments.inputs,
            output=arguments.output,
            mask=arguments.mask,
            suffix=f".{arguments.format}",
            opaque=arguments.only_mask or finishing.background is not None,
            recursive=arguments.recursive,
            silent=arguments.no_provenance,
            fetch=arguments.fetch,
        )
    except BadOption:
        ready()  # what no picture could be made without is said first
        raise
    plans = with_places(planned.made, trying=not arguments.dry_run)
    for sentence in say_left_out(planned.left_out):
        print(f"rmbg: {sentence}", file=sys.stderr)
    if arguments.json:
        print_left_out(planned.left_out)
    max_cost = None if arguments.max_cost is None else read_amount(arguments.max_cost)
    check = partial(
        check_held, opaque=finishing.background is not None, only_mask=arguments.only_mask
    )
    inputs = [
        Input(
            index,
            plan.source.name,
            partial(load, plan, arguments.max_megapixels, check, fetcher),
            only_once=plan.source.path is None,
        )
        for index, plan in enumerate(plans)
    ]
    opened = partial(
        open_backend, arguments.backend, usage=arguments.usage, settings=settings, options=options
    )
    if arguments.dry_run:
        readable = [
            item for item, plan in zip(inputs, plans, strict=True) if plan.source.reason is None
        ]
        expected = look(readable, opened(), open_user_records(settings)) if spec.price else None
        status = say_plans(plans, spec, ground, expected, as_json=arguments.json)
        return 2 if refused(expected, ready, settings, max_cost) else status
    backend = opened()
    if open_user_records(settings).cache.empty:  # else what is kept may be all that is asked for
        check_key(arguments.backend, options, settings)
    bill = Bill(backend.spec, settings)
    bill.say_beforehand(usable(plans))
    failed = empty = 0
    delivered = open_user_records(settings).files
    try:
        with tqdm(total=len(plans), unit="picture", disable=None, file=sys.stderr) as bar:
            results = remove(
                inputs,
                backend,
                finishing,
                partial(_deliver, plans, arguments, settings, delivered),
                usage=arguments.usage,
                settings=settings,
                job=_BarJob(bar),
                max_cost=max_cost,
                hand_over=settle_delivered,
            )
            # Closed here, so that Ctrl-C between two pictures stops the run, too.
            with closing(cast("Generator[Delivery, None, None]", results)):
                for end in results:
                    plan = plans[end.result.index]
                    bill.add(end.result, delivered=end.error is None)
                    failed += end.error is not None
                    empty += end.error is None and is_empty(end.result)
                    with bar.external_write_mode(file=sys.stderr):
                        for words in end.trouble:
                            fail(plan.source.name, words)
                        say_outcome(plan, end.result, end.error)
                    if arguments.json:
                        print(json.dumps(_row(end, plan), ensure_ascii=True), flush=True)
                    if end.error is not None and is_full(end.error):
                        raise BadOption("The disk is full: nothing more was sent.") from end.error
    finally:
        backend.close()
        bill.say_afterwards()
    if empty and not arguments.allow_empty:
        say_empty(empty)
        return 1
    return 1 if failed else 0


class _BarJob(Job):
    def __init__(self, bar: tqdm[NoReturn]) -> None:
        self._bar = bar

    def step(self, done: int) -> None:
        self._bar.update(done)


def _deliver(
    plans: Sequence[Plan],
    arguments: argparse.Namespace,
    settings: Settings,
    delivered: DeliveredFiles,
    result: Done | Failed,
) -> Delivery:
    """Write the files that the plan of a picture names."""
    plan = plans[result.index]
    paths: dict[Part, Path | None] = {} if plan.mask is None else {"mask": plan.mask}
    paths["mask" if arguments.only_mask else "image"] = plan.output

    def encoded(done: Done) -> dict[Part, bytes]:
        depth = done.origin.depth
        encodings = {part: encoding_for(path, depth) for part, path in paths.items()}
        silent = arguments.no_provenance
        return encode_result(done, encodings, settings.weights, silent=silent)

    def write(part: Part, data: bytes, lasting: bool) -> None:
        write_bytes(data, paths[part], lasting=lasting)

    return deliver(result, encoded, write, delivered)


def _row(end: Delivery, plan: Plan) -> dict[str, JsonValue]:
    result, error = end.result, end.error
    row: dict[str, JsonValue] = {
        "input": plan.source.name,
        "output": None if error or plan.output is None else str(plan.output),
        "mask": None if error or plan.mask is None else str(plan.mask),
        "error": None if error is None else str(error),
    }
    if isinstance(result, Failed):
        return {**row, "report": FailureReport(result.name, result.failure, "leave out").data()}
    return {**row, "report": result.report.data()}
