"""Locks that the operating system takes back when a process ends, however it ends.

Not filelock's, see docs/decisions.md.
"""

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
