"""How one picture of a batch ended: small, and fit to be sent between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ..core.errors import BadPicture, NoPlainBackdrop, RmbgError
from ..core.remarks import Remark, kinds_of
from ..pipeline.hand_over import Settle

#: Whoever asks again gets the same answer, until the file or the recipe is another one.
LASTING = (BadPicture, NoPlainBackdrop)
#: Trying again costs nothing, or fetches what is paid for. What may have been billed is not here:
#: sending that again takes the user's own word.
_FREE_TO_REPEAT = ("BackendFailed", "ResultWaiting")


@dataclass(frozen=True)
class Landed:
    """key: of its Item. written: target -> bytes, empty for one that failed. error: why, in words;
    kind: the name of its class. lasting: it is the picture's fault, so that trying again would be
    in vain. full: nothing more can be written under DEST. seconds: that the model took. cost: what
    was paid, in the backend's currency, of one that failed too. receipt: its id. kinds: of the
    warnings, ids of rows of `core.remarks.KINDS`; of one that failed, that of its reason if any."""

    key: str
    written: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    kind: str = ""
    lasting: bool = False
    full: bool = False
    seconds: float = 0.0
    cost: Decimal = Decimal(0)
    receipt: str | None = None
    warnings: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def may_repeat(self) -> bool:
        """It may end well the next time, and nobody pays for it twice."""
        return self.kind in _FREE_TO_REPEAT


def not_landed(
    key: str,
    error: RmbgError,
    receipt: str | None = None,
    cost: Decimal = Decimal(0),
    *,
    full: bool = False,
) -> Landed:
    """One that failed."""
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


def settle_landed(landed: Landed, settle: Settle) -> None:
    """A paid result that did not land stays with the provider, to be fetched by the next run."""
    if landed.error is None:
        settle()
