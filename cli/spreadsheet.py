"""Rows as CSV that a spreadsheet shows, and never computes."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

Cell = str | int | float | None

# What spreadsheets take for the beginning of a formula, as OWASP's page on CSV injection lists it.
_FORMULA = frozenset("=+-@\N{MINUS SIGN}")
_CONTROLS = frozenset("\t\r\n")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
# What may stand before it unseen: blanks, control characters, marks without width.
_UNSEEN = ("Z", "C")


def csv_text(heading: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Write one line for each row below the heading, each ended by a line feed.

    A text that a spreadsheet might compute (`=HYPERLINK(...)`) begins with a single quote there,
    which makes it a text. Numbers are left as they are, also those that are written as texts.
    """
    file = io.StringIO()
    # In quotes: a return within a text would else begin a row.
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(heading)
    writer.writerows([_shown(cell) for cell in row] for row in rows)
    return file.getvalue()


def _shown(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and _may_be_computed(cell) else cell


def _may_be_computed(text: str) -> bool:
    if _NUMBER.fullmatch(text.strip(" ")):
        return False
    seen = next((sign for sign in text if unicodedata.category(sign)[0] not in _UNSEEN), "")
    # NFKC: the full-width and small forms of a sign are that sign.
    return text[:1] in _CONTROLS or unicodedata.normalize("NFKC", seen) in _FORMULA
