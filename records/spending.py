"""What hosted pictures have cost by UTC day, and the reservations of those that are under way.

    reserve -> [no job: nothing was sent]      freed by its run, or when its process has ended
            -> [job open in the journal]       counted, because it may be billed
            -> [job delivered or abandoned]    moved to the day's total
            -> [job failed]                    freed: nothing is owed

From the moment that a picture is sent its reservation follows the journal's row by triggers in the
database (schema.py). So whoever settles the row settles the money in the same transaction: another
run, `rmbg resume`, or an earlier version of this package.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal

from ..core.errors import OverBudget
from ..core.money import (
    BUDGET_VARIABLE,
    CURRENCY,
    Budget,
    amount_of,
    counted,
    limit,
    plain,
    times,
    with_currency,
)
from ..core.specs import UNKNOWN, Price
from .database import Database


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class Spent:
    """USD of this UTC day and month."""

    day: Decimal
    month: Decimal
    day_under_way: Decimal
    """Reserved, or may be billed."""
    month_under_way: Decimal
    day_unpriced: int = 0
    """Pictures of this day whose price nobody has stated, sent or paid; they are in no sum."""
    month_unpriced: int = 0


class Spending:
    """The tables of money in records.sqlite. Every method may be called from any thread, and what
    it says is on the disk when it returns. Methods raise sqlite3.Error when the file fails them."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = _now) -> None:
        self._database = database
        self._clock = clock

    def reserve(self, work: str, price: Price, budget: Budget) -> int:
        """Count this picture from now on, on this day; return the number of the reservation.

        One transaction that no other process interrupts: what is spent, what is reserved and this
        price together are within the budget, or OverBudget is raised and nothing is counted.
        """
        day = self._today()
        with self._database.changing() as connection:
            refusal = self._refusal(connection, day, counted(price), budget)
            if refusal:
                raise OverBudget(
                    f"{refusal}, and the next picture costs {price}. It was not sent. Raise the "
                    "budget, or wait: days and months end at midnight UTC."
                )
            cursor = connection.execute(
                "INSERT INTO reservations (work, backend, owner, day, currency, micros)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    work,
                    work.partition(":")[0],
                    self._database.owner.name,
                    day,
                    UNKNOWN if price.amount is None else price.currency,
                    counted(price),
                ),
            )
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def check(self, price: Price, pictures: int, budget: Budget) -> None:
        """Raise OverBudget when this many pictures cannot all be paid for as things stand."""
        with self._database.changing() as connection:
            total = pictures * counted(price)
            refusal = self._refusal(connection, self._today(), total, budget) if pictures else ""
        if refusal:
            raise OverBudget(
                f"{refusal}, and this run would cost "
                f"{with_currency(times(pictures, price), price.currency)} ({pictures} x {price}). "
                "Nothing was sent. Send fewer pictures, or raise the budget."
            )

    def free(self, reservation: int) -> None:
        """Give back what was not sent for. What was sent for follows its job instead."""
        with self._database.changing() as connection:
            connection.execute(
                "DELETE FROM reservations WHERE id = ? AND job IS NULL", (reservation,)
            )

    def spent(self) -> Spent:
        """Return what this day and this month have cost so far."""
        day = self._today()
        with self._database.changing() as connection:
            self._free_the_dead(connection)
            periods = ((day, day), _month(day))
            sums = [
                amount_of(_sum(connection, table, *period))
                for table in ("spending", "reservations")
                for period in periods
            ]
            of_day, of_month = (_unpriced(connection, *period) for period in periods)
        return Spent(sums[0], sums[1], sums[2], sums[3], of_day, of_month)

    @property
    def warnings(self) -> list[str]:
        """Sentences for the user about the file."""
        return self._database.warnings

    def _today(self) -> str:
        return self._clock().astimezone(timezone.utc).date().isoformat()

    def _refusal(self, connection: sqlite3.Connection, day: str, more: int, budget: Budget) -> str:
        """Why this much more cannot be spent; empty when it can."""
        first = _over(connection, day, more, budget)
        if not first:
            return ""
        self._free_the_dead(connection)
        return _over(connection, day, more, budget)

    def _free_the_dead(self, connection: sqlite3.Connection) -> None:
        """Reservations whose process ended before it sent anything."""
        owners = connection.execute(
            "SELECT DISTINCT owner FROM reservations WHERE job IS NULL"
        ).fetchall()
        for (owner,) in owners:
            if not self._database.owns(owner):
                connection.execute(
                    "DELETE FROM reservations WHERE job IS NULL AND owner = ?", (owner,)
                )


def _over(connection: sqlite3.Connection, day: str, more: int, budget: Budget) -> str:
    for name, cap, period in (
        ("day", budget.day, (day, day)),
        ("month", budget.month, _month(day)),
    ):
        if cap is None:
            continue
        so_far = sum(_sum(connection, table, *period) for table in ("spending", "reservations"))
        if so_far + more > limit(cap):
            return (
                f"The budget is {plain(cap)} {CURRENCY} a {name} ({BUDGET_VARIABLE}), of which "
                f"{plain(amount_of(so_far))} {CURRENCY} are spent or under way"
            )
    return ""


def _sum(connection: sqlite3.Connection, table: str, first: str, last: str) -> int:
    total, least = connection.execute(
        f"SELECT coalesce(sum(micros), 0), coalesce(min(micros), 0) FROM {table}"
        " WHERE day BETWEEN ? AND ? AND currency = ?",
        (first, last, CURRENCY),
    ).fetchone()
    if not isinstance(total, int) or least < 0:
        raise sqlite3.DatabaseError(f"the table {table} holds what was never spent")
    return total


def _unpriced(connection: sqlite3.Connection, first: str, last: str) -> int:
    """Count the pictures whose price nobody has stated."""
    (count,) = connection.execute(
        "SELECT (SELECT coalesce(sum(pictures), 0) FROM spending"
        " WHERE day BETWEEN ?1 AND ?2 AND currency = ?3)"
        " + (SELECT count(*) FROM reservations"
        " WHERE day BETWEEN ?1 AND ?2 AND currency = ?3)",
        (first, last, UNKNOWN),
    ).fetchone()
    return int(count)


def _month(day: str) -> tuple[str, str]:
    """From the first to a last that no month passes."""
    return f"{day[:8]}01", f"{day[:8]}31"
