"""sha256 of weight files: read once, and remembered for as long as the file is the same.

The licence gate trusts these, so a file counts as the same only by what cannot be set back: the
time of its last change, as the file system keeps it, and its inode.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ...config.private_files import write_private
from ...core.errors import WeightsUnusable

_CHUNK = 1 << 22
_FILE = "weights-sha256.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Two changes within a tick of the file system's clock have the same time (Linux: 1 to 10 ms).
_TICK = 20_000_000
#: FAT and exFAT count changes in hundredths or more, and set them back with the other times.
_COARSE = 10_000_000


class Stamp(NamedTuple):
    """What a file system says of one file; times in nanoseconds."""

    size: int
    modified: int
    changed: int
    inode: int

    @property
    def tells(self) -> bool:
        """Tell whether no other content can have this stamp. Windows gives the time of creation."""
        return os.name != "nt" and self.inode != 0 and self.changed % _COARSE != 0


# Where stamps do not tell: real path -> stamp and sha256, for as long as this process lives.
_here: dict[str, tuple[Stamp, str]] = {}


def sha256_of(path: Path, data_folder: Path, *, anew: bool = False) -> str:
    """Return the file's sha256, from memory while it is the same file.

    anew: read the file whatever is remembered. Raises WeightsUnusable when it cannot be read.
    """
    with _opened(path) as file:
        return _sha256(file, path, data_folder, anew=anew)


def digest(path: Path) -> str:
    """Return the file's sha256, read now. Raises WeightsUnusable when it cannot be read."""
    with _opened(path) as file:
        return _read(file, path)


def remembered(path: Path, data_folder: Path) -> str | None:
    """Return the sha256 of an earlier reading; None without one, or when the file has changed."""
    try:
        now = stamp_of(path.stat())
    except OSError:
        return None
    return _remembered(path, now, data_folder)


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the part of a file's status that tells contents apart."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class HeldFile:
    """A weight file that stays open while its tensors, which may be mapped from it, are in use.

    path: the file itself, not a link to it; what is read from it is what has this sha256, once
    `check` has passed. Raises WeightsUnusable when the file has another sha256 by now.
    """

    def __init__(self, path: Path, sha256: str, data_folder: Path) -> None:
        self.path = Path(os.path.realpath(path))
        self._sha256 = sha256
        with _opened(self.path) as file:
            descriptor = os.dup(file.fileno())
        self._file = os.fdopen(descriptor, "rb", closefd=False)
        #: Let go of the file. Calling it twice is harmless; who forgets it leaks nothing.
        self.close = weakref.finalize(self, os.close, descriptor)
        if _sha256(self._file, self.path, data_folder, anew=False) != sha256:
            raise self._changed()
        self._stamp = self._now()

    def check_name(self) -> None:
        """Raise WeightsUnusable when the path has named another file since this one was opened."""
        try:
            named = stamp_of(self.path.stat())
        except OSError:
            named = None
        if named != self._stamp:
            raise self._changed()

    def check(self) -> None:
        """Raise WeightsUnusable when something was written into the file.

        Cheap. A file that only got another name, or none, is read again and passes.
        """
        now = self._now()
        if now == self._stamp:
            return
        self._file.seek(0)
        if _read(self._file, self.path) != self._sha256:
            raise self._changed()
        self._stamp = now

    def _now(self) -> Stamp:
        return stamp_of(os.fstat(self._file.fileno()))

    def _changed(self) -> WeightsUnusable:
        return WeightsUnusable(
            f"{self.path} has changed since it was opened, and its licence may have too. "
            "Load it again."
        )


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error


def _sha256(file: BinaryIO, path: Path, data_folder: Path, *, anew: bool) -> str:
    stamp = stamp_of(os.fstat(file.fileno()))
    known = None if anew else _remembered(path, stamp, data_folder)
    if known is not None:
        return known
    _wait_for_tick(stamp)
    sha256 = _read(file, path)
    if stamp_of(os.fstat(file.fileno())) == stamp:
        _remember(path, stamp, sha256, data_folder)
    return sha256


def _wait_for_tick(stamp: Stamp) -> None:
    """Begin to read only when any later change has a later time: what was written a moment ago
    could be replaced within the same tick."""
    age = time.time_ns() - stamp.changed
    if age < _TICK:
        time.sleep(min(_TICK, _TICK - age) / 1e9)


def _read(file: BinaryIO, path: Path) -> str:
    sha256 = hashlib.sha256()
    try:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
    except OSError as error:
        raise _unreadable(path, error) from error
    return sha256.hexdigest()


def _unreadable(path: Path, error: OSError) -> WeightsUnusable:
    return WeightsUnusable(
        f"{path} cannot be read ({error.strerror}). Check its permissions and the disk."
    )


def _remembered(path: Path, stamp: Stamp, data_folder: Path) -> str | None:
    name = os.path.realpath(path)
    memory = _load(data_folder) if stamp.tells else _here
    known, sha256 = memory.get(name, (None, None))
    return sha256 if known == stamp else None


def _remember(path: Path, stamp: Stamp, sha256: str, data_folder: Path) -> None:
    """Keep a sha256 until the file changes.

    Whole or not at all. A folder that cannot be written to costs only the next reading.
    """
    name = os.path.realpath(path)
    if not stamp.tells:
        _here[name] = stamp, sha256
        return
    memory = {**_load(data_folder), name: (stamp, sha256)}
    content = {path: [*known, sha256] for path, (known, sha256) in memory.items()}
    with suppress(OSError):
        write_private(data_folder / _FILE, json.dumps(content, indent=1).encode())


def _load(data_folder: Path) -> dict[str, tuple[Stamp, str]]:
    """Return what is remembered on the disk. Entries that are not ours as of today are left out,
    and their files read again: earlier versions knew only size and time."""
    try:
        content = json.loads((data_folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {path: known for path, row in content.items() if (known := _entry(row)) is not None}


def _entry(row: object) -> tuple[Stamp, str] | None:
    if not isinstance(row, list) or len(row) != len(Stamp._fields) + 1:
        return None
    *numbers, sha256 = row
    if not all(type(number) is int for number in numbers):
        return None
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        return None
    return Stamp(*numbers), sha256
