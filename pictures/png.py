"""PNG files, chunk by chunk (W3C PNG, third edition): opened, checked, given a profile."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from .still import CUT_OFF, DAMAGED, Still, Unusable
from .tags import orientation_of

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples per pixel
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_PASSES = {0: ((0, 0, 1, 1),), 1: (*_ADAM7, (0, 1, 1, 2))}  # x, y, step in x, step in y
_LARGEST_PROFILE = 16 << 20
_BLOCK = 1 << 20


def open_png(data: bytes) -> Still:
    """Take a PNG apart. Of an animation, the default image. Raises Unusable.

    gAMA, cHRM and cICP are not applied: programs disagree about them, and most write them wrongly.
    """
    kept: list[bytes] = []
    exif, profile = b"", None
    for kind, body in _chunks(data):
        if not kept and (kind != b"IHDR" or len(body) != 13):
            raise Unusable(DAMAGED)
        if kind in _PICTURE:
            kept.append(_chunk(kind, body))
        elif kind == b"eXIf":
            exif = body
        elif kind == b"iCCP":
            profile = _profile(body)
    width, height, bits = struct.unpack_from(">IIB", data, len(_SIGNATURE) + 8)
    whole = _SIGNATURE + b"".join(kept)
    return Still((width, height), 16 if bits == 16 else 8, whole, orientation_of(exif), profile)


def check_png(still: Still) -> None:
    """Inflate the pixels and count them; decoders differ in how they treat a stream that is short.

    Pillow may have been told by another program to return half a picture, and FFmpeg does so by
    itself. In blocks of 1 MiB, nothing is kept. Raises Unusable.
    """
    header = struct.unpack_from(">IIBBBBB", still.data, len(_SIGNATURE) + 8)
    expected = _pixel_bytes(header)
    inflater = zlib.decompressobj()
    found = 0
    try:
        for kind, body in _chunks(still.data):
            while kind == b"IDAT" and body and found < expected:
                found += len(inflater.decompress(body, _BLOCK))
                body = inflater.unconsumed_tail
    except zlib.error as error:
        raise Unusable(DAMAGED) from error
    if found < expected:
        raise Unusable(CUT_OFF)


def with_profile(data: bytes, icc_profile: bytes | None) -> bytes:
    """A PNG reduced to its picture, with this ICC profile."""
    parts = [_chunk(kind, body) for kind, body in _chunks(data) if kind in _PICTURE]
    if icc_profile:
        parts.insert(1, _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(icc_profile)))
    return _SIGNATURE + b"".join(parts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of every chunk up to IEND; damaged ones beside the picture are left out."""
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        body = data[position + 8 : end]
        if zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(data[end : end + 4], "big"):
            yield kind, body
        elif kind in _PICTURE:
            raise Unusable(DAMAGED)
        if kind == b"IEND":
            return
        position = end + 4
    raise Unusable(CUT_OFF)


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", checksum)


def _pixel_bytes(header: tuple[int, ...]) -> int:
    """Bytes of the filtered scan lines of all passes: one filter byte for every line."""
    width, height, bits, colour, _, _, interlace = header
    if colour not in _SAMPLES or interlace not in _PASSES:
        raise Unusable(DAMAGED)
    total = 0
    for x, y, step_x, step_y in _PASSES[interlace]:
        columns = max(0, -(-(width - x) // step_x))
        rows = max(0, -(-(height - y) // step_y))
        total += rows * (1 + -(-columns * bits * _SAMPLES[colour] // 8)) if columns else 0
    return total


def _profile(body: bytes) -> bytes | None:
    """The profile in an iCCP chunk: a name, a zero, the method 0, then a zlib stream."""
    _, _, packed = body.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], _LARGEST_PROFILE)
    except zlib.error:
        return None
