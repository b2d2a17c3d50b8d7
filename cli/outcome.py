"""What `rmbg remove` says of pictures and of money, on stderr: stdout is for pictures and JSON."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import suppress
from decimal import Decimal

from ..config.invocation import command
from ..config.settings import Settings
from ..core.errors import RmbgError
from ..core.money import added, with_currency
from ..core.report import NO_SUBJECT, kinds_of
from ..core.specs import BackendSpec
from ..pipeline.context import open_user_records
from ..pipeline.estimate import Estimate
from ..pipeline.finishing import Done
from ..pipeline.inputs import Failed
from .plan import Plan
from .shared import fail
from .terminal import say


def is_empty(result: Done | Failed) -> bool:
    """Return whether there is a result with nothing in it."""
    return isinstance(result, Done) and NO_SUBJECT in kinds_of(result.report.warnings)


def say_outcome(plan: Plan, result: Done | Failed, error: RmbgError | None) -> None:
    """Say each warning and note of the report, and which files there are, or why none."""
    if isinstance(result, Done):
        for said in result.report.remarks:
            fail(plan.source.name, said)
    if error is not None:
        fail(plan.source.name, str(error))
    elif plan.output is not None and isinstance(result, Done):
        height, width = result.mask.shape
        size = f"{width} x {height}"
        with suppress(OSError):  # another program may have taken it away already
            size += f", {plan.output.stat().st_size:,} bytes"
        mask = f", mask {plan.mask}" if plan.mask else ""
        print(f"{plan.source.name} -> {plan.output} ({size}){mask}", file=sys.stderr)


def say_empty(count: int) -> None:
    """Say at the end of a run how many results are empty; they are written all the same."""
    what = "1 picture has" if count == 1 else f"{count} pictures have"
    say(
        f"{what} an empty result. Look there, or try another backend; --allow-empty counts that as "
        "a success."
    )


class Bill:
    """What one run costs, said before and after it where its backend has a price."""

    def __init__(self, spec: BackendSpec, settings: Settings) -> None:
        self._spec = spec
        self._settings = settings
        self._total: Decimal | None = Decimal(0)
        self._delivered = 0
        self._for_nothing = 0

    def say_beforehand(self, count: int) -> None:
        """Say the most that it can come to."""
        if self._spec.price is not None:
            say(str(Estimate(self._spec.id, self._spec.price, count)))

    def add(self, result: Done | Failed, *, delivered: bool) -> None:
        """Count one picture's result. delivered: its files are written."""
        if isinstance(result, Failed):
            self._total = added(self._total, result.failure.cost)
            return
        cost = result.report.facts.cost
        self._total = added(self._total, cost)
        self._delivered += delivered
        self._for_nothing += delivered and cost == 0

    def say_afterwards(self) -> None:
        """Say what it came to, and what is still open, of earlier runs too."""
        price = self._spec.price
        if price is None:
            return
        cost = with_currency(self._total, price.currency)
        free = f", {self._for_nothing} of them for nothing" if self._for_nothing else ""
        say(f"{self._delivered} delivered{free}. Cost: {cost}.")
        try:
            jobs = open_user_records(self._settings).journal.pending()
        except sqlite3.Error as error:
            say(f"What is still open at {self._spec.id} cannot be looked up ({error}).")
            return
        count = sum(job.backend == self._spec.id for job in jobs)
        if count:
            say(
                f"{count} {'job' if count == 1 else 'jobs'} with {self._spec.id} may be billed and "
                f"not delivered; `{command('pending')}` says what to do."
            )
