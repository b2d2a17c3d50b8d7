"""IPTC's Digital Source Type of a cut-out (http://cv.iptc.org/newscodes/digitalsourcetype/).

IPTC defines algorithmicallyEnhanced as "Modification or correction by algorithm without changing
the main content of the media, initiated or configured by a human" (vocabulary of 2024-10-23): the
subject of a cut-out is the picture's own, and nothing in it is generated. humanEdits is for work
done by people, and the types with "composite" or "trainedAlgorithmicMedia" are for several sources
or for generated pixels.

A picture that says of itself that it was generated, or put together, stays what it is: cutting it
out does not make a photograph of it.
"""

from __future__ import annotations

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"

ALTERED = f"{_VOCABULARY}algorithmicallyEnhanced"
GENERATED = f"{_VOCABULARY}trainedAlgorithmicMedia"

# What a picture may have been before, for the type of its cut-out to be the one above.
_CAPTURED = frozenset(
    {
        "digitalCapture",
        "computationalCapture",
        "negativeFilm",
        "positiveFilm",
        "print",
        "minorHumanEdits",
        "humanEdits",
        "algorithmicallyEnhanced",
    }
)


def of_cutout(declared: str) -> str:
    """The type of a cut-out, as IPTC's address. declared: what its source says of itself, as that
    address; empty where it says nothing, and is taken for a photograph."""
    plain = declared.replace("https://", "http://", 1)
    term = plain.removeprefix(_VOCABULARY)
    known = plain.startswith(_VOCABULARY) and term.isalnum()
    return plain if known and term not in _CAPTURED else ALTERED
