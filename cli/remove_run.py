"""The run of `rmbg remove`: the pictures of its plans through a backend, into their files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import NoReturn, cast

from tqdm import tqdm

from ..backends.hosted.fetching import Fetcher
from ..config.settings import Settings
from ..core.errors import BadOption
from ..core.report import FailureReport, JsonValue
from ..core.specs import BackendSpec, OptionValue
from ..core.types import Job
from ..pictures.write import is_full
from ..pipeline.context import open_user_records
from ..pipeline.finishing import Done, Finishing
from ..pipeline.gate import OpenBackend, check_key, check_ready, open_backend
from ..pipeline.hand_over import Delivery, deliver, encode_result, encoding_for, settle_delivered
from ..pipeline.inputs import Failed, Input
from ..pipeline.remove import remove
from ..records.delivered import DeliveredFiles, Part
from .dry_run import usable
from .outcome import Bill, is_empty, say_empty, say_outcome
from .plan import Plan
from .shared import fail, write_bytes


@dataclass(frozen=True)
class Asked:
    """What a command asks for, and is allowed."""

    arguments: argparse.Namespace
    settings: Settings
    finishing: Finishing
    spec: BackendSpec
    """Of the backend in force."""
    options: Mapping[str, OptionValue]
    """Of the backend."""
    ground: str
    """Why this use is allowed."""
    fetcher: Fetcher | None
    """Fetches pictures at addresses; None where none may be."""

    def open(self) -> OpenBackend:
        """See `open_backend`."""
        return open_backend(
            self.arguments.backend,
            usage=self.arguments.usage,
            settings=self.settings,
            options=self.options,
        )

    def check_ready(self) -> None:
        """See `gate.check_ready`."""
        arguments = self.arguments
        check_ready(arguments.backend, self.options, arguments.usage, self.settings)

    def check_key(self) -> None:
        """See `gate.check_key`."""
        check_key(self.arguments.backend, self.options, self.settings)


def cut_out(
    asked: Asked, plans: Sequence[Plan], inputs: Sequence[Input], max_cost: Decimal | None
) -> int:
    """Cut out each picture, say what became of it, and return the status. Raises BadOption where
    the disk is full, and what `remove` raises."""
    arguments, backend = asked.arguments, asked.open()
    records = open_user_records(asked.settings)
    if records.cache.empty:  # else what is kept may be all that is asked for
        asked.check_key()
    bill = Bill(backend.spec, asked.settings)
    bill.say_beforehand(usable(plans))
    told = _Told(plans, bill, as_json=arguments.json)
    try:
        with tqdm(total=len(plans), unit="picture", disable=None, file=sys.stderr) as bar:
            results = remove(
                inputs,
                backend,
                asked.finishing,
                partial(_deliver, plans, arguments, asked.settings, records.files),
                usage=arguments.usage,
                settings=asked.settings,
                job=_BarJob(bar),
                max_cost=max_cost,
                hand_over=settle_delivered,
            )
            # Closed here, so that Ctrl-C between two pictures stops the run, too.
            with closing(cast("Generator[Delivery, None, None]", results)):
                for end in results:
                    told.tell(end, bar)
    finally:
        backend.close()
        bill.say_afterwards()
    return told.status(allow_empty=arguments.allow_empty)


class _Told:
    """What became of the pictures so far."""

    def __init__(self, plans: Sequence[Plan], bill: Bill, *, as_json: bool) -> None:
        self._plans = plans
        self._bill = bill
        self._as_json = as_json
        self._failed = self._empty = 0

    def tell(self, end: Delivery, bar: tqdm[NoReturn]) -> None:
        """Count one picture, and say it. Raises BadOption where the disk is full."""
        plan = self._plans[end.result.index]
        self._bill.add(end.result, delivered=end.error is None)
        self._failed += end.error is not None
        self._empty += end.error is None and is_empty(end.result)
        with bar.external_write_mode(file=sys.stderr):
            for words in end.trouble:
                fail(plan.source.name, words)
            say_outcome(plan, end.result, end.error)
        if self._as_json:
            print(json.dumps(_row(end, plan), ensure_ascii=True), flush=True)
        if end.error is not None and is_full(end.error):
            raise BadOption("The disk is full: nothing more was sent.") from end.error

    def status(self, *, allow_empty: bool) -> int:
        """Return the status of the command; empty results are said where they count."""
        if self._empty and not allow_empty:
            say_empty(self._empty)
            return 1
        return 1 if self._failed else 0


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
