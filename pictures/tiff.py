"""TIFF files (TIFF 6.0, BigTIFF): the full page taken apart, and one strip of pixels written."""

from __future__ import annotations

import struct
import zlib
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .fields import TAGS
from .formats import Depth
from .still import CUT_OFF, Still, Unusable, several
from .tags import (
    BYTE,
    LONG,
    ORIENTATION,
    SHORT,
    UNDEFINED,
    Directory,
    Values,
    directories,
    directories_below,
    first_directory,
    with_directory,
    write_exif,
)
from .tiff_samples import (
    BITS,
    COMPRESSION,
    EXTRA,
    FILL_ORDER,
    HEIGHT,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    ROWS,
    SAMPLES,
    STRIP_BYTES,
    STRIPS,
    TILE_BYTES,
    TILE_SIZE,
    TILES,
    WIDTH,
    is_plain,
    read_samples,
)

_SAMPLE_FORMAT, _XMP, _ICC_PROFILE, _CAMERA_RAW = 339, 700, 34675, 50706
_SUBFILE, _OLD_SUBFILE, _SUBDIRECTORIES = 254, 255, 330
_COLOUR_MAP, _INK, _JPEG_TABLES, _YCBCR = 320, 332, 347, (529, 530, 531)
_FAX, _REFERENCE = (292, 293), 532
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_SENSOR = frozenset({32803, 34892})  # colours that a camera has not developed

# What says how the pixels are stored. The orientation is left out because some versions of Pillow
# turn the picture themselves.
_KEPT = frozenset(
    {WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, SAMPLES, ROWS, STRIP_BYTES, PLANAR}
    | {PREDICTOR, FILL_ORDER, *TILE_SIZE, TILES, TILE_BYTES, EXTRA, _SAMPLE_FORMAT, _COLOUR_MAP}
    | {_INK, _JPEG_TABLES, *_YCBCR, *_FAX, _REFERENCE}
)
_COMPRESSIONS = {2: "fax", 3: "fax", 4: "fax", 6: "JPEG", 7: "JPEG", 34712: "JPEG 2000"}


def open_tiff(data: bytes) -> Still:
    """Take a TIFF apart: its first full page. Raises Unusable.

    Whole numbers of 1, 2, 4, 8 or 16 bits. Not read: 32 bits, floats, camera raw files.
    """
    page, full = _page(data)
    if _CAMERA_RAW in first_directory(data).entries or page.number(PHOTOMETRIC, 1) in _SENSOR:
        raise Unusable("it is a camera raw file; develop it into a 16-bit TIFF or PNG first")
    bits = set(page.numbers(BITS, (1,)))
    whole_numbers = set(page.numbers(_SAMPLE_FORMAT, (1,))) == {1}
    if not whole_numbers or not (bits <= {1, 2, 4, 8} or bits == {16}):
        raise Unusable("its samples are neither 8-bit nor 16-bit whole numbers; save it as such")
    depth: Depth = 16 if bits == {16} else 8
    plain = is_plain(page)
    if depth == 16 and (not plain or page.number(PHOTOMETRIC, 1) == 5):
        raise Unusable(
            f"its 16 bits are {_unusual(page)}, which is not read; save it in strips, RGB, with "
            "LZW or ZIP"
        )
    _check_whole(page)
    return Still(
        size=(page.number(WIDTH, 0), page.number(HEIGHT, 0)),
        depth=depth,
        data=b"" if plain else with_directory(page.data, page.values(_KEPT), page.order),
        icc_profile=page.content(_ICC_PROFILE) or None,
        samples=partial(read_samples, page) if plain else None,
        warnings=several(full, "pages"),
    )


def exif_of(data: bytes) -> bytes:
    """Return orientation and fields of the page, as an EXIF block. Raises Unusable."""
    page, _ = _page(data)
    return write_exif(page.values(TAGS | {ORIENTATION}), page.order)


def xmp_of(data: bytes) -> bytes:
    """Return the XMP packet of the page; empty where there is none. Raises Unusable."""
    return _page(data)[0].content(_XMP)


def _page(data: bytes) -> tuple[Directory, int]:
    """The page that is the picture, and how many others there are that are no previews or masks.

    The first full one; where all are reduced, what one of them points to, or else the largest.
    """
    pages: list[Directory] = []
    try:
        for page in directories(data):
            pages.append(page)
    except Unusable:  # the pages before the break in the chain may do
        if not any(map(_is_full, pages)):
            raise
    full = [page for page in pages if _is_full(page)]
    if full:
        return full[0], len(full)
    below = [one for page in pages for one in directories_below(page, _SUBDIRECTORIES)]
    full = [page for page in below if _is_full(page)]
    if full:
        return full[0], 1
    return max(pages, key=lambda page: page.number(WIDTH, 0) * page.number(HEIGHT, 0)), 1


