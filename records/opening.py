"""records.sqlite: opened so that a commit survives the loss of power, mended when it is damaged."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from .locks import exclusive
from .schema import migrate

FILE = "records.sqlite"

_BUSY_SECONDS = 10.0
_OPENING_SECONDS = 30.0
_COMPANIONS = ("", "-wal", "-shm")


def open_file(folder: Path) -> tuple[sqlite3.Connection, list[str]]:
    """The database in this folder, begun anew where it is damaged, and what the user should know.

    Raises OSError or sqlite3.Error when it cannot be read and written here.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / FILE
    # One process at a time: the second must not take the first one's new file for the damaged one.
    with exclusive(folder / "opening.lock", _OPENING_SECONDS):
        try:
            return _open(path), []
        except sqlite3.OperationalError:
            raise  # it cannot be read or written, which says nothing about its content
        except sqlite3.DatabaseError as error:
            aside = _put_aside(path)
            warning = (
                f"The journal of paid work was damaged ({error}) and was put aside as {aside}. "
                "What it listed as open is not known any more, nor are its receipts, and what was "
                "spent counts from 0 again, also towards a budget: look at your provider's jobs."
            )
            return _open(path), [warning]


def open_memory() -> sqlite3.Connection:
    """A database that ends with the process."""
    connection = _connect(":memory:")
    migrate(connection)
    return connection


def _open(path: Path) -> sqlite3.Connection:
    # SQLite gives its other files the permissions of this one. An existing file is not touched:
    # closing a descriptor of it would drop the locks of another connection of this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = _connect(str(path))
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode NORMAL would lose the last commits with the power.
        connection.execute("PRAGMA synchronous = FULL")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict.splitlines()[0])
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        name, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    return connection


def _put_aside(path: Path) -> str:
    aside = f"{path.name}.damaged-{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            os.replace(f"{path}{companion}", path.with_name(f"{aside}{companion}"))
    return aside
