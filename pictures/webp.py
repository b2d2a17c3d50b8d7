"""WebP files, chunk by chunk (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .still import CUT_OFF, DAMAGED, Still, Unusable, several


def open_webp(data: bytes) -> Still:
    """Take a WebP apart. Of an animation, the first frame. Raises Unusable.

    The size is read here and not by the decoder, which reserves memory for the canvas to tell it.
    """
    chunks = chunks_of(data)
    size, _ = header_of(data)
    frames = sum(kind == b"ANMF" for kind, _ in _chunks(data))
    return Still(size, 8, data, chunks.get(b"ICCP"), warnings=several(frames))


def header_of(data: bytes) -> tuple[tuple[int, int], bool]:
    """Return (width, height) and whether the file says that it is an animation. Raises Unusable.

    The first chunk tells: no decoder reads a file where another stands before it.
    """
    _end(data)
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X" and len(body) == 10:
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
        return (width, height), bool(body[0] & 0x02)
    if kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), False
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) == 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return (width & 0x3FFF, height & 0x3FFF), False
    raise Unusable(DAMAGED)


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    """Return kind -> body, the first of a kind. Raises Unusable."""
    chunks: dict[bytes, bytes] = {}
    for kind, body in _chunks(data):
        chunks.setdefault(kind, body)
    return chunks


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of every chunk. Raises Unusable."""
    end = _end(data)
    position = 12
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > end:
            raise Unusable(CUT_OFF)
        yield kind, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _end(data: bytes) -> int:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise Unusable(CUT_OFF)
    return end
