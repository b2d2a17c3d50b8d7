"""DEST/.rmbg/state.sqlite: opened by one process at a time, or refused in words."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from ...config.private_files import PARTS, make_private, private
from ...core.errors import BadOption
from ...pictures.results import OWN_FOLDER, STATE_FILE
from ...records.locks import hold
from ...records.schema import transaction

FILE = STATE_FILE
# Counts what this version could not read. A later one that only adds tables, or columns with a
# default, leaves the number as it is: every statement names the columns that it knows.
VERSION = 1

# Texts that may hold what is no Unicode (the name of a file, and what is made of it) are bytes.
# wanted: the target as the naming pattern gives it. size, modified, recipe: of the latest attempt.
# places: every path that is taken, as the strictest file system compares them; picture is NULL for
# a folder. next: the number with which the search for a free variant goes on.
_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS pictures (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        wanted BLOB NOT NULL,
        target BLOB NOT NULL,
        mask BLOB,
        status TEXT NOT NULL DEFAULT 'waiting'
            CHECK (status IN ('waiting', 'done', 'failed', 'quarantined')),
        size INTEGER,
        modified INTEGER,
        recipe TEXT,
        target_bytes INTEGER,
        mask_bytes INTEGER,
        seconds REAL,
        cost TEXT,
        receipt TEXT,
        warnings TEXT,
        error TEXT,
        reason BLOB,
        tries INTEGER NOT NULL DEFAULT 0,
        ended TEXT
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS places (place BLOB PRIMARY KEY, picture INTEGER, next INTEGER)
    WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS places_of_picture ON places (picture)",
)


@dataclass
class Held:
    """DEST/.rmbg while this process holds it."""

    file: int
    """The open lock."""
    made: Sequence[Path]
    """Folders that were not there before, the deepest first; empty where DEST/.rmbg was."""

    def release(self, *, vain: bool = False) -> None:
        """Let go of it. vain: what was made for it goes."""
        own, above = (self.made[:1], self.made[1:]) if vain else ((), ())
        for folder in own:
            shutil.rmtree(folder, ignore_errors=True)
        os.ftruncate(self.file, 0)
        os.close(self.file)
        for folder in own if os.name == "nt" else ():  # an open file keeps its place there
            shutil.rmtree(folder, ignore_errors=True)
        for folder in above:
            with suppress(OSError):  # another program has put something into it
                folder.rmdir()


def lock(dest: Path) -> Held:
    """Make DEST/.rmbg and take it for this process, until it is released or the process ends. What
    a killed process was in the middle of writing is taken away.

    Raises BadOption when another run has it, or when it cannot be made.
    """
    folder = dest / OWN_FOLDER
    path = folder / "lock"
    try:
        made = [*takewhile(lambda place: not place.exists(), (folder, *folder.parents))]
        dest.mkdir(parents=True, exist_ok=True)  # for whom the umask says: it holds the results
        make_private(folder)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            # Between the two, another run may have discarded it.
            held = hold(file) and os.path.samestat(os.fstat(file), os.stat(path))
        except OSError:
            os.close(file)
            raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise BadOption(f"{folder} cannot be written ({reason}); choose another place.") from error
    if not held:
        os.close(file)
        raise BadOption(
            f"Another run is at work on {dest}. Wait until it has ended, or choose another folder."
        )
    if os.fstat(file).st_size:  # nobody has released it
        for part in dest.rglob(PARTS):
            with suppress(OSError):
                part.unlink()
    else:
        os.write(file, b"at work\n")
    return Held(file, made)


def open_state(dest: Path, passing: str) -> sqlite3.Connection:
    """The tables, for a process that holds the lock. passing: makes those of this process alone.
    Raises BadOption, which says what to do."""
    path = dest / OWN_FOLDER / FILE
    try:
        # SQLite gives its other files the mode of this one; why it cannot be made, SQLite says.
        with suppress(OSError), open(path, "xb", opener=private):
            pass
        with ExitStack() as undo:
            connection = undo.enter_context(closing(_connect(path)))
            _prepare(connection)
            connection.execute(passing)
            undo.pop_all()
    except sqlite3.Error as error:
        raise unusable(dest, error) from error
    return connection


def empty_state() -> sqlite3.Connection:
    """The tables of a DEST of which nothing is known, in no file of anybody's; gone when closed."""
    connection = sqlite3.connect("", isolation_level=None)
    _prepare(connection)
    return connection


def unusable(dest: Path, error: sqlite3.Error) -> BadOption:
    """In words, what SQLite refused. A full disk and the like are operational errors; the rest is
    damage."""
    path = dest / OWN_FOLDER / FILE
    if isinstance(error, sqlite3.OperationalError):
        return BadOption(f"{path} cannot be used ({error}). Make room, or choose another place.")
    return _discard(f"{path} is damaged ({error})", dest)


def _prepare(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
        what = f"{path} was written by a later version of this package; update it"
        raise _discard(what, Path(path).parent.parent)
    # A commit survives the end of the process; with the power the last ones may be lost in WAL
    # mode, and those pictures are made once more.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -16000")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict.splitlines()[0])
    with transaction(connection):
        if version == 0:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _connect(path: Path) -> sqlite3.Connection:
    """With WAL, or with what a file system without shared memory can do. Only a transaction shows
    which that is."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            return connection
    except sqlite3.OperationalError:
        connection.close()
    except BaseException:
        connection.close()
        raise
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # A file that is in WAL mode already is opened without shared memory by one that has it for
    # itself.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    return connection


def _discard(what: str, dest: Path) -> BadOption:
    return BadOption(
        f"{what}, or delete the folder {dest / OWN_FOLDER}: then nothing counts as done any more, "
        "and every picture is made, and where it costs something perhaps paid for, once more."
    )
