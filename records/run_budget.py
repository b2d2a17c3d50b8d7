"""The money of one run: what it may cost, and what it has reserved of the budget."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from decimal import Decimal

from ..core.errors import OverBudget
from ..core.money import BUDGET_VARIABLE, CURRENCY, Budget, plain, times, unlimited_only
from ..core.specs import Price
from .spending import Spending
from .trouble import remedy


class RunBudget:
    """Lent to one run; any thread may call it.

    max_cost: USD that this run may cost; None = no limit, 0 = only what costs nothing.
    """

    def __init__(
        self, spending: Spending, budget: Budget | None = None, max_cost: Decimal | None = None
    ) -> None:
        self._spending = spending
        self._budget = budget or Budget()
        self._max_cost = max_cost
        self._lock = threading.Lock()
        self._cost = Decimal(0)
        self._reserved: dict[str, tuple[Price, int | None]] = {}
        self._closed = False

    def afford(self, price: Price, pictures: int) -> None:
        """Raise OverBudget when a run of this many paid pictures cannot be finished."""
        if not pictures:
            return
        self._check_limited(price)
        total = times(pictures, price) or Decimal(0)
        if self._max_cost is not None and total > self._max_cost:
            raise OverBudget(
                f"This run would cost {plain(total)} {price.currency} ({pictures} x {price}), and "
                f"max_cost allows {plain(self._max_cost)} {CURRENCY}. Nothing was sent. Send fewer "
                "pictures, or raise max_cost."
            )
        if self._budget:
            try:
                self._spending.check(price, pictures, self._budget)
            except sqlite3.Error as error:
                raise _unknown(error) from error

    def reserve(self, work: str, price: Price) -> None:
        """Count this picture before it is sent.

        Raises OverBudget, also when a budget cannot be looked up; without one, sqlite3.Error when
        the picture cannot be counted.
        """
        self._check_limited(price)
        with self._lock:
            after = self._cost + (price.amount or 0)
            if self._max_cost is not None and after > self._max_cost:
                raise OverBudget(
                    f"The next picture would bring this run to {plain(after)} {price.currency}, "
                    f"and max_cost allows {plain(self._max_cost)} {CURRENCY}. It was not sent. "
                    "Send fewer pictures, or raise max_cost."
                )
            self._cost = after
        try:
            number = self._spending.reserve(work, price, self._budget)
        except (sqlite3.Error, OverBudget) as error:
            self._give_back(price)
            if self._budget and isinstance(error, sqlite3.Error):
                raise _unknown(error) from error
            raise
        self._reserved[work] = price, number
        if self._closed:  # the run was stopped while this was written
            self.not_owed(work)

    def sent(self, work: str) -> None:
        """Leave the reservation of this work to the journal, now that it is sent."""
        if work in self._reserved:
            self._reserved[work] = self._reserved[work][0], None

    def not_owed(self, work: str) -> None:
        """Give back what was reserved for this work of this run."""
        price, number = self._reserved.pop(work, (None, None))
        if price is None:
            return
        self._give_back(price)
        if number is not None:
            with suppress(sqlite3.Error):  # it counts until this process ends
                self._spending.free(number)

    def close(self) -> None:
        """End the run: what it has not sent is free."""
        self._closed = True
        for work, (_, number) in list(self._reserved.items()):
            if number is not None:
                with suppress(sqlite3.Error):
                    self._spending.free(number)
            self._reserved.pop(work, None)

    def _give_back(self, price: Price) -> None:
        with self._lock:
            self._cost -= price.amount or 0

    def _check_limited(self, price: Price) -> None:
        """Raise OverBudget where there is a limit that cannot be kept to with this price."""
        limited = bool(self._budget) or self._max_cost is not None
        if limited and (why := unlimited_only(price)):
            raise OverBudget(why)


def _unknown(error: sqlite3.Error) -> OverBudget:
    return OverBudget(
        f"What was spent before cannot be looked up ({error}), so {BUDGET_VARIABLE} cannot be "
        f"kept to and nothing is sent. {remedy(error)}"
    )
