"""The keys of a recipe file, each in the metadata of the field that it fills.

A reader looks at the type of a file's value, and raises ValueError for another. Which values of its
type a recipe can have is known to the constructors of `Recipe`, `Canvas` and `Output` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from ...core.money import read_amount

T = TypeVar("T")
Reader = Callable[[object], Any]

KEY = "key"  # of the metadata
_FARTHEST = 10**6


@dataclass(frozen=True)
class Kind:
    """A kind of values."""

    takes: str
    """What a wrong value "must be"."""
    read: Reader
    """Returns the value of a Recipe for that of a file."""
    words: tuple[str, ...] = ()
    """The texts that it may be, where there is a list."""


@dataclass(frozen=True)
class Key:
    """One key of a recipe file."""

    kind: Kind
    what: str
    """The line of the reference."""
    default: str
    """As the reference shows it."""
    judge: Callable[[Any], object] = str
    """Raises BadOption for a value that no recipe can have, whatever else it says."""
    table: str = ""
    """Empty for the top of the file."""
    name: str = ""

    @property
    def place(self) -> str:
        """Return what messages call it: "[canvas] fill"."""
        return place_of(self.table, self.name)

    def read(self, said: object) -> object:
        """Return the value of a Recipe for that of a file. Raises ValueError for a wrong one."""
        value = self.kind.read(said)
        self.judge(value)
        return value


def place_of(table: str, name: str) -> str:
    """Return what messages call a key of a table."""
    return f"[{table}] {name}" if table else name


def keyed(default: T, kind: Kind, what: str, shown: str = "") -> T:
    """Return a dataclass field with a key. shown: the default, where the reference words it."""
    key = Key(kind, what, shown or _shown(default))
    made: T = field(default=default, metadata={KEY: key})
    return made


def one_of(words: Mapping[str, object] | tuple[str, ...]) -> Kind:
    """Return the kind of these texts; of a mapping, a text is read as what it stands for."""

    def read(value: object) -> object:
        if not isinstance(value, str) or value not in words:
            raise ValueError("another word")
        return words[value] if isinstance(words, Mapping) else value

    return Kind(f"one of {', '.join(words)}", read, tuple(words))


def text(value: object) -> str:
    """Read a text of one line with something in it."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("no text")
    return value


def whole(value: object) -> int:
    """Read a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("no whole number")
    return value


def decimal(value: object) -> Decimal:
    """Read a finite number, exactly as it is written."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError("no number")
    found = Decimal(str(value))
    if not found.is_finite():
        raise ValueError("not finite")
    return found


def number(value: object) -> float:
    """Read a finite number."""
    return float(decimal(value))


def amount(value: object) -> Decimal:
    """Read an amount of money; as text, too, which is what a command line has."""
    return read_amount(value if isinstance(value, str) else decimal(value))


def pair(value: object) -> tuple[int, int]:
    """Read two whole numbers of pixels."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError("no pair")
    first, second = map(whole, value)
    if max(abs(first), abs(second)) > _FARTHEST:
        raise ValueError("out of range")
    return first, second


def or_word(read: Reader) -> Reader:
    """Return a reader that takes texts, too."""
    return lambda value: value if isinstance(value, str) else read(value)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("no switch")
    return value


SWITCH = Kind("true or false", _switch)
SHARE = Kind("a number from 0 to 1", number)
ABOVE_0 = Kind("a number above 0", number)


def _shown(default: object) -> str:
    if isinstance(default, str):
        return f"`{default}`"
    if isinstance(default, float):
        return f"{default:g}"
    return "-" if default is None else str(default).lower()
