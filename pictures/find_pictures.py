"""The pictures that folders and patterns hold, one by one, in an order that stays the same.

Memory grows with the pictures of one folder, not with all of them.
"""

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ..core.errors import BadOption
from .unread import is_picture
from .web import Address, located

EVERYTHING = ("**",)  # the pattern of a folder
_RUN = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class Found:
    """One picture file."""

    path: Path
    folder: str
    """Its folder's path under the tree's base, "/" between names; empty for the base."""
    real_folder: str
    """Its folder, with all links followed."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to be walked."""

    path: str
    names: tuple[str, ...]
    """From the base to it."""
    real: str
    jumped: tuple[str, ...]
    """The real folders in which links were followed on the way."""


class Tree:
    """The picture files under a folder that match a pattern, those of kinds that are not read too.

    A link to a folder is followed, but not back into a folder that it lies in; a hidden folder is
    entered where the pattern names it with its dot. plain: as `Path.rglob` does, links are not
    followed, and hidden folders are entered. Hidden files are left out.
    """

    def __init__(
        self, base: Path, pattern: Sequence[str] | None = None, *, plain: bool = False
    ) -> None:
        self.base = base
        self.is_folder = pattern is None
        """Whether it was named as a folder, all of it."""
        self.real = os.path.realpath(base)
        """The base with all links followed."""
        self._pattern = EVERYTHING if pattern is None else tuple(pattern)
        self._plain = plain

    def pictures(self, dest: Path | None = None) -> Iterator[Found]:
        """Yield the pictures of a folder, then those of its folders, each as people count.

        `dest` is not looked into. A folder that cannot be listed is yielded in the place of its
        pictures; raises BadOption where that is the base.
        """
        left = [_Folder(str(self.base), (), self.real, ())]
        while left:
            folder = left.pop()
            try:
                files, folders = _listing(folder.path)
            except OSError as error:
                if not folder.names:
                    raise BadOption(
                        f"{self.base} cannot be looked into ({error.strerror})."
                    ) from error
                yield Found(Path(folder.path), "/".join(folder.names[:-1]), folder.real)
                continue
            for name in files:
                if self._plain or _fits((*folder.names, name), self._pattern):
                    yield Found(Path(folder.path, name), "/".join(folder.names), folder.real)
            entered = (self._enter(folder, name, dest) for name in reversed(folders))
            left += filter(None, entered)

    def covers(self, real_folder: str, name: str) -> bool:
        """Return whether the picture of this name in this folder is found here, too."""
        if real_folder != self.real and not real_folder.startswith(os.path.join(self.real, "")):
            return False
        names = (*Path(real_folder).relative_to(self.real).parts, name)
        return not _hidden(name) and is_picture(Path(name)) and _fits(names, self._pattern)

    def _enter(self, folder: _Folder, name: str, dest: Path | None) -> _Folder | None:
        """Return None for DEST, for what the pattern does not lead to, and for a way back."""
        names = (*folder.names, name)
        path = os.path.join(folder.path, name)
        if self._plain:
            enters = self._pattern == EVERYTHING and not os.path.islink(path)
            return _Folder(path, names, os.path.join(folder.real, name), ()) if enters else None
        if not _fits(names, self._pattern, partly=True) or (dest and _same(path, dest)):
            return None
        real = os.path.realpath(path)
        if real == os.path.join(folder.real, name):
            return _Folder(path, names, real, folder.jumped)
        above = (*folder.jumped, folder.real)
        back = any(at == real or at.startswith(os.path.join(real, "")) for at in above)
        inside = dest is not None and within(Path(real), dest)
        return None if back or inside else _Folder(path, names, real, above)


def resolve(argument: str, fetched: bool | None) -> Address | Tree | Path | None:
    """Return what an argument names: an address, a folder or pattern, or a file; None for nothing.

    fetched: see `web.located`. Raises BadOption for an address that is not fetched, and for what
    cannot be looked into.
    """
    if address := located(argument, fetched):
        return address
    path = Path(argument)
    try:
        if path.is_dir():
            return Tree(path)
        if path.exists():
            return path
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise BadOption(f"{argument} cannot be looked into ({reason}).") from error
    return Tree(*split_pattern(argument)) if is_pattern(argument) else None


def split_pattern(argument: str) -> tuple[Path, tuple[str, ...]]:
    """Return the folder that is there as it stands, and the names from the first wildcard on.

    A folder's own name is none, though it may read like one: in `shots [2]/*.jpg` the folder is
    `shots [2]`.
    """
    parts = Path(argument).parts
    base, used = Path(), 0
    last = max((n for n, part in enumerate(parts) if glob.has_magic(part)), default=0)
    while used < len(parts) and (
        os.path.isdir(base / parts[used]) or (used < last and not glob.has_magic(parts[used]))
    ):
        base, used = base / parts[used], used + 1
    return base, parts[used:]


def is_pattern(argument: str) -> bool:
    """Return whether wildcards stand behind the folder that is there."""
    return any(map(glob.has_magic, split_pattern(argument)[1]))


def natural(name: str) -> tuple[str, str]:
    """Return a key that sorts names as people count: runs of digits as numbers, without case.

    The exact name decides a tie. Two short texts, because a folder may hold a million names.
    """
    return _RUN.sub(_by_value, name).casefold(), name


def within(folder: Path, dest: Path) -> bool:
    """Return whether a folder is `dest` or lies in it, however the two are written."""
    try:
        real = Path(os.path.realpath(folder))
    except (OSError, ValueError):  # ValueError: a zero byte in the path
        return False
    return any(_same(str(above), dest) for above in (real, *real.parents))


def file_key(path: Path) -> str:
    """Return one string for all the names that some file system takes for the same file."""
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()


def identity(path: Path) -> tuple[int, int] | None:
    """Return (device, inode) of a file, links followed; None for no file, or no such numbers."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None


def _by_value(run: re.Match[str]) -> str:
    """Return digits that sort by value; a zero byte comes before all that is no digit."""
    digits = run[0].lstrip("0")
    return f"\0{chr(len(digits))}{digits}"


def _same(path: str, dest: Path) -> bool:
    try:
        return os.path.samefile(path, dest)
    except (OSError, ValueError):  # one of them is not there
        return False


def _listing(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the pictures and of the folders in it, sorted.

    A link to nothing counts as a picture: its reading fails, and is counted.
    """
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # a link that leads to itself
                is_folder, is_file = False, True
            if is_folder:
                folders.append(entry.name)
            elif _hidden(entry.name) or not is_picture(Path(entry.name)):
                continue
            elif is_file or entry.is_symlink():
                files.append(entry.name)
    return sorted(files, key=natural), sorted(folders, key=natural)


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _fits(names: Sequence[str], pattern: Sequence[str], *, partly: bool = False) -> bool:
    """Return whether a path fits a pattern, in which "**" stands for any folders.

    partly: whether something below the path may.
    """
    if not names:
        return bool(pattern) if partly else all(part == "**" for part in pattern)
    if not pattern:
        return False
    part, hidden = pattern[0], _hidden(names[0])
    if part == "**":
        deeper = not hidden and _fits(names[1:], pattern, partly=partly)
        return deeper or _fits(names, pattern[1:], partly=partly)
    fitting = fnmatch(names[0], part) and (_hidden(part) or not hidden)
    return fitting and _fits(names[1:], pattern[1:], partly=partly)
