"""Which way up a picture is: one rule for files and for PIL images.

EXIF is asked first and then XMP. What states no number from 1 to 8 states nothing.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .still import Unusable
from .tags import ORIENTATION, first_directory
from .xmp import read_xmp

#: Formats that turn their pictures by boxes of their own, which their decoders follow or put into
#: the EXIF block; what else is said in them has no effect, by their standards.
TURNED_BY_FORMAT = frozenset({"avif", "heif"})

Number = TypeVar("Number", bound=np.generic)

# orientation -> exchange the axes first?, direction along rows, direction along columns
_TURNS = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}


def orientation_of(exif: bytes, xmp: bytes) -> int:
    """Return the orientation 1..8 that EXIF and XMP state; 1 where they state none."""
    return exif_orientation(exif) or xmp_orientation(xmp) or 1


def exif_orientation(exif: bytes) -> int | None:
    """Return the orientation 1..8 of an EXIF block; None where it states none that can be read."""
    try:
        return valid(first_directory(exif.removeprefix(b"Exif\0\0")).number(ORIENTATION, 0))
    except Unusable:
        return None


def xmp_orientation(xmp: bytes) -> int | None:
    """Return the orientation 1..8 of an XMP packet; None where it states none that can be read."""
    stated = read_xmp(xmp).get("tiff:Orientation", "")
    return valid(int(stated)) if stated.isascii() and stated.isdecimal() else None


def valid(stated: object) -> int | None:
    """Return what a program has stated as an orientation, if it is one."""
    return stated if isinstance(stated, int) and stated in _TURNS else None


def exchanges_axes(orientation: int) -> bool:
    """Return whether the stored picture's width is the upright one's height."""
    return _TURNS[orientation][0]


def upright(values: NDArray[Number], orientation: int) -> NDArray[Number]:
    """Turn (H, W, ...) as stored into (H, W, ...) upright."""
    exchange, rows, columns = _TURNS[orientation]
    turned = values.swapaxes(0, 1) if exchange else values
    return np.ascontiguousarray(turned[::rows, ::columns])
