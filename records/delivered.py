"""Which files were written with which receipt, by the sha256 of their bytes.

The id of a receipt stands in its file, so that the receipt cannot hold the file's hash: it is noted
here once the file is written. These rows are outside the chain, and no proof against those who can
write the database; `verify` says nothing of them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from ..core.report import Remark
from .chain import hash_part
from .database import Database
from .trouble import Pause

#: What of a result a file holds.
Part: TypeAlias = Literal["image", "mask"]

_TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'delivered_files'"
_NOTED = "SELECT receipt, part FROM delivered_files WHERE sha256 = ? ORDER BY receipt, part"
# Only of a receipt that is here: a report may come from another machine.
_NOTE = """
INSERT OR IGNORE INTO delivered_files (sha256, receipt, part)
SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM receipts WHERE hash >= ? AND hash < ?)
"""


@dataclass(frozen=True)
class Delivered:
    """One file that was written."""

    receipt: str
    """Its id."""
    part: Part


class DeliveredFiles:
    """The table of written files; any thread may call it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pause = Pause()

    def note(self, receipt: str | None, files: Mapping[Part, bytes]) -> tuple[str, ...]:
        """Keep the hashes of files that were written. They are on the disk on return.

        Returns why that failed, as a warning: it costs no picture. receipt: None notes nothing.
        """
        if receipt is None:
            return ()
        try:
            start = hash_part(receipt)
        except ValueError:  # of a report that is not ours
            return ()
        rows = [
            (hashlib.sha256(data).hexdigest(), receipt, part, start, f"{start}g")
            for part, data in files.items()
        ]
        try:
            with self._pause.attempt(), self._database.changing() as connection:
                connection.executemany(_NOTE, rows)
        except (sqlite3.Error, OSError) as error:
            why = (
                f"the file's hash was not kept with receipt {receipt} ({error}), so `rmbg inspect` "
                "can only compare pixels; look at the disk of the data folder"
            )
            return (Remark(why, "records"),)
        return ()

    def find(self, data: bytes) -> list[Delivered]:
        """Return the files that had exactly these bytes. Raises sqlite3.Error."""
        digest = hashlib.sha256(data).hexdigest()
        with self._database.reading() as connection:
            if connection.execute(_TABLE).fetchone() is None:  # of an earlier version, read-only
                return []
            rows = connection.execute(_NOTED, (digest,)).fetchall()
        return [Delivered(row["receipt"], cast("Part", row["part"])) for row in rows]
