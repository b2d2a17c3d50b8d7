"""The receipts in records.sqlite: one for each picture, appended, read and verified."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from ..core.report import JsonValue
from .chain import LARGEST, NONE_BEFORE, Receipt, fault_of, hash_part, seal, sha256
from .database import Database
from .delivered import Part

_PAGE = 500
_COLUMNS = "number, hash, body"
_PARTS: tuple[Part, ...] = ("mask", "image")
# Rows with other numbers were not written here: `verify` names them, nothing else counts them.
_WRITTEN = f"number BETWEEN 1 AND {LARGEST}"


@dataclass(frozen=True)
class Verdict:
    """What walking the chain has shown."""

    count: int
    """How many receipts are in order from the first on."""
    head: str
    """The hash of the last of them."""
    fault: str | None
    """The first thing that is wrong, as a sentence; None when all is well."""


class Receipts:
    """A chain of receipts, see chain.py. Every method may be called from any thread, and raises
    sqlite3.Error when the file fails it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def lasting(self) -> bool:
        """Whether one more can be written, as things stand."""
        return self._database.lasting

    @property
    def warnings(self) -> list[str]:
        """Sentences for the user about the file."""
        return self._database.warnings

    def add(self, content: Mapping[str, JsonValue], licence_text: str) -> Receipt:
        """Append a receipt that says this, and the time. It is on the disk on return.

        licence_text: what `content["licence"]["text_sha256"]` is the hash of; kept once. Raises
        ValueError for what no receipt can say, and when no number is left.
        """
        with self._database.changing() as connection:
            last = connection.execute(
                f"SELECT {_COLUMNS} FROM receipts WHERE {_WRITTEN} ORDER BY number DESC LIMIT 1"
            ).fetchone()
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            receipt = seal({**content, "time": now}, _receipt(last) if last else None)
            connection.execute(
                f"INSERT INTO receipts ({_COLUMNS}) VALUES (?, ?, ?)",
                (receipt.number, receipt.hash, receipt.body),
            )
            connection.execute(
                "INSERT OR IGNORE INTO licence_texts (sha256, text) VALUES (?, ?)",
                (sha256(licence_text), licence_text),
            )
        return receipt

    def each(self, *, newest_first: bool = False) -> Iterator[Receipt]:
        """Yield all of them, read a few at a time, so that others can write meanwhile."""
        return self._pages(_WRITTEN, newest_first=newest_first)

    def find(self, name: str) -> list[Receipt]:
        """Return those with this id, or whose hash begins so: more than one is unlikely.

        Raises ValueError for what cannot be an id.
        """
        part = hash_part(name)
        return self._where("hash >= ? AND hash < ?", (part, f"{part}g"))

    def matching(self, digest: str) -> list[Receipt]:
        """Return those of a result, image or mask, with this sha256 of its pixels, oldest first."""
        found = self._where("instr(body, ?)", (digest,))
        return [receipt for receipt in found if digest in results_of(receipt)]

    def licence_text(self, digest: str) -> str | None:
        """Return the text of a licence row by its sha256."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT text FROM licence_texts WHERE sha256 = ?", (digest,)
            ).fetchone()
        return None if row is None else str(row["text"])

    def head(self) -> tuple[int, str]:
        """Return how many there are, and the hash of the last, to compare with later."""
        return _end(next(self.each(newest_first=True), None))

    def verify(self, head: str | None = None) -> Verdict:
        """Walk the whole chain. head: a hash or an id that it once had; it must still be in it.
        Raises ValueError when `head` is neither."""
        wanted = None if head is None else hash_part(head)
        met = wanted is None or NONE_BEFORE.startswith(wanted)
        last: Receipt | None = None
        texts: set[str] = set()
        for receipt in self._pages("number IS NOT NULL"):
            fault = fault_of(receipt, last) or self._licence_fault(receipt, texts)
            if fault:
                return Verdict(*_end(last), fault)
            met = met or receipt.hash.startswith(str(wanted))
            last = receipt
        gone = f"No receipt has the hash {head}: the end was cut off, or the file begun anew."
        return Verdict(*_end(last), None if met else gone)

    def _pages(self, condition: str, *, newest_first: bool = False) -> Iterator[Receipt]:
        order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
        further = ""
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    f"SELECT {_COLUMNS} FROM receipts WHERE {condition}{further}"
                    f" ORDER BY number {order} LIMIT {_PAGE}"
                ).fetchall()
            if not rows:
                return
            yield from map(_receipt, rows)
            further = f" AND number {beyond} {rows[-1]['number']}"

    def _where(self, condition: str, values: tuple[str, ...]) -> list[Receipt]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM receipts WHERE {_WRITTEN} AND {condition} ORDER BY number",
                values,
            ).fetchall()
        return [_receipt(row) for row in rows]

    def _licence_fault(self, receipt: Receipt, known: set[str]) -> str | None:
        licence = receipt.data().get("licence")
        digest = str(licence.get("text_sha256")) if isinstance(licence, dict) else ""
        if digest not in known:
            text = self.licence_text(digest)
            if text is None or sha256(text) != digest:
                return f"The licence text of receipt {receipt.number} was changed or removed."
            known.add(digest)
        return None


def _receipt(row: sqlite3.Row) -> Receipt:
    """A row of three, whatever was put into it: a text that is none has another hash."""
    number, *texts = row
    return Receipt(number, *(text if isinstance(text, str) else repr(text) for text in texts))


def _end(last: Receipt | None) -> tuple[int, str]:
    return (last.number, last.hash) if last else (0, NONE_BEFORE)


def results_of(receipt: Receipt) -> dict[str, Part]:
    """Return what went out by the sha256 of its pixels; an image that equals its mask as image."""
    try:
        said = receipt.data()
    except ValueError:  # it was changed; `verify` tells
        return {}
    results: dict[str, Part] = {}
    for part in _PARTS:
        picture = said.get(part)
        forms = picture if isinstance(picture, dict) else {}
        digests = [forms.get(form) for form in ("sha256", "sha256_16")]
        results |= {digest: part for digest in digests if isinstance(digest, str)}
    return results
