"""One connection to records.sqlite for all threads of a process, and never for a forked child."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .opening import open_file, open_memory
from .owners import Owner
from .schema import transaction


class Database:
    """The tables in one folder, and this process as the owner of what it is doing there.

    Opening never fails: a damaged file is put aside and a new one begun, and where no file can be
    written the tables are kept in memory. Both leave a sentence in `warnings`.
    """

    def __init__(self, folder: Path) -> None:
        self.warnings: list[str] = []
        self._folder = folder
        self._lock = threading.RLock()
        self._begin()
        if sys.platform != "win32":
            here = weakref.ref(self)

            def after_fork() -> None:
                inherited = here()
                if inherited is not None:
                    inherited._disown()

            os.register_at_fork(after_in_child=after_fork)

    @property
    def owner(self) -> Owner:
        """This process."""
        return self._owner

    @property
    def lasting(self) -> bool:
        """It is on a disk; what is kept in memory ends with the process."""
        with self.reading() as connection:
            return bool(connection.execute("PRAGMA database_list").fetchone()["file"])

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone."""
        with self._lock:
            if self._in_new_child:
                self._begin()
            yield self._connection

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """The same in a transaction, which is on the disk when it ends, or undone."""
        with self.reading() as connection, transaction(connection):
            yield connection

    def close(self) -> None:
        """Let go of the file; from now on this owner counts as dead."""
        with self._lock:
            if not self._in_new_child:
                self._connection.close()
                self._owner.release()

    def _begin(self) -> None:
        self._in_new_child = False
        try:
            self._connection, warnings = open_file(self._folder)
            try:
                self._owner = Owner(self._folder / "owners")
            except OSError:
                self._connection.close()
                raise
        except (OSError, sqlite3.Error) as error:
            self._connection = open_memory()
            self._owner = Owner(None)
            warnings = [
                f"The journal of paid work cannot be kept in {self._folder} ({error}): jobs under "
                "way would be forgotten if the program ends now. Set RMBG_DATA to a folder that "
                "can be written."
            ]
        self.warnings += warnings
        self._owner.clean_up()

    def _disown(self) -> None:
        """In a forked child: being the owner is the parent's alone, and SQLite forbids the child
        to use or even close the parent's connection. The child opens its own when it needs one."""
        self._owner.leave()
        self._of_parent = self._connection
        self._lock = threading.RLock()
        self._in_new_child = True
