"""The file formats this package reads and writes: one row each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, TypeAlias

Depth: TypeAlias = Literal[8, 16]
FormatId: TypeAlias = Literal["png", "jpeg", "webp", "tiff"]


@dataclass(frozen=True)
class FileFormat:
    """What can be said of a format without opening a file.

    magic: matches the first bytes of every file of the format. suffixes: the usual one first.
    depths and channels: what can be written. max_side: the longest side the format can hold.
    """

    id: FormatId
    label: str
    suffixes: tuple[str, ...]
    magic: re.Pattern[bytes]
    depths: tuple[Depth, ...]
    channels: tuple[int, ...]
    max_side: int


FORMATS = (
    FileFormat(
        "png", "PNG", (".png",), re.compile(rb"\x89PNG\r\n\x1a\n"), (8, 16), (1, 3, 4), 2**31 - 1
    ),
    FileFormat(
        "jpeg",
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        re.compile(rb"\xff\xd8\xff"),
        (8,),
        (1, 3),
        65535,
    ),
    FileFormat(
        "webp", "WebP", (".webp",), re.compile(rb"RIFF.{4}WEBP", re.DOTALL), (8,), (1, 3, 4), 16383
    ),
    FileFormat(
        "tiff",
        "TIFF",
        (".tif", ".tiff"),
        re.compile(rb"II\*\x00|MM\x00\*"),
        (8, 16),
        (1, 3, 4),
        2**31 - 1,
    ),
)
LABELS = "PNG, JPEG, WebP or TIFF"


def sniff(data: bytes) -> FileFormat | None:
    """The format that the first bytes belong to; a file's name says nothing."""
    return next((row for row in FORMATS if row.magic.match(data)), None)


def by_suffix(path: PurePath) -> FileFormat | None:
    """The format that a file's name asks for, in either case."""
    return next((row for row in FORMATS if path.suffix.lower() in row.suffixes), None)


def by_id(format: str) -> FileFormat | None:
    """The row with this id."""
    return next((row for row in FORMATS if row.id == format), None)
