"""The rows of the journal, read with care: other programs and later versions write there, too.

One id stands for one work: `dispute` tells when a provider has answered with another's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeAlias

from ..core.types import Ticket

State: TypeAlias = Literal["sending", "submitted", "delivered", "failed", "abandoned"]

FOREIGN = "the answer to the submit named another picture's request; it may have been billed"
#: Of a row that is not settled.
OPEN = "state IN ('sending', 'submitted')"
# What is read of a row, and no more: a later version may have added columns.
_COLUMNS = (
    *("work", "backend", "state", "request_id", "urls", "owner", "price", "currency"),
    *("width", "height", "created", "changed", "trouble", "repeat_key", "repeat_until"),
)


@dataclass(frozen=True)
class OpenJob:
    """Paid work that is not settled."""

    work: str
    backend: str
    state: State
    request_id: str | None
    """None while it is being sent, and when the answer was lost."""
    urls: Mapping[str, str]
    owner: str | None
    price: Decimal | None
    """None when it is not known."""
    currency: str | None
    width: int
    """Of the picture that was sent, like height; 0 when not known."""
    height: int
    created: str
    """UTC, ISO 8601, like changed."""
    changed: str
    trouble: str
    """Why it is still open; may be empty."""
    repeat_key: str | None
    """The idempotency key of its submit; None where the host takes none, or it means nothing."""
    repeat_until: str | None
    """Until when the submit may be repeated with it; UTC, ISO 8601."""
    running: bool
    """Whether the process that sent it still works on it."""

    @property
    def resumable(self) -> bool:
        """Whether it has an id, by which its result can be fetched."""
        return self.request_id is not None

    @property
    def repeatable(self) -> bool:
        """Whether its answer was lost, and can still be asked for without paying twice."""
        if self.resumable or not self.repeat_key or not self.repeat_until:
            return False
        try:
            began, ends = map(datetime.fromisoformat, (self.created, self.repeat_until))
            # Before it began: the clock was set, and says nothing of the host's.
            return began <= datetime.now(timezone.utc) < ends
        except (ValueError, TypeError):
            return False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture that was sent."""
        return self.width, self.height

    @property
    def ticket(self) -> Ticket:
        """What the provider knows it by."""
        return Ticket(
            self.backend,
            self.request_id,
            self.urls,
            sent=self.size if all(self.size) else None,
            created=self.created,
            repeat_key=self.repeat_key if self.repeatable and self.repeat_key else "",
        )


def columns(connection: sqlite3.Connection) -> str:
    """Return what to select of a row for `open_job`; NULL for a column that is not in the file of
    an earlier version, which can be read and not be changed."""
    there = {name for _, name, *_ in connection.execute("PRAGMA table_info(jobs)")}
    return ", ".join(name if name in there else f"NULL AS {name}" for name in _COLUMNS)


def open_job(row: sqlite3.Row, *, running: bool) -> OpenJob:
    """Read a row of `columns`. Raises sqlite3.DatabaseError for one that was spoilt."""
    try:
        price = None if row["price"] is None else Decimal(row["price"])
        facts = {**dict(row), "urls": dict(json.loads(row["urls"])), "price": price}
    except (ValueError, TypeError, RecursionError, InvalidOperation) as error:
        raise sqlite3.DatabaseError(f"the row of {row['work']} is damaged") from error
    return OpenJob(**facts, running=running)


def holders(
    connection: sqlite3.Connection, work: str, backend: str, names: Collection[str]
) -> list[sqlite3.Row]:
    """Return the rows of other works that have one of these ids at the provider of this backend."""
    rows = connection.execute(
        "SELECT id, backend, answered FROM jobs WHERE work <> ?"
        f" AND lower(coalesce(request_id, disputed)) IN ({', '.join('?' * len(names))})",
        (work, *(name.lower() for name in names)),
    )
    provider = backend.partition("/")[0]
    return [row for row in rows if row["backend"].partition("/")[0] == provider]


def dispute(connection: sqlite3.Connection, work: str, ticket: Ticket, now: str) -> bool:
    """Return whether the id of this ticket, which came for this work's open row, is another's.

    If so the row is lost. An open row of another work that has the id is lost too when both were
    under way as it came: either may be the one whose job it is.
    """
    if ticket.request_id is None:
        return False
    others = holders(connection, work, ticket.backend, [ticket.request_id])
    if not others:
        return False
    (mine,) = connection.execute(
        f"SELECT id FROM jobs WHERE work = ? AND {OPEN}", (work,)
    ).fetchone()
    beside = [row["id"] for row in others if mine <= (row["answered"] or 0)]
    connection.executemany(
        "UPDATE jobs SET state = 'sending', request_id = NULL, urls = '{}', owner = NULL,"
        f" repeat_key = NULL, disputed = ?, changed = ?, trouble = ? WHERE id = ? AND {OPEN}",
        [(ticket.request_id, now, FOREIGN, number) for number in (mine, *beside)],
    )
    return True
