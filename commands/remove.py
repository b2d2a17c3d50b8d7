"""`rmbg remove`: files in, cut-outs out; one failed file never stops the others."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from torch import Tensor
from tqdm import tqdm

from ..backends.catalogue import BACKENDS, check_options, find
from ..core.cutout import background_colour
from ..core.errors import BadOption, BadPicture, RmbgError
from ..core.report import JsonValue
from ..core.specs import BackendSpec
from ..core.types import Job
from ..feed import Failed, Input
from ..gate import allow, open_backend
from ..pictures.read import read_picture
from ..pipeline import Done, Treatment, remove
from ..settings import read_settings
from .plan import Plan, check_writable, make_plans
from .shared import OTHER_COLOURS, STDOUT, add_reading, fail, parse_options, pixels_of, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", nargs="+", metavar="IN", help="files, folders, patterns, or - for stdin")
    add(
        "-o",
        "--output",
        metavar="OUT",
        help="a file for one picture, else a folder; - is stdout (default: NAME.png beside each "
        "picture, NAME-cutout.png where that file exists)",
    )
    add("-r", "--recursive", action="store_true", help="also the folders inside folders")
    add("--backend", default="local", metavar="ID", help=f"one of: {', '.join(BACKENDS)}")
    add("--usage", choices=("non-commercial", "commercial"), help="what the pictures are for")
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="of the backend")
    add(
        "--resubmit",
        action="store_true",
        help="pay again for pictures whose earlier job was lost and may have been billed; look at "
        "your account first",
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
    add("--json", action="store_true", help="print one JSON object a picture on stdout")
    add("--dry-run", action="store_true", help="say what would be done, and what it would cost")
    add_reading(parser)


def run(arguments: argparse.Namespace) -> int:
    settings = read_settings()
    treatment = Treatment(
        refine=not arguments.no_refine,
        decontaminate=arguments.decontaminate,
        background=background_colour(arguments.background),
    )
    spec = find(settings.backend or arguments.backend)
    _, ground = allow(spec, arguments.usage, settings)
    if arguments.json and arguments.output == STDOUT:
        raise BadOption("The picture and --json cannot share standard output; name a file.")
    plans = make_plans(
        arguments.inputs,
        output=arguments.output,
        mask=arguments.mask,
        suffix=f".{arguments.format}",
        opaque=arguments.only_mask or treatment.background is not None,
        recursive=arguments.recursive,
    )
    options = parse_options(arguments.option)
    if arguments.resubmit:
        options["resubmit"] = True
    if arguments.dry_run:
        check_options(spec, options if spec.provider == find(arguments.backend).provider else {})
        return _say_plans(plans, spec, ground, as_json=arguments.json)
    backend = open_backend(
        arguments.backend, usage=arguments.usage, settings=settings, options=options
    )
    check_writable(plans)
    origins: dict[int, _Origin] = {}
    inputs = (
        Input(
            index,
            plan.source.name,
            partial(_load, plan, arguments.max_megapixels, origins, index),
        )
        for index, plan in enumerate(plans)
    )
    failed = 0
    try:
        with tqdm(total=len(plans), unit="picture", disable=None, file=sys.stderr) as bar:
            job = _BarJob(bar)
            for result in remove(
                inputs, backend, treatment, usage=arguments.usage, settings=settings, job=job
            ):
                plan = plans[result.index]
                error = _deliver(result, plan, origins.pop(result.index, None), arguments.only_mask)
                if error is not None:
                    failed += 1
                    with bar.external_write_mode(file=sys.stderr):
                        fail(plan.source.name, str(error))
                if arguments.json:
                    print(json.dumps(_row(result, plan, error), ensure_ascii=True), flush=True)
    finally:
        backend.close()
    return 1 if failed else 0


@dataclass(frozen=True)
class _Origin:
    """What a result's file takes over from its source's."""

    depth: int
    icc_profile: bytes | None


class _BarJob(Job):
    def __init__(self, bar: tqdm[NoReturn]) -> None:
        self._bar = bar

    def step(self, done: int) -> None:
        self._bar.update(done)


def _load(plan: Plan, max_megapixels: float, origins: dict[int, _Origin], index: int) -> Tensor:
    picture = read_picture(
        plan.source.content(), name=plan.source.name, max_megapixels=max_megapixels
    )
    origins[index] = _Origin(picture.depth, picture.icc_profile)
    return pixels_of(picture)


def _deliver(
    result: Done | Failed, plan: Plan, origin: _Origin | None, only_mask: bool
) -> RmbgError | None:
    """Write what is asked; returns the reason when there is nothing, or no place, to write."""
    if isinstance(result, Failed) or origin is None:
        return result.failure.error if isinstance(result, Failed) else None
    mask = result.mask[..., None]
    try:
        if origin.icc_profile and result.image.shape[-1] == 3 and not only_mask:
            raise BadPicture(OTHER_COLOURS.format(name=plan.source.name))
        if plan.mask is not None:
            write(mask, plan.mask, depth=origin.depth, icc_profile=None)
        if only_mask:
            write(mask, plan.output, depth=origin.depth, icc_profile=None)
        else:
            write(result.image, plan.output, depth=origin.depth, icc_profile=origin.icc_profile)
    except RmbgError as error:
        return error
    return None


def _row(result: Done | Failed, plan: Plan, error: RmbgError | None) -> dict[str, JsonValue]:
    row: dict[str, JsonValue] = {
        "input": plan.source.name,
        "output": None if error or plan.output is None else str(plan.output),
        "mask": None if error or plan.mask is None else str(plan.mask),
        "error": None if error is None else str(error),
    }
    return {**row, "report": result.report.data() if isinstance(result, Done) else None}


def _say_plans(plans: Sequence[Plan], spec: BackendSpec, ground: str, *, as_json: bool) -> int:
    """What would be done; the status is that of pictures that could not even be found."""
    usable = sum(plan.source.reason is None for plan in plans)
    price = spec.price
    if as_json:
        for plan in plans:
            row = {
                "input": plan.source.name,
                "output": None if plan.output is None else str(plan.output),
                "mask": None if plan.mask is None else str(plan.mask),
                "error": plan.source.reason,
                "backend": spec.id,
                "cost_at_most": str(price.amount) if price and not plan.source.reason else "0",
            }
            print(json.dumps(row))
    else:
        for plan in plans:
            print(f"{plan.source.name} -> {plan.source.reason or plan.output or 'standard output'}")
        cost = f"{usable * price.amount} {price.currency} at most" if price else "nothing"
        print(f"{usable} pictures with {spec.id} ({ground}). Cost: {cost}. Nothing was done.")
    return 0 if usable == len(plans) else 1
