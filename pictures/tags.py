"""The tags of a TIFF directory, which is also what EXIF is made of (TIFF 6.0, section 2).

BigTIFF is the same with 8 bytes where TIFF has 4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .still import CUT_OFF, DAMAGED, Unusable

ORIENTATION = 0x0112
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
#: tag -> its kind and the bytes of its value.
Values: TypeAlias = "Mapping[int, tuple[int, bytes]]"

_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_MOST = 4096  # directories in a chain, which may lead back to itself


@dataclass(frozen=True)
class _Form:
    """How struct writes the numbers of a file."""

    order: str
    """Either "<" or ">"."""
    size: str
    """Of an offset."""
    count: str
    """Of the entries."""

    @property
    def entry(self) -> str:
        return f"{self.order}HH{self.size}{self.size}"

    def number(self, content: bytes) -> int:
        return int.from_bytes(content, "little" if self.order == "<" else "big")


@dataclass(frozen=True)
class Directory:
    """One directory of a TIFF file, or that of an EXIF block."""

    data: bytes
    form: _Form
    entries: dict[int, bytes]
    """Tag -> its 12 or 20 bytes, unread."""
    following: int
    """Where the next directory is; 0 for none."""

    @property
    def order(self) -> str:
        """The byte order "<" or ">", as struct writes it."""
        return self.form.order

    def content(self, tag: int) -> bytes:
        """Return the bytes of a tag's value; empty where absent. Raises Unusable if cut off."""
        entry = self.entries.get(tag)
        if entry is None:
            return b""
        _, kind, count, offset = struct.unpack(self.form.entry, entry)
        length = _SIZES.get(kind, 0) * count
        room = struct.calcsize(self.form.size)
        if length <= room:
            return entry[-room:][:length]
        if offset + length > len(self.data):
            raise Unusable(CUT_OFF)
        return self.data[offset : offset + length]

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return a tag's whole numbers; `default` where it is absent or holds something else."""
        entry = self.entries.get(tag)
        if entry is None:
            return default
        _, kind, count, _ = struct.unpack(self.form.entry, entry)
        code = _INTEGERS.get(kind)
        if code is None or count == 0:
            return default
        return struct.unpack(f"{self.order}{count}{code}", self.content(tag))

    def number(self, tag: int, default: int) -> int:
        """Return the first of a tag's whole numbers."""
        return self.numbers(tag, (default,))[0]

    def ratio(self, tag: int) -> float:
        """Return the first of a tag's fractions, or its whole number; 0 where there is none."""
        content = self.content(tag)
        if tag not in self.entries or self.kind(tag) != RATIONAL or len(content) < 8:
            return float(self.number(tag, 0))
        above, below = struct.unpack_from(f"{self.order}II", content)
        return above / below if below else 0.0

    def kind(self, tag: int) -> int:
        """Return the kind of a tag that is there."""
        return int(struct.unpack_from(f"{self.order}HH", self.entries[tag])[1])

    def values(self, tags: frozenset[int]) -> Values:
        """Return those of these tags that are there, for `write_directory`; 8-byte numbers become
        4-byte ones. Raises Unusable where a value is cut off, or too large."""
        found: dict[int, tuple[int, bytes]] = {}
        for tag in sorted(tags & self.entries.keys()):
            kind, content = self.kind(tag), self.content(tag)
            if kind in (16, 18):
                numbers = self.numbers(tag)
                if max(numbers, default=0) >= 2**32:
                    raise Unusable(DAMAGED)
                kind, content = LONG, struct.pack(f"{self.order}{len(numbers)}I", *numbers)
            if kind in _SIZES and content:
                found[tag] = kind, content
        return found


def first_directory(data: bytes) -> Directory:
    """Read the first directory of a TIFF file. Raises Unusable where there is none."""
    form, start = _opened(data)
    return _directory(data, form, start)


def directories(data: bytes) -> Iterator[Directory]:
    """Yield every directory of a file. Raises Unusable where the chain breaks."""
    form, start = _opened(data)
    seen: set[int] = set()
    while start and start not in seen and len(seen) < _MOST:
        seen.add(start)
        directory = _directory(data, form, start)
        yield directory
        start = directory.following


def directories_below(above: Directory, tag: int) -> Iterator[Directory]:
    """Yield the directories that a tag of another points to. Raises Unusable."""
    for start in above.numbers(tag):
        yield _directory(above.data, above.form, start)


def write_directory(values: Values, start: int, order: str = "<") -> bytes:
    """Return a directory of classic TIFF for the place `start` in its file, with its values."""
    behind = start + 2 + 12 * len(values) + 4
    entries, overflow = b"", b""
    for tag, (kind, content) in sorted(values.items()):
        entries += struct.pack(f"{order}HHI", tag, kind, len(content) // _SIZES[kind])
        if len(content) <= 4:
            entries += content.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{order}I", behind + len(overflow))
            overflow += content + bytes(len(content) % 2)
    return struct.pack(f"{order}H", len(values)) + entries + bytes(4) + overflow


def write_exif(values: Values, order: str = "<") -> bytes:
    """Return an EXIF block with these tags, without the "Exif" that JPEG puts before it."""
    if not values:
        return b""
    return header(8, order) + write_directory(values, 8, order)


def with_directory(data: bytes, values: Values, order: str) -> bytes:
    """Give a classic TIFF file another directory, at its end; all that its tags point to stays."""
    start = len(data) + len(data) % 2
    padding = bytes(start - len(data))
    return header(start, order) + data[8:] + padding + write_directory(values, start, order)


def header(start: int, order: str = "<") -> bytes:
    """Return the first 8 bytes of a classic TIFF file whose directory is at `start`."""
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)


def _opened(data: bytes) -> tuple[_Form, int]:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise Unusable(DAMAGED)
    try:
        (version,) = struct.unpack_from(f"{order}H", data, 2)
        if version == 42:
            return _Form(order, "I", "H"), struct.unpack_from(f"{order}I", data, 4)[0]
        if version == 43 and struct.unpack_from(f"{order}HH", data, 4) == (8, 0):
            return _Form(order, "Q", "Q"), struct.unpack_from(f"{order}Q", data, 8)[0]
    except struct.error as cut:
        raise Unusable(CUT_OFF) from cut
    raise Unusable(DAMAGED)


def _directory(data: bytes, form: _Form, start: int) -> Directory:
    size = struct.calcsize(form.entry)
    if start > len(data):  # BigTIFF's numbers may be larger than a position in memory can be
        raise Unusable(CUT_OFF)
    try:
        (count,) = struct.unpack_from(form.order + form.count, data, start)
    except struct.error as cut:
        raise Unusable(CUT_OFF) from cut
    first = start + struct.calcsize(form.order + form.count)
    end = first + count * size
    if end > len(data):
        raise Unusable(CUT_OFF)
    entries: dict[int, bytes] = {}
    for position in range(first, end, size):
        (tag,) = struct.unpack_from(f"{form.order}H", data, position)
        entries.setdefault(tag, data[position : position + size])
    following = data[end : end + struct.calcsize(form.size)]
    return Directory(data, form, entries, form.number(following))
