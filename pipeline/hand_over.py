"""When a result counts as handed over: what was paid for is kept until it is where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

R = TypeVar("R")

#: Says that a result has reached its place. Any thread may call it, also when the run is over.
Settle: TypeAlias = "Callable[[], None]"


def as_it_is(result: R) -> R:
    """Deliver a result as it is."""
    return result


def at_once(result: object, settle: Settle) -> None:
    """Settle a result at once: who asks for the next one has it."""
    settle()


class Held:
    """Results that are worth something only all together, as `hand_over` of `remove`: whoever gets
    an error, or stops the run, has none of them."""

    def __init__(self) -> None:
        self._open: list[Settle] = []

    def __call__(self, result: object, settle: Settle) -> None:
        self._open.append(settle)

    def settle(self) -> None:
        """Settle all of them: they are with the caller."""
        for settle in self._open:
            settle()
