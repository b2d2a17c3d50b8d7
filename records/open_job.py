"""The rows of the journal, read with care: other programs and later versions write there, too."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeAlias

from ..core.types import Ticket

State: TypeAlias = Literal["sending", "submitted", "delivered", "failed", "abandoned"]

#: What is read of a row, and no more: a later version may have added columns.
COLUMNS = (
    "work, backend, state, request_id, urls, owner, price, currency, width, height, created,"
    " changed, trouble"
)


@dataclass(frozen=True)
class OpenJob:
    """Paid work that is not settled.

    request_id: None while it is being sent, and when the answer was lost. price: None when it is
    not known. width, height: of the picture that was sent; 0 when not known. created, changed: UTC,
    ISO 8601. trouble: why it is still open; may be empty. running: the process that sent it still
    works on it.
    """

    work: str
    backend: str
    state: State
    request_id: str | None
    urls: Mapping[str, str]
    owner: str | None
    price: Decimal | None
    currency: str | None
    width: int
    height: int
    created: str
    changed: str
    trouble: str
    running: bool

    @property
    def resumable(self) -> bool:
        """It has an id, so its result can be fetched."""
        return self.request_id is not None

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
        )


def open_job(row: sqlite3.Row, *, running: bool) -> OpenJob:
    """What the row of COLUMNS says. Raises sqlite3.DatabaseError when somebody has spoilt it."""
    try:
        price = None if row["price"] is None else Decimal(row["price"])
        facts = {**dict(row), "urls": dict(json.loads(row["urls"])), "price": price}
    except (ValueError, TypeError, RecursionError, InvalidOperation) as error:
        raise sqlite3.DatabaseError(f"the row of {row['work']} is damaged") from error
    return OpenJob(**facts, running=running)
