"""Keeps the files of a cache within its size: the least recently used go first.

Several processes share the folder. Each counts what it writes itself, and looks at the disk again
every so often, so that the total is exceeded by no more than the others wrote in between.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: The name of a file that is being written ends so.
UNFINISHED = ".tmp"

_WRITES_BETWEEN_LOOKS = 64
_ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class Stored:
    """One file, as it was when it was looked at."""

    path: str
    size: int
    used: int
    """Its time of last use, in nanoseconds."""


class Eviction:
    """The files below one folder. Not for two threads at once."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._total = 0
        self._oldest: deque[Stored] = deque()
        self._writes_left = 0

    def files(self) -> Iterator[Stored]:
        """Yield every finished file. What others remove meanwhile is left out."""
        return (stored for stored in _below(self._folder) if not stored.path.endswith(UNFINISHED))

    def written(self, path: Path, growth: int) -> None:
        """Make room for a file that was just written and takes so many bytes more."""
        self._total += growth
        self._writes_left -= 1
        if self._writes_left < 0:
            self._look_again()
        while self._total > self._most_bytes:
            if not self._oldest and self._writes_left < _WRITES_BETWEEN_LOOKS:
                self._look_again()
            if not self._oldest:
                return
            self._give_up(self._oldest.popleft(), path)

    def emptied(self) -> None:
        """Count anew: files were removed by other means."""
        self._writes_left = 0

    def _look_again(self) -> None:
        found = sorted(_below(self._folder), key=lambda stored: stored.used)
        unfinished = [stored for stored in found if stored.path.endswith(UNFINISHED)]
        for stored in unfinished:
            if time.time() - stored.used / 1e9 > _ABANDONED_SECONDS:  # its writer was killed
                remove(stored.path)
        self._oldest = deque(stored for stored in found if not stored.path.endswith(UNFINISHED))
        self._total = sum(stored.size for stored in self._oldest)
        self._writes_left = _WRITES_BETWEEN_LOOKS

    def _give_up(self, stored: Stored, keep: Path) -> None:
        """Remove one file, unless it was used, replaced or removed since it was looked at."""
        now = look(stored.path)
        if now == stored and stored.path != str(keep):
            remove(stored.path)
            now = look(stored.path)
        if now is None:
            self._total -= stored.size


def remove(path: str | Path) -> bool:
    """Remove a file; return whether this call did, or another process was quicker."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def look(path: str | Path) -> Stored | None:
    """Return the file as it is now; None when there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return Stored(str(path), facts.st_size, facts.st_mtime_ns)


def _below(folder: str | Path) -> Iterator[Stored]:
    # Not pathlib, nor os.walk: tens of thousands of files are looked at before a first result.
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)
        elif stored := look(entry.path):
            yield stored
