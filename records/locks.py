"""Locks that the operating system takes back when a process ends, however it ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.01

if sys.platform == "win32":
    import msvcrt

    def hold(file: int) -> bool:
        """Lock an open file for its descriptor alone; False when somebody else has it."""
        os.lseek(file, 0, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def probe(file: int) -> bool:
        """Whether nobody holds the file. Windows has no shared lock here, so two who probe at the
        same moment are in each other's way, and both try again."""
        for _ in range(3):
            if hold(file):
                return True
            time.sleep(_PAUSE)
        return False
else:
    import fcntl

    def hold(file: int) -> bool:
        """Lock an open file for its descriptor alone; False when somebody else has it."""
        return _flock(file, fcntl.LOCK_EX)

    def probe(file: int) -> bool:
        """Whether nobody holds the file. Shared, so that two who probe do not see each other."""
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
    """Inside it no other process or thread is inside. Raises TimeoutError after `patience` seconds,
    and OSError where files cannot be locked."""
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
