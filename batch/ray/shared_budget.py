"""What one run may cost when several processes of one machine work on it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from ...core.errors import OverBudget
from ...core.money import CURRENCY, amount_of, counted, limit, plain, unlimited_only
from ...core.specs import Price
from ...core.types import Job, Outcome

_BUSY_SECONDS = 60.0
# work is NULL once it is settled: the same picture, paid for again, counts again.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS costs (
    id INTEGER PRIMARY KEY, work TEXT, owner TEXT NOT NULL, micros INTEGER NOT NULL,
    UNIQUE (work, owner)
)
"""


class SharedBudget(Job):
    """A run that spends from a file, which lives as long as the run. Any thread may call it.

    owner: the same before and after a restart of the process, so that a picture that it had set
    money aside for, and is taken up again, does not count twice.
    """

    def __init__(self, path: Path, max_cost: Decimal, owner: str) -> None:
        self._max_cost = max_cost
        self._owner = owner
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._connection.execute(_SCHEMA)

    def reserve(self, work: str, price: Price) -> None:
        """Set its price aside before it is sent. Raises OverBudget, also when what was spent cannot
        be looked up."""
        if why := unlimited_only(price):
            raise OverBudget(why)
        try:
            self._set_aside(work, price)
        except sqlite3.Error as error:
            raise OverBudget(
                f"What this run has cost cannot be looked up ({error}), so max_cost cannot be kept "
                "to and nothing is sent. Mend the disk of the data folder, and run again."
            ) from error

    def _set_aside(self, work: str, price: Price) -> None:
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            mine = (work, self._owner)
            if self._connection.execute(
                "SELECT 1 FROM costs WHERE work = ? AND owner = ?", mine
            ).fetchone():
                return
            after = self._sum() + counted(price)
            if after > limit(self._max_cost):
                raise OverBudget(
                    f"The next picture would bring this run to {plain(amount_of(after))} "
                    f"{CURRENCY}, and max_cost allows {plain(self._max_cost)} {CURRENCY}. It was "
                    "not sent. Send fewer pictures, or raise max_cost."
                )
            self._connection.execute(
                "INSERT INTO costs (work, owner, micros) VALUES (?, ?, ?)", (*mine, counted(price))
            )

    def spent(self, work: str) -> None:
        """It was, or may have been, paid for."""
        with self._lock:
            self._connection.execute(
                "UPDATE costs SET work = NULL WHERE work = ? AND owner = ?", (work, self._owner)
            )

    def not_owed(self, work: str) -> None:
        """Nothing is to be paid for it."""
        with self._lock:
            self._connection.execute(
                "DELETE FROM costs WHERE work = ? AND owner = ?", (work, self._owner)
            )

    def settled(self, work: str, outcome: Outcome) -> None:
        """See `Job.settled`. What can still be fetched counts as spent: fetching it reserves
        nothing."""
        free = outcome.error is not None and outcome.error.paid == "no"
        with suppress(sqlite3.Error):  # it stays set aside, and the result is delivered
            (self.not_owed if free else self.spent)(work)

    def total(self) -> Decimal:
        """What is spent or set aside by all owners."""
        with self._lock:
            return amount_of(self._sum())

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _sum(self) -> int:
        (micros,) = self._connection.execute(
            "SELECT coalesce(sum(micros), 0) FROM costs"
        ).fetchone()
        return int(micros)
