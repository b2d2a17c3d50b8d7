"""Pictures that are found and not read: which they are, why, and how that is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..core.report import JsonValue
from .formats import is_readable, read_only, unread
from .plugins import lacking

_MOST_KEPT = 100
_MOST_SAID = 5


@dataclass(frozen=True)
class UnreadKind:
    """Pictures that were found and are not read, for one reason."""

    why: str
    """What they are, and what to do."""
    count: int
    names: tuple[str, ...]
    """Of the first hundred."""

    def text(self) -> str:
        """Return the first names, how many more, and why."""
        shown = ", ".join(self.names[:_MOST_SAID])
        more = f" and {self.count - _MOST_SAID} more" if self.count > _MOST_SAID else ""
        return f"{shown}{more} ({self.why})"

    def data(self) -> dict[str, JsonValue]:
        """Return the same for programs."""
        return {"why": self.why, "count": self.count, "first": [*self.names]}


class Unreads:
    """Pictures that are not read, gathered one by one; memory does not grow with their number."""

    def __init__(self, pictures: Iterable[tuple[str, str]] = ()) -> None:
        """pictures: names and reasons."""
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}
        for name, why in pictures:
            self.add(name, why)

    def add(self, name: str, why: str) -> None:
        """Add one picture. why: see `why_unread`."""
        self._counts[why] = self._counts.get(why, 0) + 1
        names = self._names.setdefault(why, [])
        if len(names) < _MOST_KEPT:
            names.append(name)

    def kinds(self) -> tuple[UnreadKind, ...]:
        """Return them in the order in which each was found first."""
        return tuple(
            UnreadKind(why, count, tuple(self._names[why])) for why, count in self._counts.items()
        )


def is_picture(path: PurePath) -> bool:
    """Return whether a file's name is that of a picture, one that is not read included."""
    return is_readable(path) or unread(path) is not None


def why_unread(path: Path) -> str:
    """Return why a file with a picture's name is not read here; empty where it is read.

    Judged by name and installation: "camera raw: develop it into a 16-bit TIFF or PNG first".
    """
    row = unread(path)
    if row is not None:
        return f"{row.label}: {row.advice[:1].lower()}{row.advice[1:].rstrip('.')}"
    special = read_only(path)
    advice = lacking(special.id) if special else ""
    return f"{special.label}: {advice}" if special and advice else ""


def say_unread(kinds: Sequence[UnreadKind]) -> str:
    """Return a sentence: how many, which, why, and what to do; empty where there are none."""
    count = sum(kind.count for kind in kinds)
    if not count:
        return ""
    what = "1 picture is" if count == 1 else f"{count} pictures are"
    return f"{what} of a kind that is not read: {name_unread(kinds)}."


def name_unread(kinds: Sequence[UnreadKind]) -> str:
    """Return which, why, and what to do."""
    return "; ".join(kind.text() for kind in kinds)
