"""Folders and files for this user alone, whatever the umask allows; Windows has no such modes."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


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


def write_private(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all, making its folder where there is none; it outlives a
    power failure. Raises OSError.
    """
    make_private(path.parent)
    part = path.parent / f".rmbg-{secrets.token_hex(8)}.part"
    try:
        with open(part, "xb", opener=private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
