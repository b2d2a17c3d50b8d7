"""`rmbg remove`: files in, cut-outs out; one failed file never stops the others."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import NoReturn, cast

from tqdm import tqdm

from ..backends.hosted.fetching import Fetcher
from ..catalogue.backends import BACKENDS, find
from ..config.settings import Settings
from ..core.cutout import background_colour
from ..core.errors import BadOption, RmbgError
from ..core.money import read_amount
from ..core.report import FailureReport, JsonValue
from ..core.types import Job
from ..pictures.metadata import NOTHING, Metadata
from ..pictures.origin import Origin
from ..pictures.provenance import metadata_of_result
from ..pictures.write import is_full
from ..pipeline.context import open_user_records
from ..pipeline.estimate import look
from ..pipeline.finishing import Done, Finishing
from ..pipeline.gate import allow_unopened, check_key, check_ready, open_backend
from ..pipeline.hand_over import Settle
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
    write,
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
    add("--no-refine", action="store_true", help="do not sharpen upsampled edges")
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
    origins: dict[int, Origin] = {}
    check = partial(
        check_held, opaque=finishing.background is not None, only_mask=arguments.only_mask
    )
    inputs = [
        Input(
            index,
            plan.source.name,
            partial(load, plan, arguments.max_megapixels, check, origins, index, fetcher),
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
    written: set[int] = set()
    files = open_user_records(settings).files
    try:
        with tqdm(total=len(plans), unit="picture", disable=None, file=sys.stderr) as bar:
            results = remove(
                inputs,
                backend,
                finishing,
                usage=arguments.usage,
                settings=settings,
                job=_BarJob(bar),
                max_cost=max_cost,
                hand_over=partial(_hand_over, written),
            )
            # Closed here, so that Ctrl-C while a file is written stops the run, too.
            with closing(cast("Generator[Done | Failed, None, None]", results)):
                for result in results:
                    plan = plans[result.index]
                    origin = origins.pop(result.index, None)
                    said = _metadata(result, origin, settings, arguments.no_provenance)
                    error = _deliver(result, plan, origin, arguments.only_mask, said, files)
                    bill.add(result, delivered=error is None)
                    if error is None:
                        written.add(result.index)
                        empty += is_empty(result)
                    else:
                        failed += 1
                    with bar.external_write_mode(file=sys.stderr):
                        say_outcome(plan, result, error)
                    if arguments.json:
                        print(json.dumps(_row(result, plan, error), ensure_ascii=True), flush=True)
                    if error is not None and is_full(error):
                        raise BadOption("The disk is full: nothing more was sent.") from error
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


def _hand_over(written: set[int], result: Done | Failed, settle: Settle) -> None:
    """A paid result that has no file stays with its provider, to be fetched by the next run."""
    if result.index in written:
        settle()


def _metadata(
    result: Done | Failed, origin: Origin | None, settings: Settings, silent: bool
) -> tuple[Metadata, Metadata]:
    """What the files of a picture and of its mask say of themselves."""
    if isinstance(result, Failed) or origin is None:
        return NOTHING, NOTHING
    return metadata_of_result(result.report.data(), settings.weights, origin, silent=silent)


def _deliver(
    result: Done | Failed,
    plan: Plan,
    origin: Origin | None,
    only_mask: bool,
    said: tuple[Metadata, Metadata],
    files: DeliveredFiles,
) -> RmbgError | None:
    """Write what is asked; returns the reason when there is nothing, or no place, to write.

    said: what the files of the picture and of its mask say of themselves. files: where their hashes
    are kept.
    """
    if isinstance(result, Failed) or origin is None:
        return result.failure.error if isinstance(result, Failed) else None
    mask = result.mask[..., None]
    paid = result.report.facts.left_machine
    of_image, of_mask = said
    write_mask = partial(write, mask, depth=origin.depth, metadata=of_mask, lasting=paid)
    made: dict[Part, bytes] = {}
    try:
        if plan.mask is not None:
            made["mask"] = write_mask(plan.mask)
        if only_mask:
            made["mask"] = write_mask(plan.output)
        else:
            made["image"] = write(
                result.image,
                plan.output,
                depth=origin.depth,
                icc_profile=origin.icc_profile,
                metadata=of_image,
                lasting=paid,
            )
    except RmbgError as error:
        return error
    for words in files.note(result.report.receipt, made):
        with tqdm.external_write_mode(file=sys.stderr):
            fail(plan.source.name, words)
    return None


def _row(result: Done | Failed, plan: Plan, error: RmbgError | None) -> dict[str, JsonValue]:
    row: dict[str, JsonValue] = {
        "input": plan.source.name,
        "output": None if error or plan.output is None else str(plan.output),
        "mask": None if error or plan.mask is None else str(plan.mask),
        "error": None if error is None else str(error),
    }
    if isinstance(result, Failed):
        return {**row, "report": FailureReport(result.name, result.failure, "leave out").data()}
    return {**row, "report": result.report.data()}
