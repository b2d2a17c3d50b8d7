"""JPEG files, segment by segment (ITU-T T.81, annex B)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .still import CUT_OFF, DAMAGED, Still, Unusable
from .tags import orientation_of

_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_EXIF, _PROFILE = 0xE1, 0xE2
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_LONGEST = 65533  # what a segment holds behind its length
_METADATA = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})  # all but JFIF and Adobe, which say colour


def open_jpeg(data: bytes) -> Still:
    """Take a JPEG apart. Of a multi-picture file (MPO), the first picture. Raises Unusable."""
    kept = [data[:2]]
    size: tuple[int, int] | None = None
    exif = b""
    profile: dict[int, bytes] = {}
    for marker, segment in _segments(data):
        body = segment[4:]
        if marker in _FRAMES:
            if len(body) < 5:
                raise Unusable(DAMAGED)
            precision, height, width = struct.unpack_from(">BHH", body)
            if precision != 8:
                raise Unusable(f"it is a JPEG of {precision} bits; save it with 8 bits")
            size = (width, height)
        elif marker == _EXIF and body.startswith(b"Exif\0\0"):
            exif = body
        elif marker == _PROFILE and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            profile[body[12]] = body[14:]
        if marker not in _METADATA:
            kept.append(segment)
    if size is None:
        raise Unusable(DAMAGED)
    icc_profile = b"".join(part for _, part in sorted(profile.items())) or None
    return Still(size, 8, b"".join(kept), orientation_of(exif), icc_profile)


def with_xmp(data: bytes, packet: bytes) -> bytes:
    """A JPEG with this XMP packet in an APP1 segment behind its JFIF header.

    Only packets that fit into one segment, some 65,500 bytes; a longer one is left out.
    """
    body = _XMP + packet
    if not packet or len(body) > _LONGEST:
        return data
    at = 2
    if data[2:4] == b"\xff\xe0":
        at = 4 + int.from_bytes(data[4:6], "big")
    segment = struct.pack(">BBH", 0xFF, _EXIF, len(body) + 2) + body
    return data[:at] + segment + data[at:]


def xmp_of(data: bytes) -> bytes:
    """The XMP packet of a JPEG; empty where there is none. Raises Unusable."""
    for marker, segment in _segments(data):
        if marker == _EXIF and segment[4:].startswith(_XMP):
            return segment[4 + len(_XMP) :]
    return b""


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and bytes of every segment; the last is the first scan with all that follows it."""
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
        elif marker == _SCAN:
            yield marker, data[position:]
            return
        else:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            if end > len(data):
                raise Unusable(CUT_OFF)
            yield marker, data[position:end]
            position = max(end, position + 4)
