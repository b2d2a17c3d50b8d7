"""The pictures that are not tried again by themselves, and the list of them for people."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from ...config.private_files import private, whole
from ...core.errors import BadOption
from ...pictures.results import OWN_FOLDER
from ...pictures.web import address
from .targets import text

FILE = "quarantine.jsonl"

_PAGE = 500
_ROWS = """
SELECT f.rank, f.key, f.source, p.reason, p.error, p.tries, p.ended
FROM found f JOIN pictures p ON p.id = f.picture
WHERE f.verdict = 'quarantined' AND f.rank > ? ORDER BY f.rank LIMIT ?
"""


@dataclass(frozen=True)
class Quarantined:
    """A picture that is not tried again by itself."""

    key: str
    source: str
    """The file, from DEST where both are on one drive; its key where it was fetched."""
    reason: str
    error: str
    """The name of its class."""
    tries: int
    when: str
    """ISO 8601, UTC."""


def listed(
    reading: Callable[[], AbstractContextManager[sqlite3.Connection]], dest: Path
) -> Iterator[Quarantined]:
    """Those of the survey, in its order, read in pages."""
    rank = 0
    while True:
        with reading() as connection:
            page = connection.execute(_ROWS, (rank, _PAGE)).fetchall()
        if not page:
            return
        for _, key, source, reason, error, tries, when in page:
            seen = text(key) if address(text(key)) else _from(dest, text(source))
            yield Quarantined(text(key), seen, text(reason), error, tries, when)
        rank = page[-1][0]


def write_quarantine(dest: Path, pictures: Iterable[Quarantined]) -> None:
    """DEST/.rmbg/quarantine.jsonl, one object a line, as a whole or not at all.

    Raises BadOption when it cannot be written.
    """
    path = dest / OWN_FOLDER / FILE
    try:
        with whole(path) as part, open(part, "w", encoding="utf-8", opener=private) as file:
            file.writelines(f"{json.dumps(asdict(picture))}\n" for picture in pictures)
    except OSError as error:
        raise BadOption(f"{path} cannot be written ({error.strerror}); make room.") from error


def _from(dest: Path, source: str) -> str:
    try:
        return os.path.relpath(source, dest)
    except ValueError:  # on another drive, or a zero byte
        return source
