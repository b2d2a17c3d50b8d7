"""Files that appear whole or not at all, and folders and files for this user alone, whatever the
umask allows; Windows has no such modes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

#: What a file is called until it is whole; one stays behind when the process is killed.
PARTS = ".rmbg-*.part"


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing. What is there already stays as it is.

    Raises OSError.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def private(path: str, flags: int) -> int:
    """Open a file, as the `opener` of `open`; one that is made is private from its beginning."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, data: bytes, part: Path | None = None) -> None:
    """Write a file as a whole or not at all, making its folder where there is none; it outlives a
    power failure. part: see `whole`. Raises OSError.
    """
    make_private(path.parent)
    with whole(path, part) as unfinished, open(unfinished, "xb", opener=private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def whole(path: Path, part: Path | None = None) -> Iterator[Path]:
    """Give a place beside `path` to write to; what stands there at the end gets the name.

    part: that place, one that matches PARTS by default. Neither a full disk nor a kill leaves half
    a file under the name. Raises OSError.
    """
    part = part or part_in(path.parent)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_in(folder: Path) -> Path:
    """Return a name in this folder that nothing has, for a file that is being written."""
    return folder / PARTS.replace("*", secrets.token_hex(8))


def sync_names(folders: Sequence[Path]) -> None:
    """Put what was made, moved or removed in these folders on the disk, where the file system can;
    Windows keeps the names of files by itself."""
    for folder in folders if os.name != "nt" else ():
        with suppress(OSError):
            sync(folder, os.O_RDONLY)


def sync(path: Path, flags: int = os.O_RDWR) -> None:
    """Return when the disk has the file, or the names in the folder. Raises OSError."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
