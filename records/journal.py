"""The journal of paid work: what was sent, under which id it can be fetched, what became of it.

    sending -> submitted -> delivered
       |           |
       +-----------+------> failed (nothing is owed) | abandoned (the user gave it up)

A row in `sending` or `submitted` is open, and a work has at most one. `sending` is written before
the first byte of a submit leaves, so a row in that state whose process is gone may have been
billed; or, with the idempotency key of a host that takes one, can be asked for again. No picture,
key to an account or path of a file is ever in it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from ..core.errors import BackendFailed, MayBeBilled
from ..core.repeat import Repeat
from ..core.specs import Price
from ..core.types import Ticket
from .database import Database
from .job_rows import OPEN, State, columns, dispute, holders, open_job
from .job_rows import OpenJob as OpenJob
from .opening import adopt_gap, gap_of
from .unanswered import Unanswered

LOST = "the answer to the submit was lost; it may have been billed"
REPEATABLE = "the answer to the submit was lost; it can be asked for again with its key"
#: Of a job whose cost a receipt has: who fetches it again does not count it a second time.
NOT_TAKEN = "its result came, and reached neither its place nor the cache"

_BUSY = "another run is sending this picture at this moment; run again when it has finished."


class Journal:
    """records.sqlite in one folder. Every method may be called from any thread, and what it says
    is on the disk when it returns. Methods raise sqlite3.Error when the file fails them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: What was sent in submits that can be repeated.
        self.unanswered = Unanswered(database.path.parent)

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """Open the journal in this folder. A damaged file is put aside and a new one begun; one
        that cannot be opened is tried again at each use. Both leave a sentence in `warnings`."""
        return cls(Database(folder))

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    @property
    def warnings(self) -> list[str]:
        """Sentences for the user about the file, and about jobs that it does not list."""
        gap, warnings = gap_of(self.path.parent), self._database.warnings
        return [*filter(None, [gap]), *(said for said in warnings if said not in gap)]

    def adopt(self) -> str:
        """Go on without the unknown jobs of an earlier file; return what became of that file, empty
        when there was none. Raises OSError."""
        return adopt_gap(self.path.parent)

    def close(self) -> None:
        """Close the file. Rows that were still being sent count as lost from now on."""
        self._database.close()

    def known(self, work: str) -> Ticket | None:
        """Return the ticket of open work: without an id when its answer was lost, then with the key
        to ask for it again if there is one; None for none.

        Raises BackendFailed while a living process, this one or another, is sending it, and where
        its row may have been lost.
        """
        with self._database.reading() as connection:
            row = _open_row(connection, work)
            if row is None:
                self._check_complete()
                return None
            if self._is_being_sent(row):
                raise BackendFailed(_BUSY)
            told = row["trouble"] == NOT_TAKEN
            return replace(open_job(row, running=False).ticket, told=told)

    def sending(
        self,
        work: str,
        backend: str,
        price: Price | None,
        size: tuple[int, int],
        *,
        replaces: Ticket | None = None,
        repeat: Repeat | None = None,
    ) -> None:
        """Note that a submit's bytes are about to leave. size: (width, height). repeat: see
        `Job.repeatable`; its picture is on the disk by then.

        replaces: what `known` said before; that row is closed as abandoned, because the user wants
        to pay again. Raises BackendFailed, and nothing may be sent, when the journal holds anything
        else by now, because another run was quicker, and where a row may have been lost.
        """
        seen = None if replaces is None else (replaces.request_id,)
        with self._database.changing() as connection:
            self._check_complete()
            row = _open_row(connection, work)
            there = None if row is None else (row["request_id"],)
            if there != seen or (row is not None and self._is_being_sent(row)):
                raise BackendFailed(_BUSY)
            if row is not None:
                _close(connection, work, "abandoned")
            _insert(connection, work, backend, "sending", self._database.owner.name, price, size)
            if repeat is not None:
                connection.execute(
                    "UPDATE jobs SET repeat_key = ?, repeat_until = ?, urls = ?"
                    f" WHERE work = ? AND {OPEN}",
                    (repeat.key, repeat.until, json.dumps({"account": repeat.account}), work),
                )

    def addressed(self, work: str, url: str) -> None:
        """Note where the submit goes that is about to leave."""
        with self._database.changing() as connection:
            row = _open_row(connection, work)
            if row is not None:
                urls = {**open_job(row, running=False).urls, "submit": url}
                connection.execute(
                    "UPDATE jobs SET urls = ? WHERE work = ? AND state = 'sending'",
                    (json.dumps(urls), work),
                )

    def submitted(
        self,
        work: str,
        ticket: Ticket,
        *,
        price: Price | None = None,
        size: tuple[int, int] = (0, 0),
    ) -> None:
        """Note the provider's answer to the submit. A ticket without an id: it was lost, for good
        unless it has the key to ask for it again.

        The size in the row becomes that of the picture as it was sent. price, size: for work whose
        row was lost with its file since then; it gets another one.

        Raises MayBeBilled when this id stands for other work: one job makes one picture, so this
        work is noted as lost. The other one is too, if both were under way when the id came: it may
        be the one's or the other's.
        """
        lost = ticket.request_id is None
        again = lost and bool(ticket.repeat_key)
        trouble = (REPEATABLE if again else LOST) if lost else ""
        state: State = "sending" if lost else "submitted"
        owner = None if lost else self._database.owner.name
        with self._database.changing() as connection:
            if _open_row(connection, work) is None:
                _insert(connection, work, ticket.backend, state, owner, price, size)
            if ticket.sent is not None:
                connection.execute(
                    f"UPDATE jobs SET width = ?, height = ? WHERE work = ? AND {OPEN}",
                    (*ticket.sent, work),
                )
            foreign = dispute(connection, work, ticket, _now())
            if not foreign:
                connection.execute(
                    "UPDATE jobs SET state = ?, backend = ?, request_id = ?, owner = ?,"
                    " urls = CASE WHEN ? THEN urls ELSE ? END,"
                    " repeat_key = CASE WHEN ? THEN repeat_key END,"
                    " changed = ?, trouble = ?, answered = (SELECT max(id) FROM jobs)"
                    f" WHERE work = ? AND {OPEN}",
                    (
                        state,
                        ticket.backend,
                        ticket.request_id,
                        owner,
                        again,
                        json.dumps(dict(ticket.urls)),
                        again,
                        _now(),
                        trouble,
                        work,
                    ),
                )
        if not again:
            self.unanswered.drop(work)
        if foreign:
            raise MayBeBilled(f"it named request {ticket.request_id}, which is another picture's")

    def is_foreign(self, work: str, backend: str, names: Collection[str]) -> bool:
        """Return whether one of these is the id of other work at the provider of this backend."""
        if not names:
            return False
        with self._database.reading() as connection:
            return bool(holders(connection, work, backend, names))

    def not_sent(self, work: str) -> None:
        """Close work whose submit failed before a byte left, or was refused: nothing is owed."""
        with self._database.changing() as connection:
            _close(connection, work, "failed", "state = 'sending'")
        self.unanswered.drop(work)

    def delivered(self, work: str) -> None:
        """Close work whose result the user or the cache has."""
        with self._database.reading() as connection:
            if _open_row(connection, work) is None:  # said without waiting for those who write
                return
        with self._database.changing() as connection:
            _close(connection, work, "delivered")
        self.unanswered.drop(work)

    def failed(self, work: str) -> None:
        """Close work for which nothing is owed, and that may be sent again."""
        with self._database.changing() as connection:
            _close(connection, work, "failed")
        self.unanswered.drop(work)

    def forget(self, work: str) -> None:
        """Close work that the user gives up: the next run of the picture pays for it again."""
        with self._database.changing() as connection:
            _close(connection, work, "abandoned")
        self.unanswered.drop(work)

    def keep(self, work: str, trouble: str) -> None:
        """Keep work open that no process works on any more. trouble: why, in words for people."""
        with self._database.changing() as connection:
            connection.execute(
                f"UPDATE jobs SET owner = NULL, changed = ?, trouble = ? WHERE work = ? AND {OPEN}",
                (_now(), trouble, work),
            )

    def pending(self) -> list[OpenJob]:
        """Return everything that is open, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {columns(connection)} FROM jobs WHERE {OPEN} ORDER BY created, id"
            ).fetchall()
            return [open_job(row, running=self._is_owned(row)) for row in rows]

    def _is_owned(self, row: sqlite3.Row) -> bool:
        return row["owner"] is not None and self._database.owns(row["owner"])

    def _is_being_sent(self, row: sqlite3.Row) -> bool:
        return row["state"] == "sending" and self._is_owned(row)

    def _check_complete(self) -> None:
        if gap := gap_of(self.path.parent):
            raise BackendFailed(f"{gap} It was not sent.")


def _open_row(connection: sqlite3.Connection, work: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        f"SELECT {columns(connection)} FROM jobs WHERE work = ? AND {OPEN}", (work,)
    ).fetchone()
    return row


def _insert(
    connection: sqlite3.Connection,
    work: str,
    backend: str,
    state: State,
    owner: str | None,
    price: Price | None,
    size: tuple[int, int],
) -> None:
    amount, currency = _price_of(price)
    now = _now()
    connection.execute(
        "INSERT INTO jobs (work, backend, state, owner, price, currency, width, height, created,"
        " changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (work, backend, state, owner, amount, currency, *size, now, now),
    )


def _price_of(price: Price | None) -> tuple[str, str] | tuple[None, None]:
    """Return amount and currency as a row has them; nothing where the amount is not known."""
    if price is None or price.amount is None:
        return None, None
    return str(price.amount), price.currency


def _close(connection: sqlite3.Connection, work: str, state: State, only_where: str = OPEN) -> None:
    connection.execute(
        f"UPDATE jobs SET state = ?, owner = NULL, changed = ? WHERE work = ? AND {only_where}",
        (state, _now(), work),
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