def _is_full(page: Directory) -> bool:
    return (
        not page.number(_SUBFILE, 0) & (_REDUCED | _MASK)
        and page.number(_OLD_SUBFILE, 1) != _OLD_REDUCED
    )


def _unusual(page: Directory) -> str:
    """What keeps 16 bits from being read."""
    compression = page.number(COMPRESSION, 1)
    if page.number(PHOTOMETRIC, 1) == 5:
        return "CMYK"
    if page.number(PHOTOMETRIC, 1) not in (0, 1, 2):
        return "in colours other than grey and RGB"
    return f"compressed as {_COMPRESSIONS.get(compression, f'number {compression}')}"


def _check_whole(page: Directory) -> None:
    """Raise Unusable when a strip or tile ends behind the file, or is too short for raw pixels.

    A decoder that reads on would take what follows for pixels, the directory for example.
    """
    end = len(page.data)
    for where, how_long in ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES)):
        offsets = page.numbers(where)
        lengths = page.numbers(how_long, tuple(max(0, end - offset) for offset in offsets))
        if any(a + b > end for a, b in zip(offsets, lengths, strict=False)):
            raise Unusable(CUT_OFF)
        subsampled = page.number(PHOTOMETRIC, 1) == 6
        if offsets and page.number(COMPRESSION, 1) == 1 and not subsampled:
            _check_raw(page, lengths, tiled=where == TILES)


def _check_raw(page: Directory, lengths: tuple[int, ...], tiled: bool) -> None:
    """Compare the pieces, strips or tiles, plane after plane, with what their pixels take."""
    width, height, samples = (page.number(tag, 1) for tag in (WIDTH, HEIGHT, SAMPLES))
    planes = max(1, samples) if page.number(PLANAR, 1) == 2 else 1
    tall = max(1, page.number(TILE_SIZE[1] if tiled else ROWS, height))
    wide = max(1, page.number(TILE_SIZE[0], width)) if tiled else width
    down = -(-height // tall)
    per_plane = down * -(-width // wide) if wide else 0
    if len(lengths) < per_plane * planes:
        raise Unusable(CUT_OFF)
    row = -(-wide * page.number(BITS, 1) * samples // planes // 8)
    for number, length in enumerate(lengths[: per_plane * planes]):
        is_last = not tiled and number % per_plane == down - 1
        rows = height - tall * (down - 1) if is_last else tall
        if length < row * rows:
            raise Unusable(CUT_OFF)


def encode_tiff(
    levels: NDArray[np.uint8] | NDArray[np.uint16],
    icc_profile: bytes | None,
    xmp: bytes = b"",
    fields: Values | None = None,
) -> bytes:
    """Encode (H, W, C) levels, C 1, 3 or 4, as a TIFF of as many bits as they have.

    One strip, deflate with horizontal differences, little-endian, unassociated (straight) alpha.
    xmp: a packet. fields: further tags.
    """
    height, width, channels = levels.shape
    bits = levels.dtype.itemsize * 8
    differences = levels.copy()
    differences[:, 1:] -= levels[:, :-1]  # wraps around, as the predictor is defined
    strip = zlib.compress(differences.astype(f"<u{levels.dtype.itemsize}").tobytes())
    values: dict[int, tuple[int, bytes]] = {
        WIDTH: (LONG, struct.pack("<I", width)),
        HEIGHT: (LONG, struct.pack("<I", height)),
        BITS: (SHORT, struct.pack("<H", bits) * channels),
        COMPRESSION: (SHORT, struct.pack("<H", 8)),
        PHOTOMETRIC: (SHORT, struct.pack("<H", 1 if channels == 1 else 2)),
        STRIPS: (LONG, struct.pack("<I", 8)),
        SAMPLES: (SHORT, struct.pack("<H", channels)),
        ROWS: (LONG, struct.pack("<I", height)),
        STRIP_BYTES: (LONG, struct.pack("<I", len(strip))),
        PLANAR: (SHORT, struct.pack("<H", 1)),
        PREDICTOR: (SHORT, struct.pack("<H", 2)),
    }
    if channels == 4:
        values[EXTRA] = (SHORT, struct.pack("<H", 2))
    if icc_profile:
        values[_ICC_PROFILE] = (UNDEFINED, icc_profile)
    if xmp:
        values[_XMP] = (BYTE, xmp)
    return _assemble(strip, {**values, **(fields or {})})


def _assemble(strip: bytes, values: Values) -> bytes:
    """Header, strip, directory, then the values that do not fit into an entry's four bytes."""
    return with_directory(bytes(8) + strip, values, "<")
