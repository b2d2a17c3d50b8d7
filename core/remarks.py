"""The kinds of warnings in a report, one row each: programs count by them, never by the words."""

from __future__ import annotations

from collections.abc import Iterable

#: What a plain text in the place of a remark is: the backend's own words.
NOTE = "note"
NO_SUBJECT = "no-subject"

#: Id -> how many pictures of a run it is said of ("3 x touching the picture's border").
KINDS = {
    NO_SUBJECT: "no subject found",
    "nothing-removed": "nothing was removed",
    "touches-border": "touching the picture's border",
    "uncertain": "uncertain in large parts",
    "in-pieces": "in many separate pieces",
    "enlarged": "enlarged past 1.25",
    "clipped": "with values outside 0..1, clipped",
    "file": "with a remark on the source file",
    "no-receipt": "without a receipt",
    "records": "with a remark on the records",
    NOTE: "with a note of the backend",
}


class Remark(str):
    """One sentence of a report, without its full stop. kind: the id of a row of KINDS."""

    kind: str

    def __new__(cls, words: str, kind: str = NOTE) -> Remark:
        remark = super().__new__(cls, words)
        remark.kind = kind
        return remark


def kinds_of(remarks: Iterable[str]) -> tuple[str, ...]:
    """The kind of each."""
    return tuple(getattr(words, "kind", NOTE) for words in remarks)
