"""Values of a recipe file to values of a Recipe.

Each function raises ValueError for what it does not take; in words that is said by the row of the
key (recipe_keys.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ...core.money import read_amount
from .model import Canvas, is_picture

Reader = Callable[[object], Any]

_FARTHEST = 10**6


def text(value: object) -> str:
    """A text of one line with something in it."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("no text")
    return value


def one_of(words: Mapping[str, object] | tuple[str, ...]) -> Reader:
    """One of these texts; of a mapping, what it stands for."""

    def read(value: object) -> object:
        if not isinstance(value, str) or value not in words:
            raise ValueError("another word")
        return words[value] if isinstance(words, Mapping) else value

    return read


def switch(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("no switch")
    return value


def whole(low: int, high: int) -> Reader:
    """A whole number from `low` to `high`."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError("out of range")
        return value

    return read


def number(low: float, high: float = math.inf, *, above: bool = False) -> Reader:
    """A number from `low` to `high`; `above`: more than `low`."""

    def read(value: object) -> float:
        found = _decimal(value)
        if not low <= found <= high or (above and found == low):
            raise ValueError("out of range")
        return float(found)

    return read


def margin_of_fill(value: object) -> float:
    """The margin on each side that leaves this share of the canvas."""
    fill = _decimal(value)
    if not 0 < fill <= 1:
        raise ValueError("out of range")
    return float((1 - fill) / 2)  # in decimals: 0.85 leaves 0.075, not a hair more


def amount(value: object) -> Decimal:
    """An amount of money; as text, too, which is what a command line has."""
    if isinstance(value, str):
        return read_amount(value)
    return read_amount(_decimal(value))


def pair(value: object) -> tuple[int, int]:
    """Two whole numbers."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError("no pair")
    read = whole(-_FARTHEST, _FARTHEST)
    return read(value[0]), read(value[1])


def size(value: object) -> tuple[int, int] | str:
    """Width and height, or a word."""
    found = value if isinstance(value, str) else pair(value)
    Canvas(size=found)  # type: ignore[arg-type]  # it says itself which words there are
    return found


def depth(value: object) -> object:
    """8, 16 or source."""
    if isinstance(value, (bool, float, Decimal)) or value not in (8, 16, "source"):
        raise ValueError("another depth")
    return value


def background(value: object) -> str:
    """Transparent, a colour, or a path; whether there is such a file is not looked at."""
    found = text(value)
    is_picture(found)
    return found


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError("no number")
    found = Decimal(str(value))
    if not found.is_finite():
        raise ValueError("not finite")
    return found
