"""Receipts as a chain: each carries the hash of the one before, so that none can be changed alone.

    body = canonical JSON of {..., "number": n, "previous": hash of receipt n - 1}
    hash = sha256(body)

Whoever holds one hash holds the content of every receipt up to it: a row that was changed, removed
or moved breaks the chain, and a cut-off end lacks a hash that an earlier export named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.report import JsonValue

#: What the first receipt has for the hash of the one before.
NONE_BEFORE = "0" * 64
#: The number of a last receipt: what every reader of JSON keeps exact. The first is 1.
LARGEST = 2**53 - 1

_ID_DIGITS = 12
_PREFIX = "R-"


@dataclass(frozen=True)
class Receipt:
    """One row."""

    number: int
    hash: str
    body: str
    """Canonical JSON, as it was hashed."""

    @property
    def id(self) -> str:
        """What reports and files call it."""
        return f"{_PREFIX}{self.hash[:_ID_DIGITS]}"

    def data(self) -> dict[str, JsonValue]:
        """Parse the body. Raises ValueError for one that is no receipt."""
        try:
            said = json.loads(self.body)
        except RecursionError as error:
            raise ValueError("a receipt is not so deep") from error
        if not isinstance(said, dict):
            raise ValueError("a receipt is a JSON object")
        return said


def canonical(content: Mapping[str, JsonValue]) -> str:
    """Write content in the one way there is: keys in order, no spaces, ASCII only."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def sha256(text: str) -> str:
    """Return the sha256 of the UTF-8 bytes, as hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def seal(content: Mapping[str, JsonValue], last: Receipt | None) -> Receipt:
    """Return the receipt that follows on `last` with this content. Raises ValueError where none can
    follow, or JSON cannot hold it."""
    number, previous = (last.number + 1, last.hash) if last else (1, NONE_BEFORE)
    if number > LARGEST:
        raise ValueError(f"no receipt can follow number {LARGEST}, which was forged")
    body = canonical({**content, "number": number, "previous": previous})
    return Receipt(number, sha256(body), body)


def hash_part(name: str) -> str:
    """Return the beginning of a hash, from an id ("R-1a2b...") or from a part of the hash.

    Raises ValueError for what is neither, or too short to name one receipt.
    """
    digits = name.strip().removeprefix(_PREFIX).lower()
    if len(digits) < _ID_DIGITS or set(digits) - set("0123456789abcdef"):
        raise ValueError(f"{name!r} is no receipt's id or hash")
    return digits


def fault_of(receipt: Receipt, last: Receipt | None) -> str | None:
    """Return what is wrong with this row, which should follow on `last`; None for nothing."""
    expected = last.number + 1 if last else 1
    if sha256(receipt.body) != receipt.hash:
        return f"Receipt {receipt.number} was changed."
    try:
        said = receipt.data()
    except ValueError:
        return f"Receipt {receipt.number} was replaced by something else."
    if said.get("number") != receipt.number:
        return f"Receipt {receipt.number} is not in its place: it was written as another number."
    if not expected <= receipt.number <= LARGEST:
        return f"Receipt {receipt.number} has a number that none was written with: it was forged."
    if receipt.number != expected:
        if receipt.number - 1 == expected:
            return f"Receipt {expected} is missing."
        return f"Receipts {expected} to {receipt.number - 1} are missing."
    if said.get("previous") != (last.hash if last else NONE_BEFORE):
        return f"Receipt {receipt.number} does not follow on the one before: one was replaced."
    return None
