"""Locks that the operating system takes back when a process ends, however it ends.

A process id does not tell whether a process lives, neither after a restart nor inside a container.
Every journal holds a lock on a file of its own instead: an owner whose lock can be taken is dead.
Not filelock's, see docs/decisions.md.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..config.private_files import make_private

_PAUSE = 0.01
_SUFFIX = ".lock"

if sys.platform == "win32":
    import msvcrt

    def hold(file: int) -> bool:
        """Lock an open file for its descriptor alone; False when another has it."""
        os.lseek(file, 0, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def probe(file: int) -> bool:
        """Return whether the file is free. Windows has no shared lock here, so two that probe at
        the same moment are in each other's way, and both try again."""
        for _ in range(3):
            if hold(file):
                return True
            time.sleep(_PAUSE)
        return False
else:
    import fcntl

    def hold(file: int) -> bool:
        """Lock an open file for its descriptor alone; False when another has it."""
        return _flock(file, fcntl.LOCK_EX)

    def probe(file: int) -> bool:
        """Return whether the file is free. Shared, so that two that probe do not see each other."""
        return _flock(file, fcntl.LOCK_SH)

    def _flock(file: int, kind: int) -> bool:
        # flock, not lockf: its locks are seen between two descriptors of one process too.
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def exclusive(path: Path, patience: float) -> Iterator[None]:
    """Keep every other process and thread out while inside. Raises TimeoutError after `patience`
    seconds, OSError where files cannot be locked."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + patience
        while not hold(file):
            if time.monotonic() > until:
                raise TimeoutError(f"{path.name} stays locked")
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(file)


def occupied(folder: Path) -> bool:
    """Return whether any owner lives."""
    return any(not _abandoned(path) for path in folder.glob(f"*{_SUFFIX}"))


class ProcessLock:
    """A lock file by which other processes see that this one lives."""

    def __init__(self, folder: Path, *, present: bool = True) -> None:
        """present: False only looks at the others, unseen by them. Raises OSError where files
        cannot be made or locked."""
        self._folder = folder
        self._file = -1
        self.name = secrets.token_hex(8)
        if present:
            make_private(folder)
            while not self._take(folder):
                self.name = secrets.token_hex(8)

    def lives(self, name: str) -> bool:
        """Return whether the process of this owner still runs."""
        if name == self.name:
            return True
        return not _abandoned(self._folder / f"{name}{_SUFFIX}")

    def clean_up(self) -> None:
        """Remove the files of dead owners."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path.stem != self.name:
                _abandoned(path, remove=True)

    def release(self) -> None:
        """Count as dead from now on."""
        if self._file >= 0:
            self.leave()
            with suppress(OSError):
                (self._folder / f"{self.name}{_SUFFIX}").unlink()

    def leave(self) -> None:
        """Let go of this process's descriptor. In a forked child: the parent keeps the lock, and
        the child no longer keeps it alive."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take(self, folder: Path) -> bool:
        path = folder / f"{self.name}{_SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            # Another process may have found the file before it was locked, and removed it.
            if hold(file) and path.exists():
                self._file, file = file, -1
                return True
        finally:
            if file >= 0:
                os.close(file)
        return False


def _abandoned(path: Path, *, remove: bool = False) -> bool:
    """Return whether no process holds this file; where that cannot be found out, one may."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        dead = probe(file)
        if dead and remove:
            path.unlink()
    except OSError:  # no locks on this kind of disk; or Windows, where an open file stays
        return False
    finally:
        os.close(file)
    return dead
