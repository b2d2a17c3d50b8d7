"""One connection to records.sqlite for all threads of a process, and never for a forked child."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .locks import ProcessLock
from .opening import (
    FILE,
    GONE,
    OpenFile,
    note_gap,
    open_file,
    open_to_read,
)
from .schema import transaction
from .trouble import Pause, remedy


class Database:
    """The tables in one folder, and this process as the owner of what it is doing there.

    A damaged file is put aside and a new one begun. One that cannot be opened is tried again at
    each use: what it lists is not known then, which is not the same as nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._pause = Pause()
        self._file: OpenFile | None = None
        self._closed = False
        self._happened: list[str] = []
        self._trouble = ""
        with suppress(sqlite3.Error):  # each use says so again
            self._opened()
        if sys.platform != "win32":
            here = weakref.ref(self)

            def after_fork() -> None:
                inherited = here()
                if inherited is not None:
                    inherited._disown()

            os.register_at_fork(after_in_child=after_fork)

    @property
    def path(self) -> Path:
        """The file."""
        return self._folder / FILE

    @property
    def warnings(self) -> list[str]:
        """Sentences for the user about the file."""
        return [*self._happened, *filter(None, [self._trouble])]

    @property
    def lasting(self) -> bool:
        """Whether it can be written, as things stand."""
        with self._lock:
            try:
                return self._opened(writable=True).writable
            except sqlite3.Error:
                return False

    def owns(self, name: str) -> bool:
        """Return whether this owner, ours or another, lives: a process that may be at work."""
        with self._lock:
            return self.owner.lives(name)

    @property
    def owner(self) -> ProcessLock:
        """The lock by which other processes see this one."""
        with self._lock:
            return (self._file or self._opened()).owner

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to this thread alone. Raises sqlite3.Error."""
        with self._lock:
            yield self._opened().connection

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Lend it in a transaction, which is on the disk when it ends, or undone.

        Raises sqlite3.Error, also when the file was taken away meanwhile, and what was written
        with it.
        """
        with self._lock:
            file = self._opened(writable=True)
            with transaction(file.connection):
                yield file.connection
            if not file.in_place:
                raise sqlite3.OperationalError("it was replaced or deleted while it was written")

    def close(self) -> None:
        """Close the file; from now on this owner counts as dead."""
        with self._lock:
            self._let_go()
            self._closed = True

    def _opened(self, *, writable: bool = False) -> OpenFile:
        if self._closed:
            raise sqlite3.ProgrammingError("it was closed")
        if self._file and not self._file.in_place:
            self._give_up(self._file)
        if self._file is None or (writable and not self._file.writable):
            self._open(writable=writable)
        assert self._file is not None
        return self._file

    def _open(self, *, writable: bool) -> None:
        try:
            with self._pause.attempt():
                file, happened = open_file(self._folder)
        except sqlite3.Error as error:
            self._trouble = (
                f"The journal of paid work cannot be kept in {self._folder} ({error}): nothing is "
                f"sent to a provider, and no receipt is kept, until it can. {remedy(error)}"
            )
            found = None if writable else open_to_read(self._folder)
            if found is None:
                raise
            file, happened = found, []
        else:
            self._trouble = ""
            file.owner.clean_up()
        self._let_go()
        self._file = file
        self._happened += happened

    def _give_up(self, file: OpenFile) -> None:
        """Its path leads to another file now, or to none: what it lists is not known there."""
        if not file.was_put_aside:
            try:
                note_gap(self._folder, GONE.format(path=self.path))
            except OSError as error:
                raise sqlite3.OperationalError(f"{self.path} is gone ({error.strerror})") from error
        self._let_go()

    def _let_go(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _disown(self) -> None:
        """In a forked child: being the owner is the parent's alone, and SQLite forbids the child
        to use or even close the parent's connection. The child opens its own when it needs one."""
        self._lock = threading.RLock()
        if self._file:
            self._file.owner.leave()
            self._of_parent, self._file = self._file, None
