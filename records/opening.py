"""records.sqlite: opened so that a commit survives the loss of power, put aside when it is damaged.

Where it cannot be written it is opened to be read: the jobs that it lists can still be fetched.
A journal that was damaged or taken away may have listed jobs that are not known any more. A file
beside it says so, for every process and after every crash, until the user goes on without them.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..config.invocation import command
from ..config.private_files import make_private, sync_names
from .locks import ProcessLock, exclusive, occupied
from .schema import migrate

FILE = "records.sqlite"
_UNKNOWN = "unknown-jobs.txt"
GONE = "{path} was replaced or deleted while it was in use."

_BUSY_SECONDS = 10.0
_OPENING_SECONDS = 30.0
_COMPANIONS = ("", "-wal", "-shm")
_ASIDE = ".damaged-"


@dataclass(frozen=True)
class OpenFile:
    """A connection to the file, and this process as the owner of what it does there."""

    connection: sqlite3.Connection
    owner: ProcessLock
    writable: bool
    """False: what is found in it is true, and what is not found may be there."""
    path: Path
    place: tuple[tuple[int, int] | None, ...]
    """Which files these are, as `_place` has it."""

    @property
    def in_place(self) -> bool:
        """Whether others who open the path find this very file, and what is written to it."""
        now = _place(self.path)
        return all(was in (None, is_) for was, is_ in zip(self.place, now, strict=True))

    @property
    def was_put_aside(self) -> bool:
        """Whether another process found it damaged, and has said so."""
        asides = self.path.parent.glob(f"{FILE}{_ASIDE}*")
        return self.place[0] in [_identity(path) for path in asides]

    def close(self) -> None:
        """Close the connection; from now on the owner counts as dead."""
        self.connection.close()
        self.owner.release()


def open_file(folder: Path) -> tuple[OpenFile, list[str]]:
    """Return the file in this folder, begun anew where it is damaged, and what users should know.

    Raises sqlite3.OperationalError when it cannot be read and written here.
    """
    try:
        make_private(folder)
        # One process at a time: the second must not take the first one's new file for the damaged
        # one.
        with exclusive(folder / "opening.lock", _OPENING_SECONDS):
            return _opened_or_begun(folder)
    except OSError as error:
        raise sqlite3.OperationalError(_in_words(error)) from error


def open_to_read(folder: Path) -> OpenFile | None:
    """Return the file as it is, where it cannot be written; None where it cannot be read either."""
    path = folder / FILE
    # A read-only folder has no place for the memory that readers share with writers, which is what
    # the second way does without: it may miss the latest rows.
    for way in ("mode=ro", "immutable=1"):
        with suppress(sqlite3.Error), ExitStack() as undo:
            connection = _connect(f"{path.absolute().as_uri()}?{way}", patience=0)
            undo.enter_context(closing(connection))
            connection.execute("SELECT count(*) FROM jobs").fetchone()
            undo.pop_all()
            owner = ProcessLock(folder / "owners", present=False)
            return OpenFile(connection, owner, False, path, (_identity(path), None))
    return None


def note_gap(folder: Path, sentence: str) -> None:
    """Note durably that jobs are unknown from now on, and why. Raises OSError."""
    file = os.open(folder / _UNKNOWN, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{sentence}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
    sync_names([folder])


def gap_of(folder: Path) -> str:
    """Return why jobs are unknown, and how to go on; empty when every job is known."""
    happened = _happened(folder)
    return happened and (
        f"{happened} No picture is sent to a provider while it may have been paid for before: look "
        f"at your provider's jobs, then go on without the lost list with "
        f"`{command('pending --adopt')}`."
    )


def adopt_gap(folder: Path) -> str:
    """Go on without the unknown jobs; return why they are, empty for none. Raises OSError."""
    happened = _happened(folder)
    if happened:
        os.unlink(folder / _UNKNOWN)
        sync_names([folder])
    return happened


def _opened_or_begun(folder: Path) -> tuple[OpenFile, list[str]]:
    path = folder / FILE
    if not path.exists() and occupied(folder / "owners"):
        note_gap(folder, GONE.format(path=path))
    try:
        return _open(path), []
    except sqlite3.OperationalError:
        raise  # it cannot be read or written, which says nothing about its content
    except sqlite3.DatabaseError as error:
        aside = f"{FILE}{_ASIDE}{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
        happened = (
            f"The journal of paid work was damaged ({error}) and was put aside as "
            f"{folder / aside}. What it listed as open is not known any more, nor are its "
            "receipts, and what was spent counts from 0 again, also towards a budget."
        )
        note_gap(folder, happened)
        _put_aside(path, aside)
        return _open(path), [happened]


def _open(path: Path) -> OpenFile:
    # SQLite gives its other files the permissions of this one. An existing file is not touched:
    # closing a descriptor of it would drop the locks of another connection of this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = _connect(str(path.absolute()), patience=_BUSY_SECONDS)
    with ExitStack() as undo:
        undo.enter_context(closing(connection))
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode NORMAL would lose the last commits with the power.
        connection.execute("PRAGMA synchronous = FULL")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict.splitlines()[0])
        migrate(connection)
        owner = ProcessLock(path.parent / "owners")
        undo.pop_all()
    return OpenFile(connection, owner, True, path, _place(path))


def _connect(name: str, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        name, uri=True, timeout=patience, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    # A text that was spoilt is a wrong text, and hides no other row.
    connection.text_factory = lambda data: data.decode(errors="replace")
    return connection


def _put_aside(path: Path, aside: str) -> None:
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            os.replace(f"{path}{companion}", path.with_name(f"{aside}{companion}"))


def _place(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Of the file and of the one beside it that takes the commits, what the disk knows them by."""
    return _identity(path), _identity(Path(f"{path}-wal"))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _in_words(error: OSError) -> str:
    return f"{error.strerror}: {error.filename}" if error.strerror else str(error)


def _happened(folder: Path) -> str:
    try:
        said = (folder / _UNKNOWN).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"{folder / _UNKNOWN} cannot be read ({error.strerror})."
    return " ".join(said.split()) or "Jobs that were listed earlier are not known any more."
