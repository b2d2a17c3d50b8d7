"""Pictures that wait, as a sequence that is read from the table in pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import overload

from ..sources.items import Item
from .targets import text

_PAGE = 256
# What was finished meanwhile is left alone.
_BEGUN = """
UPDATE pictures SET status = 'waiting' WHERE status <> 'waiting' AND id IN (
    SELECT f.picture FROM {table} q JOIN found f ON f.rank = q.rank
    WHERE q.turn BETWEEN ? AND ? AND f.verdict = 'waiting'
)
"""
_ITEMS = """
SELECT f.key, f.source, p.target, CASE WHEN f.masked THEN p.mask END, f.trouble
FROM {table} q JOIN found f ON f.rank = q.rank JOIN pictures p ON p.id = f.picture
WHERE q.turn BETWEEN ? AND ? ORDER BY q.turn
"""


class Queue(Sequence[Item]):
    """changing: lends the connection in a transaction. table: turn (from 1) -> rank."""

    def __init__(
        self,
        changing: Callable[[], AbstractContextManager[sqlite3.Connection]],
        table: str,
        count: int,
        turns: range | None = None,
    ) -> None:
        self._changing = changing
        self._table = table
        self._count = count
        self._turns = range(count) if turns is None else turns
        self._latest: tuple[int, tuple[Item, ...]] = (-1, ())

    def __len__(self) -> int:
        return len(self._turns)

    def __iter__(self) -> Iterator[Item]:
        return (self._item(turn) for turn in self._turns)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Queue: ...
    def __getitem__(self, index: int | slice) -> Item | Queue:
        if isinstance(index, slice):
            return Queue(self._changing, self._table, self._count, self._turns[index])
        return self._item(self._turns[index])

    def _item(self, turn: int) -> Item:
        number, place = divmod(turn, _PAGE)
        page, items = self._latest  # one assignment: another thread may be reading, too
        if page != number:
            items = self._page(number * _PAGE + 1)
            self._latest = number, items
        return items[place]

    def _page(self, first: int) -> tuple[Item, ...]:
        turns = (first, first + _PAGE - 1)
        with self._changing() as connection:
            connection.execute(_BEGUN.format(table=self._table), turns)
            rows = connection.execute(_ITEMS.format(table=self._table), turns).fetchall()
        return tuple(
            Item(
                text(key),
                Path(text(source)),
                text(target),
                None if mask is None else text(mask),
                trouble=text(trouble),
            )
            for key, source, target, mask, trouble in rows
        )
