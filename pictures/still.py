"""One encoded picture taken apart without decoding it: what the four containers are opened into."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from .formats import Depth
from .samples import Samples

CUT_OFF = "the file ends before the picture does; get a complete copy"
DAMAGED = "the file is damaged; get it again, or save it anew from a program that opens it"
NO_PIXELS = "it has no pixels"
# What Pillow's decoders raise on bytes that are not what their header says.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    struct.error,
    UserWarning,  # of a program that has turned warnings into errors
    Image.DecompressionBombError,
)


class Unusable(Exception):
    """Why a file gives no picture, as the end of a sentence that begins with its name."""


@dataclass(frozen=True)
class Still:
    """An encoded picture: its header's facts, and a file that holds its pixels and nothing else.

    size: (width, height) as stored, before the picture is turned upright.
    data: a file of the same format without metadata, text and further frames, because a decoder
    that trips over those would lose a picture that is intact.
    samples: reads the pixels instead of a decoder of Pillow's or FFmpeg's; for TIFF.
    warnings: what a user should hear of a file that is read nevertheless.
    """

    size: tuple[int, int]
    depth: Depth
    data: bytes
    icc_profile: bytes | None
    samples: Callable[[], Samples] | None = None
    warnings: tuple[str, ...] = ()


def several(count: int, what: str = "pictures") -> tuple[str, ...]:
    """What is said of a file that holds several pictures, one of which is read."""
    return (f"it holds {count} {what}, and only the first was used",) if count > 1 else ()
