"""`rmbg video` with a host's model for whole videos: one job each, its price said first."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import cast

from ..config.keys import find_key
from ..config.settings import Settings
from ..core.errors import PictureError, Refusal
from ..core.money import CURRENCY, added, read_amount, with_currency
from ..core.specs import OptionValue
from ..pipeline.context import open_user_records
from ..pipeline.gate import OpenBackend, open_video_model
from ..records.run_budget import RunBudget
from ..video.hosted.hosted_video import Quote, cut_out_hosted, quote_hosted
from ..video.hosted.whole_options import codec_for
from .options import parse_options
from .shared import fail
from .terminal import say
from .video_files import VideoFiles


@dataclass(frozen=True)
class _Order:
    """One video, and what it costs at most."""

    files: VideoFiles
    quote: Quote


def run_hosted(
    arguments: argparse.Namespace, settings: Settings, placed: Sequence[VideoFiles]
) -> int:
    """Send the videos to the host one after the other; return the status."""
    limit = None if arguments.max_cost is None else read_amount(arguments.max_cost)
    model = _opened(arguments, settings, placed)
    orders, failed = [], 0
    for files in placed:
        try:
            orders.append(_Order(files, quote_hosted(files.source, model)))
        except PictureError as error:
            fail(str(files.source), str(error))
            failed += 1
    for order in orders:
        say(f"{order.files.source} -> {order.files.out}: {order.quote}")
    try:
        if arguments.dry_run:
            return _look_only(orders, model, settings, limit) or (1 if failed else 0)
        made = _made(arguments, settings, orders, model, limit)
    finally:
        model.close()
    return 1 if failed or made < len(orders) else 0


def _opened(
    arguments: argparse.Namespace, settings: Settings, placed: Sequence[VideoFiles]
) -> OpenBackend:
    options: dict[str, OptionValue] = parse_options(arguments.option)
    if "codec" not in options:
        options["codec"] = codec_for(placed[0].out, arguments.format)
    if arguments.resubmit:
        options["resubmit"] = True
    return open_video_model(
        arguments.backend, usage=arguments.usage, settings=settings, options=options
    )


def _look_only(
    orders: Sequence[_Order], model: OpenBackend, settings: Settings, limit: Decimal | None
) -> int:
    """Say what it comes to, and what would refuse it."""
    seconds = sum(ceil(order.quote.seconds) for order in orders)
    total: Decimal | None = Decimal(0)
    for order in orders:
        total = added(total, order.quote.total.amount)
    cost = with_currency(total, CURRENCY)
    say(f"Cost: up to {cost} for {seconds} s; what was paid for earlier costs nothing.")
    say("Nothing was done.")
    try:
        find_key(model.spec, str(model.options.get("profile", "")))
        for order in orders:
            budget = RunBudget(open_user_records(settings).spending, settings.budget, limit)
            budget.afford(order.quote.total, 1)
    except Refusal as error:
        say(f"It would be refused. {error}")
        return 2
    return 0


def _made(
    arguments: argparse.Namespace,
    settings: Settings,
    orders: Sequence[_Order],
    model: OpenBackend,
    limit: Decimal | None,
) -> int:
    """Make each video; one that fails does not stop the others. Returns how many were made."""
    made, cost = 0, cast("Decimal | None", Decimal(0))
    try:
        for order in orders:
            source, out = order.files.source, order.files.out
            try:
                report = cut_out_hosted(
                    source,
                    out,
                    model,
                    usage=arguments.usage,
                    settings=settings,
                    max_cost=limit,
                )
            except PictureError as error:
                fail(str(source), str(error))
                continue
            made += 1
            cost = added(cost, report.facts.cost)
            if arguments.json:
                said = {"input": str(source), **report.data()}
                print(json.dumps(said, ensure_ascii=True), flush=True)
            print(f"{source} -> {report.text()}", file=sys.stderr)
    finally:
        say(f"{made} made. Cost: {with_currency(cost, CURRENCY)}.")
    return made
