"""What a batch on a hosted backend costs: before, and when it has ended. All of it on stderr."""

from __future__ import annotations

import sqlite3
import sys
from decimal import Decimal

from ..config.invocation import command
from ..config.settings import Settings
from ..core.money import plain
from ..core.specs import BackendSpec
from ..pipeline.context import open_user_records
from ..pipeline.estimate import Estimate
from ..pipeline.finishing import Done
from ..pipeline.inputs import Failed


class Bill:
    """What one run cost. Says so for a backend that has a price, and nothing for another."""

    def __init__(self, spec: BackendSpec, settings: Settings) -> None:
        self._spec = spec
        self._settings = settings
        self._total = Decimal(0)
        self._delivered = 0
        self._for_nothing = 0

    def say_beforehand(self, count: int) -> None:
        """The most that it can come to."""
        if self._spec.price is not None:
            _say(str(Estimate(self._spec.id, self._spec.price, count)))

    def add(self, result: Done | Failed, *, delivered: bool) -> None:
        """One picture's result. delivered: its files are written."""
        if isinstance(result, Failed):
            self._total += result.failure.cost
            return
        cost = result.report.facts.cost
        self._total += cost
        self._delivered += delivered
        self._for_nothing += delivered and not cost

    def say_afterwards(self) -> None:
        """What it came to, and what is still open, of earlier runs too."""
        price = self._spec.price
        if price is None:
            return
        free = f", {self._for_nothing} of them for nothing" if self._for_nothing else ""
        _say(f"{self._delivered} delivered{free}. Cost: {plain(self._total)} {price.currency}.")
        try:
            jobs = open_user_records(self._settings).journal.pending()
        except sqlite3.Error as error:
            _say(f"What is still open at {self._spec.id} cannot be looked up ({error}).")
            return
        count = sum(job.backend == self._spec.id for job in jobs)
        if count:
            _say(
                f"{count} {'job' if count == 1 else 'jobs'} with {self._spec.id} may be billed and "
                f"not delivered; `{command('pending')}` says what to do."
            )


def _say(sentence: str) -> None:
    print(f"rmbg: {sentence}", file=sys.stderr)
