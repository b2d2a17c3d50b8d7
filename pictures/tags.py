"""The tags of a TIFF directory, which is also what EXIF is made of (TIFF 6.0, section 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .still import CUT_OFF, DAMAGED, Unusable

ORIENTATION = 0x0112
_ENTRY = 12
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


@dataclass(frozen=True)
class Directory:
    """The first directory of a TIFF file or an EXIF block.

    order: "<" or ">", as struct writes it. entries: tag -> its 12 bytes, unread.
    """

    data: bytes
    order: str
    entries: dict[int, bytes]

    def content(self, tag: int) -> bytes:
        """The bytes of a tag's value; empty where it is absent. Raises Unusable when cut off."""
        entry = self.entries.get(tag)
        if entry is None:
            return b""
        _, kind, count, offset = struct.unpack(f"{self.order}HHII", entry)
        length = _SIZES.get(kind, 0) * count
        if length <= 4:
            return entry[8 : 8 + length]
        if offset + length > len(self.data):
            raise Unusable(CUT_OFF)
        return self.data[offset : offset + length]

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A tag's whole numbers; `default` where the tag is absent or holds something else."""
        entry = self.entries.get(tag)
        if entry is None:
            return default
        _, kind, count, _ = struct.unpack(f"{self.order}HHII", entry)
        code = _INTEGERS.get(kind)
        if code is None or count == 0:
            return default
        return struct.unpack(f"{self.order}{count}{code}", self.content(tag))

    def number(self, tag: int, default: int) -> int:
        """The first of a tag's whole numbers."""
        return self.numbers(tag, (default,))[0]


def first_directory(data: bytes) -> Directory:
    """Read the first directory of a classic TIFF file. Raises Unusable where there is none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        raise Unusable(DAMAGED)
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
    except struct.error as cut:
        raise Unusable(CUT_OFF) from cut
    first = start + 2
    if first + count * _ENTRY > len(data):
        raise Unusable(CUT_OFF)
    entries: dict[int, bytes] = {}
    for position in range(first, first + count * _ENTRY, _ENTRY):
        (tag,) = struct.unpack_from(f"{order}H", data, position)
        entries.setdefault(tag, data[position : position + _ENTRY])
    return Directory(data, order, entries)


def orientation_of(exif: bytes) -> int:
    """The orientation 1..8 that an EXIF block states; 1 when it states none or is unreadable."""
    try:
        stated = first_directory(exif.removeprefix(b"Exif\0\0")).number(ORIENTATION, 1)
    except Unusable:
        return 1
    return stated if 1 <= stated <= 8 else 1
