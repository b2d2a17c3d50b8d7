"""A folder, with the folders in it, walked in an order that stays the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ...core.errors import BadOption
from ...pictures.patterns import split_pattern
from ...pictures.sources import natural
from ...pictures.unread import is_picture

_EVERYTHING = ("**",)


@dataclass(frozen=True, slots=True)
class Found:
    """One picture file. folder: the path of its folder under the tree's base, "/" between them,
    empty for the base. real_folder: the same with all links followed."""

    path: Path
    folder: str
    real_folder: str


@dataclass(frozen=True, slots=True)
class _Folder:
    """To be walked. names: from the base to it. jumped: the real folders in which links were
    followed on the way."""

    path: str
    names: tuple[str, ...]
    real: str
    jumped: tuple[str, ...]


class Tree:
    """What lies under a folder and matches a pattern; by default every picture, those of kinds that
    are not read included.

    base: the folder. real: the same with all links followed.
    """

    def __init__(self, base: Path, pattern: Sequence[str] = _EVERYTHING) -> None:
        self.base = base
        self.real = os.path.realpath(base)
        self._pattern = tuple(pattern)

    @classmethod
    def of_pattern(cls, pattern: str) -> Tree:
        """The base is the folder that is there as it stands; the rest may hold wildcards."""
        return cls(*split_pattern(pattern))

    def pictures(self, dest: Path) -> Iterator[Found]:
        """The picture files of a folder before those of its folders. `dest` is not looked into.

        A folder that cannot be listed is handed out in the place of its pictures; raises BadOption
        where that is the base.
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
                if _fits((*folder.names, name), self._pattern):
                    path = Path(folder.path, name)
                    yield Found(path, "/".join(folder.names), folder.real)
            entered = (self._enter(folder, name, dest) for name in reversed(folders))
            left += filter(None, entered)

    def covers(self, real_folder: str, name: str) -> bool:
        """Whether the picture comes from here, too."""
        if real_folder != self.real and not real_folder.startswith(os.path.join(self.real, "")):
            return False
        names = (*Path(real_folder).relative_to(self.real).parts, name)
        hidden = any(part.startswith(".") for part in names)
        return not hidden and is_picture(Path(name)) and _fits(names, self._pattern)

    def _enter(self, folder: _Folder, name: str, dest: Path) -> _Folder | None:
        """None for DEST, for what the pattern does not lead to, and for a way back."""
        names = (*folder.names, name)
        path = os.path.join(folder.path, name)
        if not _leads_on(names, self._pattern) or _same(path, dest):
            return None
        real = os.path.realpath(path)
        if real == os.path.join(folder.real, name):
            return _Folder(path, names, real, folder.jumped)
        above = (*folder.jumped, folder.real)
        back = any(at == real or at.startswith(os.path.join(real, "")) for at in above)
        return None if back or within(Path(real), dest) else _Folder(path, names, real, above)


def within(folder: Path, dest: Path) -> bool:
    """Whether a folder is `dest` or lies in it, however the two are written."""
    try:
        real = Path(os.path.realpath(folder))
    except (OSError, ValueError):  # ValueError: a zero byte in the path
        return False
    return any(_same(str(above), dest) for above in (real, *real.parents))


def _same(path: str, dest: Path) -> bool:
    try:
        return os.path.samefile(path, dest)
    except (OSError, ValueError):  # one of them is not there
        return False


def _listing(folder: str) -> tuple[list[str], list[str]]:
    """The names of the pictures and of the folders in it. A link to nothing counts as a picture:
    its reading fails, and somebody hears of it."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError:  # a link that leads to itself
                is_folder, is_file = False, True
            if is_folder:
                folders.append(entry.name)
            elif (is_file or entry.is_symlink()) and is_picture(Path(entry.name)):
                files.append(entry.name)
    return sorted(files, key=natural), sorted(folders, key=natural)


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        return _fits(names, pattern[1:]) or (bool(names) and _fits(names[1:], pattern))
    return bool(names) and fnmatch(names[0], pattern[0]) and _fits(names[1:], pattern[1:])


def _leads_on(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether something in the folder with these names may fit."""
    if not names:
        return bool(pattern)
    if not pattern or pattern[0] == "**":
        return bool(pattern)
    return fnmatch(names[0], pattern[0]) and _leads_on(names[1:], pattern[1:])
