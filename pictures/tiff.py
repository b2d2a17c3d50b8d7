"""TIFF files (TIFF 6.0): the first page taken apart, and one strip of pixels written."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from .formats import Depth
from .still import CUT_OFF, Still, Unusable
from .tags import ORIENTATION, Directory, first_directory

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_PREDICTOR, _TILES, _TILE_BYTES, _EXTRA, _SAMPLE_FORMAT = 317, 324, 325, 338, 339
_XMP, _ICC_PROFILE, _CAMERA_RAW = 700, 34675, 50706
_COLOUR_MAP, _TILE_SIZE, _INK, _JPEG_TABLES, _YCBCR = 320, (322, 323), 332, 347, (529, 530, 531)
_FILL_ORDER, _FAX, _REFERENCE = 266, (292, 293), 532

# What says how the pixels are stored. The orientation is left out because some versions of Pillow
# turn the picture themselves. FFmpeg, which decodes the 16-bit files, must see no more than this:
# told to stop at errors, it takes a tag that it does not know for one, and told that white is 0, it
# would turn the alpha round as well.
_KEPT_DEEP = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES}
    | {_PLANAR, _PREDICTOR, _FILL_ORDER}
)
_KEPT = _KEPT_DEEP | frozenset(
    {_PHOTOMETRIC, *_TILE_SIZE, _TILES, _TILE_BYTES, _EXTRA, _SAMPLE_FORMAT, _COLOUR_MAP}
    | {_INK, _JPEG_TABLES, *_YCBCR, *_FAX, _REFERENCE}
)
# tag -> what FFmpeg reads of it in 16 bits: none, LZW, deflate, PackBits; grey and RGB
_DEEP_VALUES = {_COMPRESSION: {1, 5, 8, 32773, 32946}, _PHOTOMETRIC: {0, 1, 2}}
_BYTE, _SHORT, _LONG, _UNDEFINED = 1, 3, 4, 7


def open_tiff(data: bytes) -> Still:
    """Take a TIFF apart: its first page. Raises Unusable.

    Whole numbers of 1, 2, 4, 8 or 16 bits. Not read: BigTIFF, 32 bits, floats, camera raw files.
    """
    page = first_directory(data)
    if _CAMERA_RAW in page.entries:
        raise Unusable("it is a camera raw file; develop it into a 16-bit TIFF or PNG first")
    bits = set(page.numbers(_BITS, (1,)))
    whole_numbers = set(page.numbers(_SAMPLE_FORMAT, (1,))) == {1}
    if not whole_numbers or not (bits <= {1, 2, 4, 8} or bits == {16}):
        raise Unusable("its samples are neither 8-bit nor 16-bit whole numbers; save it as such")
    depth: Depth = 16 if bits == {16} else 8
    readable = all(page.number(tag, 1) in values for tag, values in _DEEP_VALUES.items())
    if depth == 16 and (_TILES in page.entries or not readable):
        raise Unusable(
            "this kind of 16-bit TIFF is not read; save it in strips, RGB, with LZW or ZIP"
        )
    _check_whole(page)
    orientation = page.number(ORIENTATION, 1)
    return Still(
        size=(page.number(_WIDTH, 0), page.number(_HEIGHT, 0)),
        depth=depth,
        data=_first_page_only(page, _KEPT_DEEP if depth == 16 else _KEPT),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        icc_profile=page.content(_ICC_PROFILE) or None,
        premultiplied=page.number(_EXTRA, 0) == 1,
        white_is_zero=page.numbers(_PHOTOMETRIC) == (0,),
    )


def _check_whole(page: Directory) -> None:
    """Raise Unusable when a strip or tile ends behind the file, or is too short for raw pixels.

    A decoder that reads on would take what follows for pixels, the directory for example.
    """
    end = len(page.data)
    for where, how_long in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        offsets = page.numbers(where)
        lengths = page.numbers(how_long, tuple(max(0, end - offset) for offset in offsets))
        if any(a + b > end for a, b in zip(offsets, lengths, strict=False)):
            raise Unusable(CUT_OFF)
        subsampled = page.number(_PHOTOMETRIC, 1) == 6
        if offsets and page.number(_COMPRESSION, 1) == 1 and not subsampled:
            _check_raw(page, lengths, tiled=where == _TILES)


def _check_raw(page: Directory, lengths: tuple[int, ...], tiled: bool) -> None:
    """Compare the pieces, strips or tiles, plane after plane, with what their pixels take."""
    width, height, samples = (page.number(tag, 1) for tag in (_WIDTH, _HEIGHT, _SAMPLES))
    planes = max(1, samples) if page.number(_PLANAR, 1) == 2 else 1
    tall = max(1, page.number(_TILE_SIZE[1] if tiled else _ROWS, height))
    wide = max(1, page.number(_TILE_SIZE[0], width)) if tiled else width
    down = -(-height // tall)
    per_plane = down * -(-width // wide) if wide else 0
    if len(lengths) < per_plane * planes:
        raise Unusable(CUT_OFF)
    row = -(-wide * page.number(_BITS, 1) * samples // planes // 8)
    for number, length in enumerate(lengths[: per_plane * planes]):
        is_last = not tiled and number % per_plane == down - 1
        rows = height - tall * (down - 1) if is_last else tall
        if length < row * rows:
            raise Unusable(CUT_OFF)


def _first_page_only(page: Directory, tags: frozenset[int]) -> bytes:
    """The same file with a new directory at its end that holds these tags alone.

    An entry is copied as it stands: what it points to has not moved.
    """
    kept = [entry for tag, entry in sorted(page.entries.items()) if tag in tags]
    start = len(page.data) + len(page.data) % 2
    head = page.data[:4] + struct.pack(f"{page.order}I", start)
    directory = struct.pack(f"{page.order}H", len(kept)) + b"".join(kept) + bytes(4)
    return head + page.data[8:] + bytes(start - len(page.data)) + directory


def xmp_of(data: bytes) -> bytes:
    """The XMP packet of a TIFF's first page; empty where there is none. Raises Unusable."""
    return first_directory(data).content(_XMP)


