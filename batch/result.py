"""How the pictures of a batch end: each of them, and all in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from ..core.errors import BadPicture, NoPlainBackdrop, RmbgError
from ..core.report import Remark, kinds_of

T = TypeVar("T")

#: So often a picture is tried in one run, where trying again costs nothing.
ATTEMPTS = 3
#: Whoever asks again gets the same answer, until the file or the recipe is another one.
LASTING = (BadPicture, NoPlainBackdrop)
#: Trying again costs nothing, or fetches what is paid for. What may have been billed is not here:
#: sending that again takes the user's own word.
_FREE_TO_REPEAT = ("BackendFailed", "ResultWaiting")


@dataclass(frozen=True)
class Landed:
    """How one picture ended: small, and fit to be sent between processes."""

    key: str
    """Of its Item."""
    written: Mapping[str, int] = field(default_factory=dict)
    """Target -> bytes; empty for one that failed."""
    error: str | None = None
    """Why it failed, in words."""
    kind: str = ""
    """The name of the error's class."""
    lasting: bool = False
    """It is the picture's fault, so that trying again would be in vain."""
    full: bool = False
    """Nothing more can be written under DEST."""
    seconds: float = 0.0
    """That the model took."""
    cost: Decimal | None = Decimal(0)
    """What was paid, in the backend's currency, of one that failed too; None: not known."""
    receipt: str | None = None
    """Its id."""
    warnings: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    """Of the warnings, rows of `core.report.KINDS`; of one that failed, that of its reason."""
    doubt: float = 0.0
    """How far its mask is to be doubted, 0..1; 0 for one that failed."""

    @property
    def may_repeat(self) -> bool:
        """It may end well the next time, and nobody pays for it twice."""
        return self.kind in _FREE_TO_REPEAT


def not_landed(
    key: str,
    error: RmbgError,
    receipt: str | None = None,
    cost: Decimal | None = Decimal(0),
    *,
    full: bool = False,
) -> Landed:
    """Return the end of a picture that failed."""
    return Landed(
        key,
        error=str(error),
        kind=type(error).__name__,
        lasting=isinstance(error, LASTING),
        full=full,
        cost=cost,
        receipt=receipt,
        kinds=kinds_of(words for words in error.args if isinstance(words, Remark)),
    )


def attempts(
    pictures: Sequence[T], again: Callable[[], Sequence[T]]
) -> Iterator[tuple[Sequence[T], bool]]:
    """Yield the pictures of every attempt, and whether it is the last one.

    again: those of the attempt before that may be repeated.
    """
    for attempt in range(1, ATTEMPTS + 1):
        if not pictures:
            return
        yield pictures, attempt == ATTEMPTS
        if attempt < ATTEMPTS:
            pictures = again()


@dataclass(frozen=True)
class Counts:
    """How the pictures of the survey stand."""

    total: int
    done_before: int
    done_now: int
    """By this run."""
    quarantined: int
    failed: int
    """In this run; the next one tries again."""
    waiting: int
    cost: Decimal | None = Decimal(0)
    """Of what this run noted as done; None: not known."""
    passed_over: int = 0
    """Results of this package among the sources, which are not counted elsewhere."""

    @property
    def done(self) -> int:
        """All that have their result."""
        return self.done_before + self.done_now


@dataclass(frozen=True)
class Doubtful:
    """A picture whose mask may be wrong."""

    key: str
    doubt: float
    """How far it is to be doubted, 0..1."""


@dataclass(frozen=True)
class PassedOver:
    """A result of this package among the sources."""

    key: str
    how: str
    """How it says so."""
