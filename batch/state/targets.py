"""Which picture has which path under DEST."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..recipe.naming import mask_of, numbered, place, variant

_NEW = "INSERT INTO pictures (id, key, wanted, target, mask) VALUES (?, ?, ?, ?, ?)"
_MOVED = """
UPDATE pictures SET wanted = ?, target = ?, mask = ?, target_bytes = NULL,
    mask_bytes = NULL, status = CASE status
        WHEN 'quarantined' THEN status ELSE 'waiting' END
WHERE id = ?
"""
_MASK_ADDED = "UPDATE pictures SET mask = ?, mask_bytes = NULL WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Known:
    """A picture of the sources beside its row in the table; id is None where it has none yet."""

    rank: int
    key: bytes
    source: bytes
    named: bool
    wanted: bytes
    masked: bool
    size: int | None
    modified: int | None
    id: int | None
    wanted_before: bytes | None
    target: bytes
    mask: bytes | None
    status: str
    size_before: int | None
    modified_before: int | None
    recipe: str | None
    target_bytes: int | None
    mask_bytes: int | None

    @property
    def unchanged(self) -> bool:
        """Its file is the one that is known."""
        return (self.size, self.modified) == (self.size_before, self.modified_before)


def blob(text: str) -> bytes:
    """Any text as bytes, half characters of file names included."""
    return text.encode("utf-8", "surrogatepass")


def text(data: bytes) -> str:
    """The text that `blob` was given."""
    return data.decode("utf-8", "surrogatepass")


class Targets:
    """Who has which path under DEST. A picture keeps what it has; a new one takes what is free:
    by real folders, so that two that are linked to each other hold no result twice."""

    def __init__(self, connection: sqlite3.Connection, dest: Path) -> None:
        self._dest = dest
        self._real = os.path.realpath(dest)
        self._real_folder = lru_cache(maxsize=4096)(self._follow)
        self._run = connection.execute
        (self._last,) = self._run("SELECT coalesce(max(id), 0) FROM pictures").fetchone()
        self._folder = lru_cache(maxsize=4096)(self._make_folder)

    def settle(self, one: Known) -> tuple[int, str, str | None]:
        """The number of the picture, its target and its mask."""
        if one.id is not None and one.wanted == one.wanted_before:
            return one.id, text(one.target), self._mask(one, one.id)
        picture = one.id
        if picture is None:
            picture = self._last = self._last + 1
        target = self._take(numbered(text(one.wanted), picture), picture)
        mask = self._take(mask_of(target), picture) if one.masked else None
        paths = (one.wanted, blob(target), None if mask is None else blob(mask))
        if one.id is None:
            self._run(_NEW, (picture, one.key, *paths))
        else:
            self._run(_MOVED, (*paths, picture))
        return picture, target, mask

    def _mask(self, one: Known, picture: int) -> str | None:
        if one.mask is not None or not one.masked:
            return text(one.mask) if one.mask is not None and one.masked else None
        mask = self._take(mask_of(text(one.target)), picture)
        self._run(_MASK_ADDED, (blob(mask), picture))
        return mask

    def _take(self, wanted: str, picture: int) -> str:
        """The wanted path, or the first of name-2, name-3 and so on that is free."""
        folder, _, name = variant(wanted, 1).rpartition("/")
        wanted = f"{self._folder(folder)}/{name}" if folder else name
        first, count, path = blob(self._place(wanted)), 1, wanted
        while not self._claim(path, picture):
            if count == 1:
                (count,) = self._run(
                    "SELECT coalesce(next, 2) FROM places WHERE place = ?", (first,)
                ).fetchone()
            else:
                count += 1
            path = variant(wanted, count)
        if count > 1:
            self._run("UPDATE places SET next = ? WHERE place = ?", (count + 1, first))
        return path

    def _make_folder(self, folder: str) -> str:
        """The folder, made of names that no result has: a.png may be a folder of the sources."""
        path = ""
        for name in folder.split("/"):
            path = f"{path}/{name}" if path else name
            while not self._claim(path, None) and not self._is_folder(path):
                path += "_"
        return path

    def _claim(self, path: str, picture: int | None) -> bool:
        row = (blob(self._place(path)), picture)
        added = self._run("INSERT OR IGNORE INTO places (place, picture) VALUES (?, ?)", row)
        return bool(added.rowcount == 1)

    def _place(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        return place("/".join(filter(None, (self._real_folder(folder), name))))

    def _follow(self, folder: str) -> str:
        """The folder under DEST with all links followed; elsewhere, its whole path."""
        real = Path(os.path.realpath(self._dest / folder))
        inside = real.is_relative_to(self._real)
        name = (real.relative_to(self._real) if inside else real).as_posix()
        return "" if name == "." else name

    def _is_folder(self, path: str) -> bool:
        row = (blob(self._place(path)),)
        taken = self._run("SELECT picture FROM places WHERE place = ?", row).fetchone()
        return bool(taken == (None,))
