"""`rmbg remove`: files in, cut-outs out; one failed file never stops the others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from ..backends.hosted.fetching import Fetcher
from ..catalogue.backends import BACKENDS, find
from ..core.colour import background_colour
from ..core.errors import BadOption
from ..core.money import read_amount
from ..pipeline.context import open_user_records
from ..pipeline.estimate import look
from ..pipeline.finishing import Finishing
from ..pipeline.gate import allow_unopened
from ..pipeline.inputs import Input
from .dry_run import print_left_out, refused, say_plans
from .options import parse_options
from .plan import Plan, check_held, load, make_plans, say_left_out, with_places
from .remove_run import Asked, cut_out
from .shared import (
    STDOUT,
    add_allow_empty,
    add_edges,
    add_fetch,
    add_reading,
    add_usage,
    settings_for,
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
    add("--prompt", metavar="WORDS", help="what is kept, for a backend that is guided by words")
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
    add_edges(parser)
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
    asked = _asked(arguments)
    plans = _planned(asked)
    max_cost = None if arguments.max_cost is None else read_amount(arguments.max_cost)
    inputs = _inputs(asked, plans)
    if arguments.dry_run:
        return _look_only(asked, plans, inputs, max_cost)
    return cut_out(asked, plans, inputs, max_cost)


def _asked(arguments: argparse.Namespace) -> Asked:
    """Check what needs no picture. Raises BadOption, LicenceRefused, Offline and what else
    `allow_unopened` raises."""
    settings = settings_for(arguments)
    finishing = Finishing(
        refine=not arguments.no_refine,
        solid=not arguments.no_solid,
        decontaminate=arguments.decontaminate,
        background=background_colour(arguments.background),
    )
    spec = find(settings.backend or arguments.backend)
    options = parse_options(arguments.option)
    if arguments.prompt is not None:
        options["prompt"] = arguments.prompt
    _, ground = allow_unopened(arguments.backend, options, arguments.usage, settings)
    if arguments.json and arguments.output == STDOUT:
        raise BadOption("The picture and --json cannot share standard output; name a file.")
    if arguments.resubmit:
        options["resubmit"] = True
    fetcher = Fetcher(settings) if arguments.fetch else None
    return Asked(arguments, settings, finishing, spec, options, ground, fetcher)


def _planned(asked: Asked) -> list[Plan]:
    """Find the pictures and their places, and say what is left out. Raises BadOption."""
    arguments = asked.arguments
    try:
        planned = make_plans(
            arguments.inputs,
            output=arguments.output,
            mask=arguments.mask,
            suffix=f".{arguments.format}",
            opaque=arguments.only_mask or asked.finishing.background is not None,
            recursive=arguments.recursive,
            silent=arguments.no_provenance,
            fetch=arguments.fetch,
        )
    except BadOption:
        asked.check_ready()  # what no picture could be made without is said first
        raise
    plans = with_places(planned.made, trying=not arguments.dry_run)
    for sentence in say_left_out(planned.left_out):
        print(f"rmbg: {sentence}", file=sys.stderr)
    if arguments.json:
        print_left_out(planned.left_out)
    return plans


def _inputs(asked: Asked, plans: Sequence[Plan]) -> list[Input]:
    """Return the pictures of the plans; each is read when its turn comes."""
    arguments = asked.arguments
    check = partial(
        check_held,
        opaque=asked.finishing.background is not None,
        only_mask=arguments.only_mask,
    )
    return [
        Input(
            index,
            plan.source.name,
            partial(load, plan, arguments.max_megapixels, check, asked.fetcher),
            only_once=plan.source.path is None,
        )
        for index, plan in enumerate(plans)
    ]


def _look_only(
    asked: Asked, plans: Sequence[Plan], inputs: Sequence[Input], max_cost: Decimal | None
) -> int:
    """Say what would be done, and what it would cost; return the status."""
    expected = None
    if asked.spec.price:
        found = [
            item for item, plan in zip(inputs, plans, strict=True) if plan.source.reason is None
        ]
        expected = look(found, asked.open(), open_user_records(asked.settings))
    as_json = asked.arguments.json
    status = say_plans(plans, asked.spec, asked.ground, expected, as_json=as_json)
    return 2 if refused(expected, asked.check_ready, asked.settings, max_cost) else status
