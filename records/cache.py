"""The cache of paid results: what was paid for once is never paid for again while it is here."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..config.private_files import make_private, sync_names, write_private
from ..core.types import Clip, Matte
from .eviction import UNFINISHED, Eviction, look, remove

T = TypeVar("T")


@dataclass(frozen=True)
class CacheInfo:
    """What the cache holds."""

    entries: int
    bytes: int
    most_bytes: int
    """0 = it is off."""
    folder: Path


class ResultCache:
    """Results below one folder, one file each, named by their work.

    most_bytes: what they may take together; 0 keeps and finds nothing. Any number of threads and
    processes may use one folder. No method but `look` raises for what a disk or another program
    does to it.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._room = Eviction(folder, most_bytes)
        self._lock = threading.Lock()

    def get(self, work: str) -> Matte | None:
        """Return the result, bit for bit as it was stored, on the CPU; its facts say that it costs
        nothing now. None when there is none; a damaged file is removed."""
        if not self._most_bytes:
            return None
        from .entry import unpack  # the only part that waits for torch

        return self._read(work, lambda path: unpack(work, path.read_bytes()))

    def put(self, work: str, matte: Matte) -> bool:
        """Keep a result. True: it is on the disk, and survives the loss of power from here on.

        False when the cache is off, smaller than this one result, or cannot be written.
        """
        if not self._most_bytes:
            return False
        from .entry import pack

        data = pack(work, matte)
        if len(data) > self._most_bytes:
            return False
        path = self._path(work)
        earlier = look(path)
        try:
            self._write(path, data)
        except OSError:
            return False
        with self._lock:
            self._room.written(path, len(data) - (earlier.size if earlier else 0))
        return True

    def place(self, work: str) -> Path:
        """Return a new name, in a folder that is there, for the file of a result that is too large
        for memory; `put_clip` takes it from there. What is left behind goes after an hour. Raises
        OSError."""
        path = self._path(work)
        make_private(path.parent)
        return self._unfinished(path)

    def put_clip(self, work: str, clip: Clip) -> bool:
        """Keep a video that lies where `place` said, which moves it; see `put`."""
        if not self._most_bytes or clip.size > self._most_bytes:
            return False
        from .clip_file import seal

        path = self._path(work)
        earlier = look(path)
        try:
            size = seal(work, clip)
            os.replace(clip.path, path)
        except OSError:
            return False
        sync_names(self._folders(path))
        with self._lock:
            self._room.written(path, size - (earlier.size if earlier else 0))
        return True

    def get_clip(self, work: str) -> Clip | None:
        """Return the video of this work, every byte of it checked; see `get`."""
        if not self._most_bytes:
            return None
        from .clip_file import unseal

        return self._read(work, lambda path: unseal(work, path))

    def _read(self, work: str, read: Callable[[Path], T]) -> T | None:
        """Return what `read` makes of the entry; None, and no entry, where that is damaged."""
        from .entry import Damaged

        path = self._path(work)
        try:
            found = read(path)
        except OSError:
            return None
        except Damaged:
            remove(path)
            return None
        with suppress(OSError):
            os.utime(path)  # used now: the last to go
        return found

    def drop(self, work: str) -> None:
        """Remove the result of this work: it is of no use."""
        remove(self._path(work))

    def has(self, work: str) -> bool:
        """Return whether there is a result, which may be damaged."""
        return bool(self._most_bytes) and os.path.exists(self._path(work))

    def look(self, work: str) -> None:
        """Raise OSError where it cannot be found out whether there is a result."""
        if not self._most_bytes:
            return
        try:
            with self._path(work).open("rb") as file:
                file.read(1)
        except (FileNotFoundError, NotADirectoryError):
            return

    @property
    def empty(self) -> bool:
        """Whether nothing can be found in it, judged from a few files."""
        return not self._most_bytes or next(self._room.files(), None) is None

    def info(self) -> CacheInfo:
        """Return how much is in it."""
        files = list(self._room.files())
        total = sum(stored.size for stored in files)
        return CacheInfo(len(files), total, self._most_bytes, self._folder)

    def clear(self) -> int:
        """Remove everything; return the number of results that this call removed."""
        with self._lock:
            removed = sum(remove(stored.path) for stored in self._room.files())
            self._room.emptied()
        return removed

    def _path(self, work: str) -> Path:
        name = hashlib.sha256(work.encode()).hexdigest()
        return self._folder / name[0] / name[1] / name

    def _write(self, path: Path, data: bytes) -> None:
        folders = [path.parent] if path.parent.exists() else self._folders(path)
        write_private(path, data, self._unfinished(path))
        sync_names(folders)

    def _folders(self, path: Path) -> list[Path]:
        return [path.parent, path.parent.parent, self._folder, self._folder.parent]

    def _unfinished(self, path: Path) -> Path:
        return path.with_name(f"{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
