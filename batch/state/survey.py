"""What the sources hold, compared with what is known: who keeps which target, and what is left.

In one transaction and in pages, so that memory does not grow with the number of pictures.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import BadOption
from ...pictures.find_pictures import identity
from ...pictures.results import made_here
from ...pictures.unread import UnreadKind, Unreads, why_unread
from ..sources.items import Item
from .targets import Known, Targets, blob, text

_PAGE = 1000
_LARGEST = 2**63 - 1

# The pictures of this survey, for this process alone. repeat: its failure may be tried again.
FOUND = """
CREATE TEMP TABLE found (
    rank INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    source BLOB NOT NULL,
    wanted BLOB NOT NULL,
    masked INTEGER NOT NULL,
    named INTEGER NOT NULL,
    trouble BLOB NOT NULL,
    size INTEGER,
    modified INTEGER,
    device INTEGER,
    inode INTEGER,
    twice INTEGER NOT NULL DEFAULT 0,
    picture INTEGER,
    verdict TEXT,
    passed_over TEXT,
    repeat INTEGER NOT NULL DEFAULT 0
)
"""
_ADD = """
INSERT INTO found (key, source, wanted, masked, named, trouble, size, modified, device, inode)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET twice = 1
WHERE source <> excluded.source OR wanted <> excluded.wanted
"""
_RELEASE = """
DELETE FROM places WHERE picture IN (
    SELECT p.id FROM found f JOIN pictures p ON p.key = f.key WHERE p.wanted <> f.wanted
)
"""
_COMPARE = """
SELECT f.rank, f.key, f.source, f.named, f.wanted, f.masked, f.size, f.modified, p.id, p.wanted,
    p.target, p.mask, p.status, p.size, p.modified, p.recipe, p.target_bytes, p.mask_bytes
