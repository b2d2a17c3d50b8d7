"""Whether a file can be written in its place, found out before anything is made or paid for it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from ..config.private_files import PARTS, part_in

# Of one name, where the file system does not say.
_LONGEST_NAME = 255
# A disk without room for this much has none.
_BLOCK = bytes(4096)


class Places:
    """Looks at places, each folder once. Any thread may ask.

    trying: files are made in the folders for a moment, because rights, quotas and network disks are
    only known by that; without, nothing is touched.
    """

    def __init__(self, *, trying: bool = True) -> None:
        self._trying = trying
        self._folders: dict[Path, str] = {}

    def trouble(self, path: Path) -> str:
        """Why no file can be written there, with what to do; empty where one can."""
        try:
            above = _existing(path.parent)
            reason = self._folder(above) or _too_long(path, above) or _taken(path)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
            reason = getattr(error, "strerror", None) or str(error)
        return f"{path} cannot be written ({reason}); choose another place." if reason else ""

    def _folder(self, folder: Path) -> str:
        if folder not in self._folders:
            self._folders[folder] = _tried(folder) if self._trying else _asked(folder)
        return self._folders[folder]


def _existing(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    for above in (folder, *folder.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            os.stat(above)
            return above
    return folder


def _tried(folder: Path) -> str:
    part = part_in(folder)
    try:
        try:
            part.write_bytes(_BLOCK)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return ""


def _asked(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is a file, no folder"
    may = os.access(folder, os.W_OK | os.X_OK)
    return "" if may else f"{folder}: no right to write into it"


def _too_long(path: Path, above: Path) -> str:
    names = [os.fsencode(name) for name in path.parts[len(above.parts) :]]
    longest = _limit(above, "PC_NAME_MAX", _LONGEST_NAME)
    if long := next((name for name in names if len(name) > longest), None):
        return f"its name has {len(long)} bytes, and this disk allows {longest}"
    # While it is written, the file has another name.
    written = max(len(os.fsencode(path.name)), len(PARTS) + 15)
    whole = len(os.fsencode(path.parent)) + 1 + written
    most = _limit(above, "PC_PATH_MAX", whole + 1)
    return "" if whole < most else f"its path has {whole} bytes, and this system allows {most - 1}"


def _limit(folder: Path, name: str, usual: int) -> int:
    if not hasattr(os, "pathconf"):
        return usual
    try:
        known = os.pathconf(folder, name)
    except OSError:
        return usual
    return known if known > 0 else usual


def _taken(path: Path) -> str:
    """A link is replaced, whatever it leads to; a folder is not."""
    try:
        kind = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return "a folder has this name" if stat.S_ISDIR(kind) else ""
