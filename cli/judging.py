"""What one result looks like, by its receipt, its transparency, or as a mask.

A receipt has the measures of the mask that was cut with: what is opaque, or was put on a larger
canvas, does not show them. Grey alone is no mask.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..core.errors import BadOption, BadPicture
from ..core.inspect import QualityFlags, quality_flags, read_flags
from ..core.report import kinds_of
from ..pictures.metadata import metadata_of
from ..pictures.provenance import Provenance, read_provenance
from ..pictures.read import Picture
from ..pictures.results import is_mask
from ..records.store import Records
from .evaluate_command import mask_of
from .matching import Match, MatchKind, match_file

_UNKNOWN = (
    "it has no transparency, and no receipt here knows it; if it is a mask, call it NAME-mask"
)


@dataclass(frozen=True)
class Seen:
    """One result."""

    path: Path
    flags: QualityFlags
    is_mask: bool
    """It has no colours of its own."""
    receipt: str = ""
    """What judged it; empty where its own pixels did."""
    match: MatchKind = "none"
    """How the file was found among the receipts."""

    @property
    def reason(self) -> str:
        """How far it is doubted and why it is worth a look, in one line."""
        warnings = self.flags.warnings
        # That a mask may be wrong is said with the number.
        number = [] if "doubtful" in kinds_of(warnings) else [f"doubt {self.flags.doubt:.2f}"]
        words = "; ".join([*number, *warnings])
        changed = " (by the receipt that it names; it was changed or saved again since)"
        return words + changed if self.receipt and self.match == "id" else words

    def data(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "picture": str(self.path),
            "warnings": [*self.flags.warnings],
            "flags": self.flags.data(),
            "judged_by": "receipt" if self.receipt else "mask" if self.is_mask else "transparency",
            "receipt": self.receipt or None,
            "match": self.match,
        }


@dataclass(frozen=True)
class Unjudged:
    """A picture of which nothing can be said, and why."""

    path: Path
    reason: str

    def data(self) -> dict[str, object]:
        """Return the keys of one that was judged, and the reason."""
        return {
            "picture": str(self.path),
            "warnings": [],
            "flags": None,
            "judged_by": None,
            "receipt": None,
            "match": "none",
            "not_judged": self.reason,
        }


def judge(path: Path, data: bytes, picture: Picture, records: Records) -> Seen | Unjudged:
    """Look a result up, else look at it. data: the file's bytes. Raises BadOption when the receipts
    cannot be read."""
    said = read_provenance(metadata_of(data))
    match = _matched(data, picture, said, records)
    receipt = match.receipt(said.receipt if said else "")
    flags = read_flags(receipt.data().get("flags")) if receipt else None
    if receipt and flags and match.proved:
        return Seen(path, flags, match.part == "mask", receipt.id, match.kind)
    # What was changed since is judged by what it shows, where it shows anything.
    alpha = _own_mask(path, picture, said)
    opaque = alpha is None or (alpha is picture.alpha and bool((alpha == 1).all()))
    if receipt and flags and opaque:
        return Seen(path, flags, False, receipt.id, match.kind)
    if alpha is not None:
        return Seen(path, quality_flags(alpha), alpha is not picture.alpha, match=match.kind)
    return Unjudged(path, f"receipt {receipt.id} has no measures" if receipt else _UNKNOWN)


def _matched(data: bytes, picture: Picture, said: Provenance | None, records: Records) -> Match:
    try:
        return match_file(data, picture, said, records)
    except sqlite3.Error as error:
        raise BadOption(
            f"The receipts cannot be read ({error}), and results are judged by them. `rmbg "
            "receipts verify` says more."
        ) from error


def _own_mask(path: Path, picture: Picture, said: Provenance | None) -> Tensor | None:
    """Return the mask (H, W) in 0..1: the alpha, or the grey of a mask that says it is one; None
    without either."""
    if not is_mask(path, said):
        return picture.alpha
    try:
        return mask_of(picture)
    except BadPicture:
        return None
