"""JPEG files, segment by segment (ITU-T T.81, annex B)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .still import CUT_OFF, DAMAGED, Still, Unusable

SCAN, _END = 0xDA, 0xD9
TABLES = 0xC4
#: Of frame headers.
FRAMES = frozenset(range(0xC0, 0xD0)) - {TABLES, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_APP0, _APP1, _PROFILE = 0xE0, 0xE1, 0xE2
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_LONGEST = 65533  # what a segment holds behind its length
_METADATA = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})  # all but JFIF and Adobe, which say colour


def open_jpeg(data: bytes) -> Still:
    """Take a JPEG apart. Of a multi-picture file (MPO), the first picture. Raises Unusable."""
    kept = [data[:2]]
    size: tuple[int, int] | None = None
    profile: dict[int, bytes] = {}
    for marker, at, segment in segments(data):
        body = segment[4:]
        if marker in FRAMES:
            if len(body) < 5:
                raise Unusable(DAMAGED)
            precision, height, width = struct.unpack_from(">BHH", body)
            if precision != 8:
                raise Unusable(f"it is a JPEG of {precision} bits; save it with 8 bits")
            size = (width, height)
        elif marker == _PROFILE and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            profile[body[12]] = body[14:]
        if marker not in _METADATA:
            if len(segment) < 4:  # its length does not even count itself
                raise Unusable(DAMAGED)
            kept.append(data[at:] if marker == SCAN else segment)
    if size is None:
        raise Unusable(DAMAGED)
    icc_profile = b"".join(part for _, part in sorted(profile.items())) or None
    return Still(size, 8, b"".join(kept), icc_profile)


def with_metadata(data: bytes, exif: bytes, xmp: bytes) -> bytes:
    """Add EXIF and an XMP packet to a JPEG, in APP1 segments behind its JFIF header.

    Only what fits into one segment, some 65,500 bytes; what is longer is left out.
    """
    at = 2
    if data[2:4] == b"\xff\xe0":
        at = 4 + int.from_bytes(data[4:6], "big")
    bodies = [header + content for header, content in ((_EXIF, exif), (_XMP, xmp)) if content]
    added = [
        struct.pack(">BBH", 0xFF, _APP1, len(body) + 2) + body
        for body in bodies
        if len(body) <= _LONGEST
    ]
    return data[:at] + b"".join(added) + data[at:]


def xmp_of(data: bytes) -> bytes:
    """Return the XMP packet of a JPEG; empty where there is none. Raises Unusable."""
    return _app1(data, _XMP)


def exif_of(data: bytes) -> bytes:
    """Return the first EXIF block of a JPEG; empty where there is none. Raises Unusable."""
    return _app1(data, _EXIF)


def dpi_of(data: bytes) -> tuple[float, float] | None:
    """Return dots per inch along width and height, as JFIF states them. Raises Unusable."""
    for marker, _, segment in segments(data):
        if marker == _APP0 and segment[4:9] == b"JFIF\0" and len(segment) >= 16:
            unit, x, y = struct.unpack_from(">BHH", segment, 11)
            scale = {1: 1.0, 2: 2.54}.get(unit)
            return (x * scale, y * scale) if scale else None
    return None


def _app1(data: bytes, header: bytes) -> bytes:
    for marker, _, segment in segments(data):
        if marker == _APP1 and segment[4:].startswith(header):
            return segment[4 + len(header) :]
    return b""


def segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield marker, place and bytes of every segment; the last is the first scan's header.

    Raises Unusable.
    """
    position = 2
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 4 > len(data):
            raise Unusable(CUT_OFF)
        marker = data[position + 1]
        if marker in (0x00, 0xFF) or marker in _ALONE:
            position += 1
        elif marker == _END:
            raise Unusable(DAMAGED)
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            if end > len(data) and marker != SCAN:
                raise Unusable(CUT_OFF)
            yield marker, position, data[position:end]
            if marker == SCAN:
                return
            position = max(end, position + 4)