FROM found f LEFT JOIN pictures p ON p.key = f.key
WHERE f.rank > ? ORDER BY f.rank LIMIT ?
"""
_BY_FILE = "CREATE INDEX by_file ON found (inode, device)"
_WHOSE = "SELECT source FROM found WHERE inode = ? AND device = ? LIMIT 1"
_JUDGED = "UPDATE found SET picture = ?, verdict = ?, trouble = coalesce(?, trouble) WHERE rank = ?"
_LEFT = "UPDATE found SET verdict = 'passed over', passed_over = ? WHERE rank = ?"


@dataclass(frozen=True)
class Survey:
    """How the pictures of the sources stand.

    reasons: why those that wait do -> how many: "new", "changed" (the file), "recipe" or "naming"
        (another one), "missing" (the result is not there as it was written), "failed" (before),
        "asked" (by force or retry), "blocked" (its result would replace a source: it fails).
    """

    total: int
    done: int
    quarantined: int
    waiting: int
    reasons: Mapping[str, int]
    passed_over: int = 0
    """Results of this package, which are not counted elsewhere."""
    unread: Sequence[UnreadKind] = ()
    """Pictures of kinds that are not read, nor counted elsewhere."""


@dataclass(frozen=True, slots=True)
class Terms:
    """See `State.survey`, and for kept `State`."""

    recipe: str
    retry: bool
    force: bool
    kept: Path | None = None


def take_stock(
    connection: sqlite3.Connection, dest: Path, items: Iterable[Item], terms: Terms
) -> Survey:
    """See `State.survey`; inside a transaction."""
    connection.execute("DROP TABLE IF EXISTS found")
    connection.execute(FOUND)
    connection.executemany(_ADD, map(_row, items))
    _refuse_twice(connection)
    connection.execute(_BY_FILE)
    connection.execute(_RELEASE)
    verdicts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    passed_over = 0
    unread = Unreads()
    targets = Targets(connection, dest)
    for one in _compared(connection):
        if why := "" if one.named else why_unread(Path(text(one.source))):
            unread.add(text(one.key), why)
            continue
        if how := _result(one):
            connection.execute(_LEFT, (how, one.rank))
            passed_over += 1
            continue
        picture, target, mask = targets.settle(one)
        moved = one.wanted_before != one.wanted
        verdict, reason = _verdict(one, moved, dest, target, mask, terms)
        trouble = ""
        if verdict == "waiting":
            trouble = _would_replace(connection, dest, target, mask, terms.kept)
            reasons["blocked" if trouble else reason] += 1
        verdicts[verdict] += 1
        told = blob(trouble) if trouble else None
        connection.execute(_JUDGED, (picture, verdict, told, one.rank))
    return Survey(
        verdicts.total(),
        verdicts["done"],
        verdicts["quarantined"],
        verdicts["waiting"],
        {reason: count for reason, count in reasons.items() if count},
        passed_over,
        unread.kinds(),
    )


def _verdict(
    one: Known, moved: bool, dest: Path, target: str, mask: str | None, terms: Terms
) -> tuple[str, str]:
    """What is to be done with it, and why when it waits."""
    if one.id is None or one.status == "waiting":
        return "waiting", "new"
    if terms.force:
        return "waiting", "asked"
    if one.status == "done":
        if not one.unchanged:
            return "waiting", "changed"
        if one.recipe != terms.recipe:
            return "waiting", "recipe"
        if moved:
            return "waiting", "naming"
        whole = _is_there(dest, target, one.target_bytes)
        if whole and (mask is None or _is_there(dest, mask, one.mask_bytes)):
            return "done", ""
        return "waiting", "missing"
    if one.status == "quarantined" and one.unchanged and one.recipe == terms.recipe:
        return ("waiting", "asked") if terms.retry else ("quarantined", "")
    return "waiting", "failed"


def _result(one: Known) -> str:
    """How a file that nobody named says that it is a result. Of a file that is known no more is
    read: a million of them are looked at in every run."""
    if one.named or (one.id is not None and one.unchanged):
        return ""
    return made_here(Path(text(one.source)))


def _would_replace(
    connection: sqlite3.Connection, dest: Path, target: str, mask: str | None, kept: Path | None
) -> str:
    """Which picture that is read the result's file is, in words; empty where it is none. A link to
    a folder in DEST, or a folder that is mounted twice, may lead back to the sources."""
    for name in filter(None, (target, mask)):
        path = dest / name
        found = identity(path)
        if found is None:
            continue
        device, inode = found
        row = connection.execute(_WHOSE, (inode & _LARGEST, device & _LARGEST)).fetchone()
        source = kept if kept and identity(kept) == found else row and text(row[0])
        if source:
            return f"{path} is {source}, a picture that is read; choose another DEST."
    return ""


def _is_there(dest: Path, target: str, size: int | None) -> bool:
    try:
        found = os.stat(os.path.join(dest, target))
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and bool(found.st_size == size)


def _row(item: Item) -> tuple[bytes | bool | int | None, ...]:
    paths = blob(item.key), blob(str(item.source)), blob(item.target)
    names = *paths, item.mask is not None, item.named, blob(item.trouble)
    try:
        found = os.stat(item.source)
    except (OSError, ValueError):  # its reading will say why
        return *names, None, None, None, None
    modified, device, inode = found.st_mtime_ns, found.st_dev, found.st_ino
    return *names, found.st_size, *(number & _LARGEST for number in (modified, device, inode))


def _refuse_twice(connection: sqlite3.Connection) -> None:
    row = connection.execute("SELECT key FROM found WHERE twice LIMIT 1").fetchone()
    if row is not None:
        raise BadOption(
            f"{text(row[0])!r} is listed more than once, for different files or results. Name it "
            "once, or make a batch of its own of the other."
        )


def _compared(connection: sqlite3.Connection) -> Iterator[Known]:
    rank = 0
    while page := connection.execute(_COMPARE, (rank, _PAGE)).fetchall():
        yield from (Known(*row) for row in page)
        rank = page[-1][0]
