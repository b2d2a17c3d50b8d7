"""Greyscale PNG of 8 or 16 bits (W3C PNG, third edition), written and read back by this file alone.

An alpha channel is smooth or constant, so each row is stored as its difference from the one above
(filter type 2, "Up") at zlib's fastest level. No limit on the size of a picture, no colour
management and no library stands between the levels and what comes back.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, and three zeros
_UP = 2


def encode_grey(levels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """(h, w) levels -> the bytes of a PNG with as many bits as they have."""
    height, width = levels.shape
    bits = levels.dtype.itemsize * 8
    rows = np.ascontiguousarray(levels, f">u{levels.dtype.itemsize}").view(np.uint8)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = _HEADER.pack(width, height, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.data, 1)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def decode_grey(png: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(h, w) levels of a PNG made by `encode_grey`. Raises ValueError for any other content."""
    at = len(_SIGNATURE)
    parts = {}
    try:
        while at < len(png):
            (length,) = struct.unpack_from(">I", png, at)
            parts[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + length]
            at += length + 12
        width, height, bits, *_ = _HEADER.unpack(parts[b"IHDR"])
        unpacked = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8)
        filtered = unpacked.reshape(height, width * bits // 8 + 1)
    except (struct.error, KeyError, zlib.error) as error:
        raise ValueError("not a PNG of this package") from error
    if not (filtered[:, 0] == _UP).all():
        raise ValueError("not a PNG of this package")
    rows = np.cumsum(filtered[:, 1:], axis=0, dtype=np.uint8)
    return rows if bits == 8 else rows.view(">u2").astype(np.uint16)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