def encode_tiff(
    levels: NDArray[np.uint8] | NDArray[np.uint16], icc_profile: bytes | None, xmp: bytes = b""
) -> bytes:
    """One strip, deflate with horizontal differences, little-endian, unassociated (straight) alpha.

    levels: (H, W, C), C 1, 3 or 4, the bytes of the file in its own type. xmp: a packet to go with
    them.
    """
    height, width, channels = levels.shape
    bits = levels.dtype.itemsize * 8
    differences = levels.copy()
    differences[:, 1:] -= levels[:, :-1]  # wraps around, as the predictor is defined
    strip = zlib.compress(differences.astype(f"<u{levels.dtype.itemsize}").tobytes())
    values: dict[int, tuple[int, bytes]] = {
        _WIDTH: (_LONG, struct.pack("<I", width)),
        _HEIGHT: (_LONG, struct.pack("<I", height)),
        _BITS: (_SHORT, struct.pack("<H", bits) * channels),
        _COMPRESSION: (_SHORT, struct.pack("<H", 8)),
        _PHOTOMETRIC: (_SHORT, struct.pack("<H", 1 if channels == 1 else 2)),
        _STRIPS: (_LONG, struct.pack("<I", 8)),
        _SAMPLES: (_SHORT, struct.pack("<H", channels)),
        _ROWS: (_LONG, struct.pack("<I", height)),
        _STRIP_BYTES: (_LONG, struct.pack("<I", len(strip))),
        _PLANAR: (_SHORT, struct.pack("<H", 1)),
        _PREDICTOR: (_SHORT, struct.pack("<H", 2)),
    }
    if channels == 4:
        values[_EXTRA] = (_SHORT, struct.pack("<H", 2))
    if icc_profile:
        values[_ICC_PROFILE] = (_UNDEFINED, icc_profile)
    if xmp:
        values[_XMP] = (_BYTE, xmp)
    return _assemble(strip, values)


def _assemble(strip: bytes, values: dict[int, tuple[int, bytes]]) -> bytes:
    """Header, strip, directory, then the values that do not fit into an entry's four bytes."""
    sizes = {_BYTE: 1, _SHORT: 2, _LONG: 4, _UNDEFINED: 1}
    start = 8 + len(strip) + len(strip) % 2
    behind = start + 2 + 12 * len(values) + 4
    entries, overflow = b"", b""
    for tag, (kind, content) in sorted(values.items()):
        entries += struct.pack("<HHI", tag, kind, len(content) // sizes[kind])
        if len(content) <= 4:
            entries += content.ljust(4, b"\0")
        else:
            entries += struct.pack("<I", behind + len(overflow))
            overflow += content + bytes(len(content) % 2)
    head = b"II*\0" + struct.pack("<I", start)
    padding = bytes(len(strip) % 2)
    return head + strip + padding + struct.pack("<H", len(values)) + entries + bytes(4) + overflow
