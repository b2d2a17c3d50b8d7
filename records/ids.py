"""One id, one work: whose the ids are that providers answer with."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from ..core.types import Ticket

FOREIGN = "the answer to the submit named another picture's request; it may have been billed"


def holders(
    connection: sqlite3.Connection, work: str, backend: str, names: Collection[str]
) -> list[sqlite3.Row]:
    """The rows of other works, open or closed, that have one of these ids at the provider of this
    backend."""
    rows = connection.execute(
        "SELECT id, backend, answered FROM jobs WHERE work <> ?"
        f" AND lower(coalesce(request_id, disputed)) IN ({', '.join('?' * len(names))})",
        (work, *(name.lower() for name in names)),
    )
    provider = backend.partition("/")[0]
    return [row for row in rows if row["backend"].partition("/")[0] == provider]


def dispute(connection: sqlite3.Connection, work: str, ticket: Ticket, now: str) -> bool:
    """Whether the id of this ticket, which came for the open row of this work, is another's.

    If so the row is lost. An open row of another work that has the id is lost too when both were
    under way as it came: either may be the one whose job it is.
    """
    if ticket.request_id is None:
        return False
    others = holders(connection, work, ticket.backend, [ticket.request_id])
    if not others:
        return False
    is_open = "state IN ('sending', 'submitted')"
    (mine,) = connection.execute(
        f"SELECT id FROM jobs WHERE work = ? AND {is_open}", (work,)
    ).fetchone()
    beside = [row["id"] for row in others if mine <= (row["answered"] or 0)]
    connection.executemany(
        "UPDATE jobs SET state = 'sending', request_id = NULL, urls = '{}', owner = NULL,"
        f" disputed = ?, changed = ?, trouble = ? WHERE id = ? AND {is_open}",
        [(ticket.request_id, now, FOREIGN, number) for number in (mine, *beside)],
    )
    return True
