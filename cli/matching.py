"""Which receipts a picture file belongs to, and how that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..core.digest import pixel_digests
from ..pictures.formats import sniff
from ..pictures.provenance import Provenance
from ..pictures.read import Picture
from ..records.chain import Receipt, sha256
from ..records.delivered import Part
from ..records.receipts import results_of
from ..records.store import Records

#: bytes: this very file was written with the receipt. pixels: another file of the same pixels. id:
#: the file only names a receipt that is here, and may have been changed since. none: nothing.
MatchKind: TypeAlias = Literal["bytes", "pixels", "id", "none"]


@dataclass(frozen=True)
class Match:
    """The receipts of one file."""

    kind: MatchKind
    receipts: tuple[Receipt, ...] = ()
    """Oldest first."""
    part: Part | None = None
    """What of the result the file holds; None where that is not known."""

    @property
    def proved(self) -> bool:
        """Whether the picture is unchanged since."""
        return self.kind in ("bytes", "pixels")

    def receipt(self, named: str) -> Receipt | None:
        """Return the one that the file names, where it is among them; else the newest."""
        known = {receipt.id: receipt for receipt in self.receipts}
        return known.get(named) or (self.receipts[-1] if self.receipts else None)


def match_file(data: bytes, picture: Picture, said: Provenance | None, records: Records) -> Match:
    """Look a file up. data: its bytes; said: what stands in it. Raises sqlite3.Error.

    A receipt whose text is not the one that was hashed counts for nothing.
    """
    written = records.files.find(data)
    receipts = [one for noted in written for one in _of_id(noted.receipt, records)]
    if receipts:
        return _match("bytes", receipts, written[-1].part)
    named = _of_id(said.receipt, records) if said else []
    found = _with_pixels(data, picture, named, records)
    if found:
        return found
    return _match("id", named, None) if named else Match("none")


def _with_pixels(
    data: bytes, picture: Picture, named: Sequence[Receipt], records: Records
) -> Match | None:
    """Match by pixels. All receipts are read for it only where those that the file names do not
    have its pixels, and not for a JPEG: that has changed them."""
    digests = pixel_digests(picture.image, deep=picture.depth == 16)
    format = sniff(data)
    everywhere = format is None or format.id != "jpeg"
    for digest in filter(None, (digests.levels16, digests.levels8)):
        same = [receipt for receipt in named if digest in results_of(receipt)]
        if not same and everywhere:
            same = [one for one in records.receipts.matching(digest) if _is_intact(one)]
        if same:
            return _match("pixels", same, results_of(same[-1])[digest])
    return None


def _match(kind: MatchKind, receipts: Sequence[Receipt], part: Part | None) -> Match:
    each = {receipt.hash: receipt for receipt in receipts}
    return Match(kind, tuple(sorted(each.values(), key=lambda one: one.number)), part)


def _of_id(name: str, records: Records) -> list[Receipt]:
    """Find the receipts of an id. No shorter and no longer name counts: whole ids stand in
    files."""
    try:
        found = records.receipts.find(name)
    except ValueError:
        return []
    return [receipt for receipt in found if receipt.id == name and _is_intact(receipt)]


def _is_intact(receipt: Receipt) -> bool:
    return sha256(receipt.body) == receipt.hash
