"""`rmbg batch`: a whole catalogue, taken up again where it stopped."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from ..batch.preview import preview
from ..batch.ray.ray_engine import ActorPool
from ..batch.recipe.presets import PRESETS
from ..batch.recipe.recipe_file import read_recipe
from ..batch.result import Landed, PassedOver
from ..batch.run import Engine, Watch
from ..batch.run import run as run_batch
from ..batch.summary import Summary
from ..catalogue.backends import BACKENDS
from ..config.memory import keep_memory
from ..core.errors import BadOption
from ..core.money import CURRENCY, added, with_currency
from ..pictures.formats import FORMATS
from ..pictures.unread import UnreadKind, say_unread
from ..pipeline.estimate import Estimate
from .options import parse_options
from .shared import add_fetch, add_usage, fail, say_passed_over, settings_for

_ENGINES: tuple[Engine, ...] = ("local", "ray")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("sources", nargs="+", metavar="SOURCE", help="folders, files, patterns, or one manifest")
    add_fetch(parser)
    add("--encoding", metavar="NAME", help="of a manifest that is not UTF-8, such as cp1252")
    add("-o", "--output", metavar="DEST", required=True, help="the folder for the results")
    add("--recipe", metavar="FILE", help="what becomes of each picture: a TOML file")
    add("--preset", choices=(*PRESETS,), help="what a marketplace asks for, or a neutral one")
    add("--backend", metavar="ID", help=f"one of: {', '.join(BACKENDS)} (default local)")
    add_usage(parser)
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="of the backend")
    add("--resubmit", action="store_true", help="pay again for pictures whose earlier job was lost")
    add("--max-cost", metavar="USD", help="the most that this run may cost")
    add("--background", metavar="COLOUR", help="transparent, a colour, or a picture file")
    add("--format", choices=tuple(row.id for row in FORMATS), help="of the results (default png)")
    add("--quality", type=int, metavar="1..100", help="of JPEG and lossy WebP")
    add("--naming", metavar="PATTERN", help='of the results ("{folder}/{stem}{suffix}")')
    add("--mask", action="store_true", help="write the masks, too, as NAME-mask.png")
    add("--no-provenance", action="store_true", help="files say nothing of model and receipt")
    add("--max-megapixels", type=float, metavar="N", help="refuse larger pictures (default 64)")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="threads beside the model (one for each core, at most 8)",
    )
    add("--force", action="store_true", help="do again what is done")
    add("--retry-quarantined", action="store_true", help="try again what could not be used before")
    add("--engine", choices=_ENGINES, default="local", help="local (default) or ray")
    add("--actors", type=int, metavar="N", help="with ray: how many processes hold the model")
    add("--gpus-per-actor", type=float, metavar="N", help="with ray: 0.5 puts two on one GPU")
    add("--cpus-per-actor", type=int, metavar="N", help="with ray: processors of each")
    add("--json", action="store_true", help="print the summary as one JSON object on stdout")
    add("--dry-run", action="store_true", help="say what would be done, and what it would cost")


def run(arguments: argparse.Namespace) -> int:
    settings = settings_for(arguments)
    recipe = read_recipe(arguments.recipe and Path(arguments.recipe), _over(arguments))
    if arguments.dry_run:
        outlook = preview(
            arguments.sources,
            arguments.output,
            recipe,
            force=arguments.force,
            retry=arguments.retry_quarantined,
            encoding=arguments.encoding,
            engine=arguments.engine,
            fetch=arguments.fetch,
            settings=settings,
        )
        print(json.dumps(outlook.data()) if arguments.json else outlook.text())
        _refuse_nothing(outlook.survey.total, outlook.survey.passed_over, outlook.survey.unread)
        if outlook.refusal:
            print(f"rmbg: It would be refused. {outlook.refusal}", file=sys.stderr)
        return 2 if outlook.refusal else 0
    if arguments.own_process:
        keep_memory()
    watch = _Bar(arguments.json)
    summary = run_batch(
        arguments.sources,
        arguments.output,
        recipe,
        engine=arguments.engine,
        workers=arguments.workers,
        pool=ActorPool(arguments.actors, arguments.gpus_per_actor, arguments.cpus_per_actor),
        force=arguments.force,
        retry=arguments.retry_quarantined,
        encoding=arguments.encoding,
        fetch=arguments.fetch,
        settings=settings,
        watch=watch,
    )
    _refuse_nothing(summary.counts.total, summary.counts.passed_over, summary.unread)
    return 0 if summary.complete else 1


def _refuse_nothing(total: int, passed_over: int, unread: Sequence[UnreadKind]) -> None:
    """A run without a picture has not done what was wanted of it. Raises BadOption."""
    if not total:
        results = f"{passed_over} results of this package are passed over." if passed_over else ""
        said = filter(None, ["There is nothing to cut out.", results, say_unread(unread)])
        raise BadOption(" ".join(said))


def _over(arguments: argparse.Namespace) -> dict[str, object]:
    """What the command line says, as the recipe's file would."""
    options: dict[str, object] = {**parse_options(arguments.option)}
    if arguments.resubmit:
        options["resubmit"] = True
    output = {
        "format": arguments.format,
        "quality": arguments.quality,
        "naming": arguments.naming,
        "mask": arguments.mask or None,
        "provenance": False if arguments.no_provenance else None,
    }
    said: dict[str, object] = {
        "preset": arguments.preset,
        "backend": arguments.backend,
        "usage": arguments.usage,
        "max_cost": arguments.max_cost,
        "max_megapixels": arguments.max_megapixels,
        "options": options,
        "canvas": _stated({"background": arguments.background}),
        "output": _stated(output),
    }
    return {name: value for name, value in _stated(said).items() if value != {}}


def _stated(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


class _Bar(Watch):
    """A progress bar on stderr; the summary on stdout."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._bar: tqdm[NoReturn] | None = None
        self._cost: Decimal | None = Decimal(0)

    def passed_over(self, count: int, pictures: Sequence[PassedOver]) -> None:
        """See `Watch.passed_over`."""
        said = say_passed_over([(one.key, one.how) for one in pictures], count)
        print(f"rmbg: {said}", file=sys.stderr)

    def begun(self, total: int, waiting: int, expected: Estimate | None) -> None:
        """See `Watch.begun`."""
        if expected is not None:
            print(f"rmbg: {expected}", file=sys.stderr)
        if waiting < total:
            print(f"rmbg: {total - waiting} of {total} pictures need nothing.", file=sys.stderr)
        self._bar = tqdm(total=waiting, unit="picture", disable=None, file=sys.stderr)

    def landed(self, picture: Landed, final: bool) -> None:
        """See `Watch.landed`."""
        assert self._bar is not None
        if picture.cost != 0:
            self._cost = added(self._cost, picture.cost)
            self._bar.set_postfix_str(with_currency(self._cost, CURRENCY), refresh=False)
        if not final:
            return
        if picture.error is not None:
            with self._bar.external_write_mode(file=sys.stderr):
                fail(picture.key, picture.error)
        self._bar.update()

    def ended(self, summary: Summary) -> None:
        """See `Watch.ended`."""
        if self._bar is not None:
            self._bar.close()
        print(json.dumps(summary.data()) if self._as_json else summary.text())
