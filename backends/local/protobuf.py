"""Protocol buffers, read field by field: the encoding alone, nothing of what a message means."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Bytes: TypeAlias = memoryview

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LAST_SHIFT = 63  # a number has at most ten bytes of seven bits


class Damaged(Exception):
    """The bytes are no message, or not all of one."""


@dataclass(frozen=True)
class Message:
    """The fields of one message by number, each with all of its values in order."""

    numbers: dict[int, list[int]] = field(default_factory=dict)
    """Varints."""
    parts: dict[int, list[Bytes]] = field(default_factory=dict)
    """Texts, messages, packed numbers, and numbers of 4 or 8 bytes, as they lie in the file."""

    def number(self, at: int) -> int:
        """Return the number of a field, 0 where there is none; the last one counts."""
        return self.numbers.get(at, [0])[-1]

    def all_numbers(self, at: int) -> list[int]:
        """Return the numbers of a repeated field, packed or not, as signed 64-bit integers."""
        packed = [number for part in self.parts.get(at, []) for number in _varints(part)]
        return [_signed(number) for number in (*self.numbers.get(at, []), *packed)]

    def texts(self, at: int) -> list[str]:
        """Return the texts of a repeated field."""
        try:
            return [str(part, "utf-8") for part in self.parts.get(at, [])]
        except UnicodeDecodeError as error:
            raise Damaged from error

    def text(self, at: int) -> str:
        """Return the text of a field, empty where there is none."""
        return (self.texts(at) or [""])[-1]

    def messages(self, at: int) -> list[Message]:
        """Return the messages of a repeated field."""
        return [read_message(part) for part in self.parts.get(at, [])]

    def single(self, at: int) -> float:
        """Return the single-precision number of a field, 0 where there is none."""
        parts = self.parts.get(at)
        if not parts:
            return 0.0
        if len(parts[-1]) != struct.calcsize("<f"):
            raise Damaged
        value: float = struct.unpack("<f", parts[-1])[0]
        return value


def read_message(data: Bytes) -> Message:
    """Take a message apart. Raises Damaged where the bytes are none."""
    message = Message()
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise Damaged
        if kind == _VARINT:
            value, at = _varint(data, at)
            message.numbers.setdefault(number, []).append(value)
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise Damaged
        if size > len(data) - at:
            raise Damaged
        message.parts.setdefault(number, []).append(data[at : at + size])
        at += size
    return message


def _varints(data: Bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: Bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; returns it and where it ends."""
    value = 0
    for shift in range(0, _LAST_SHIFT + 1, 7):
        if at >= len(data):
            raise Damaged
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Damaged


def _signed(number: int) -> int:
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number
