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
    size = _size(chunks)
    if size is None:
        raise Unusable(DAMAGED)
    frames = sum(kind == b"ANMF" for kind, _ in _chunks(data))
    return Still(size, 8, data, chunks.get(b"ICCP"), warnings=several(frames))


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    """Kind -> body, the first of a kind. Raises Unusable."""
    chunks: dict[bytes, bytes] = {}
    for kind, body in _chunks(data):
        chunks.setdefault(kind, body)
    return chunks


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of every chunk. Raises Unusable."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise Unusable(CUT_OFF)
    position = 12
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > end:
            raise Unusable(CUT_OFF)
        yield kind, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _size(chunks: dict[bytes, bytes]) -> tuple[int, int] | None:
    extended, lossless, lossy = (chunks.get(kind, b"") for kind in (b"VP8X", b"VP8L", b"VP8 "))
    if len(extended) >= 10:
        width, height = (int.from_bytes(extended[at : at + 3], "little") + 1 for at in (4, 7))
        return width, height
    if len(lossless) >= 5 and lossless[0] == 0x2F:
        bits = int.from_bytes(lossless[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if len(lossy) >= 10 and lossy[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", lossy, 6)
        return width & 0x3FFF, height & 0x3FFF
    return None
