"""The picture formats that are known here, one row each: written, only read, and not read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, TypeAlias

Depth: TypeAlias = Literal[8, 16]
FormatId: TypeAlias = Literal["png", "jpeg", "webp", "tiff"]
ReadId: TypeAlias = Literal[FormatId, "avif", "heif", "bmp", "gif", "jp2"]


@dataclass(frozen=True)
class Readable:
    """A format that is read."""

    id: ReadId
    label: str
    suffixes: tuple[str, ...]
    """The usual one first."""
    magic: re.Pattern[bytes]
    """Matches the first bytes of every file of the format."""


@dataclass(frozen=True)
class FileFormat(Readable):
    """A format that is read and written."""

    id: FormatId
    depths: tuple[Depth, ...]
    """Bits per channel that can be written, as `channels` are numbers of them."""
    channels: tuple[int, ...]
    max_side: int
    """The longest side the format can hold, in pixels."""
    read_suffixes: tuple[str, ...] = ()
    """Of files that are read as this format, and never written."""
    max_bytes: int = 2**63 - 1
    """Of pixels that it can hold for sure, however badly they pack."""


@dataclass(frozen=True)
class Unread:
    """A kind of picture that is known by its files' names, and not read."""

    label: str
    suffixes: tuple[str, ...]
    advice: str
    """What to do with it, as a sentence."""


FORMATS = (
    FileFormat(
        "png",
        "PNG",
        (".png",),
        re.compile(rb"\x89PNG\r\n\x1a\n"),
        (8, 16),
        (1, 3, 4),
        2**31 - 1,
        (".apng",),
    ),
    FileFormat(
        "jpeg",
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        re.compile(rb"\xff\xd8\xff"),
        (8,),
        (1, 3),
        65535,
        (".jif", ".jfi", ".mpo", ".pjpeg", ".pjp"),
    ),
    FileFormat(
        "webp", "WebP", (".webp",), re.compile(rb"RIFF.{4}WEBP", re.DOTALL), (8,), (1, 3, 4), 16383
    ),
    FileFormat(
        "tiff",
        "TIFF",
        (".tif", ".tiff"),
        re.compile(rb"II[*+]\x00|MM\x00[*+]"),
        (8, 16),
        (1, 3, 4),
        2**31 - 1,
        (".btf", ".tf8"),
        4_200_000_000,  # its offsets have 32 bits
    ),
)
LABELS = "PNG, JPEG, WebP or TIFF"

# The first box of an ISO base media file names its brands; of AVIF and HEIC, the more special one
# decides.
_BRANDS = rb".{4}ftyp(?:.{4}){0,31}?"
_READ_ONLY = (
    Readable("avif", "AVIF", (".avif", ".avifs"), re.compile(_BRANDS + rb"avi[fs]", re.DOTALL)),
    Readable(
        "heif",
        "HEIC",
        (".heic", ".heif", ".hif", ".heics", ".heifs"),
        re.compile(_BRANDS + rb"(?:he[iv][cxms]|mif1|msf1)", re.DOTALL),
    ),
    Readable("bmp", "BMP", (".bmp", ".dib"), re.compile(rb"BM")),
    Readable("gif", "GIF", (".gif",), re.compile(rb"GIF8[79]a")),
    Readable(
        "jp2",
        "JPEG 2000",
        (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
        re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    ),
)
READ_LABELS = "PNG, JPEG, WebP, TIFF, AVIF, HEIC, BMP, GIF or JPEG 2000"

_EXPORT = "Open it in the program that made it, and export it as PNG or TIFF."
UNREAD = (
    Unread(
        "camera raw",
        (".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq")
        + (".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2")
        + (".rwl", ".sr2", ".srf", ".srw", ".x3f"),
        "Develop it into a 16-bit TIFF or PNG first.",
    ),
    Unread("Photoshop", (".psd", ".psb"), _EXPORT),
    Unread("another program's document", (".afphoto", ".clip", ".kra", ".ora", ".xcf"), _EXPORT),
    Unread("a drawing", (".ai", ".cdr", ".emf", ".eps", ".svg", ".svgz", ".wmf"), _EXPORT),
    Unread(
        "JPEG XL or another JPEG",
        (".jls", ".jpm", ".jxl", ".jxr", ".hdp", ".wdp"),
        "Save it as PNG, or as JPEG.",
    ),
    Unread("high dynamic range", (".exr", ".hdr", ".pfm"), "Save it as a 16-bit TIFF or PNG."),
    Unread(
        "an older picture format",
        (".cin", ".cur", ".dds", ".dpx", ".fits", ".flif", ".icns", ".ico", ".iff", ".ilbm")
        + (".pam", ".pbm", ".pcx", ".pgm", ".pict", ".pct", ".pnm", ".ppm", ".qoi", ".ras", ".sgi")
        + (".tga", ".xbm", ".xpm", ".bpg"),
        "Save it as PNG.",
    ),
)


def sniff(data: bytes) -> Readable | None:
    """Return the format that the first bytes belong to; a file's name says nothing."""
    return next((row for row in (*FORMATS, *_READ_ONLY) if row.magic.match(data)), None)


def by_suffix(path: PurePath) -> FileFormat | None:
    """Return the format to write that a file's name asks for, in either case."""
    return next((row for row in FORMATS if path.suffix.lower() in row.suffixes), None)


def by_id(format: str) -> FileFormat | None:
    """Return the format to write with this id."""
    return next((row for row in FORMATS if row.id == format), None)


def depth_in(format: FormatId, depth: Depth) -> Depth:
    """Return a picture's bits per channel where the format can hold them, else 8."""
    return depth if depth in _DEPTHS[format] else 8


def is_readable(path: PurePath) -> bool:
    """Return whether a file's name is a picture's that is read; `sniff` is for its content."""
    return path.suffix.lower() in _READ_SUFFIXES


def read_only(path: PurePath) -> Readable | None:
    """Return the format of a file's name where it is read and never written."""
    return _READ_ONLY_BY_SUFFIX.get(path.suffix.lower())


def unread(path: PurePath) -> Unread | None:
    """Return the row of a name that is that of a picture that is not read; None for all others."""
    return _UNREAD_BY_SUFFIX.get(path.suffix.lower())


_DEPTHS = {row.id: row.depths for row in FORMATS}
_READ_SUFFIXES = frozenset(
    suffix
    for row in (*FORMATS, *_READ_ONLY)
    for suffix in (*row.suffixes, *(row.read_suffixes if isinstance(row, FileFormat) else ()))
)
_READ_ONLY_BY_SUFFIX = {suffix: row for row in _READ_ONLY for suffix in row.suffixes}
_UNREAD_BY_SUFFIX = {suffix: row for row in UNREAD for suffix in row.suffixes}
