"""What a result's file takes over of its source's: these fields, and nothing else.

Places, serial numbers, notes of the camera's maker and previews are never taken over, because only
the rows below are looked for.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from .formats import Depth
from .orientation import exchanges_axes
from .still import Unusable
from .tags import ASCII, RATIONAL, SHORT, Directory, Values, first_directory, write_exif
from .xmp import printable, read_xmp


@dataclass(frozen=True)
class _Row:
    """Where a text stands: tag in EXIF and TIFF, property in XMP, keyword in PNG."""

    tag: int
    xmp: str
    keyword: str


# EXIF is asked first, then XMP, then PNG's text.
_COPYRIGHT = _Row(0x8298, "dc:rights", "Copyright")
_AUTHOR = _Row(0x013B, "dc:creator", "Author")
_X, _Y, _UNIT = 0x011A, 0x011B, 0x0128
_INCH, _CENTIMETRE = 2, 3
_PER_INCH = {_INCH: 1.0, _CENTIMETRE: 2.54}

#: The tags of EXIF and TIFF that fields are read from.
TAGS = frozenset({_COPYRIGHT.tag, _AUTHOR.tag, _X, _Y, _UNIT})
_LONGEST = 2000  # characters; JPEG has 64 kB for all of EXIF
_EXACT = 0.0127  # PNG counts pixels per metre, which is so far from whole dots per inch


@dataclass(frozen=True)
class Fields:
    """The rows that a source has; empty texts where it has none."""

    dpi: tuple[float, float] | None = None
    """(along the width, along the height) as stated, even if the result has another size."""
    copyright: str = ""
    author: str = ""

    def turned(self, orientation: int) -> Fields:
        """Return those of the upright picture."""
        if self.dpi is None or not exchanges_axes(orientation):
            return self
        return Fields(self.dpi[::-1], self.copyright, self.author)

    def of_mask(self) -> Fields:
        """Return those of a mask: it lies over the photograph, and has no author."""
        return Fields(self.dpi)

    def texts(self) -> Mapping[str, str]:
        """Return keyword -> text, for PNG."""
        texts = {_COPYRIGHT.keyword: self.copyright, _AUTHOR.keyword: self.author}
        return {keyword: text for keyword, text in texts.items() if text}

    def properties(self) -> Mapping[str, str]:
        """Return property -> text, for XMP."""
        texts = {_COPYRIGHT.xmp: self.copyright, _AUTHOR.xmp: self.author}
        return {name: text for name, text in texts.items() if text}

    def values(self) -> Values:
        """Return tags, for TIFF and EXIF, little-endian."""
        values: dict[int, tuple[int, bytes]] = {}
        for row, text in ((_COPYRIGHT, self.copyright), (_AUTHOR, self.author)):
            if text:
                values[row.tag] = ASCII, text.encode() + b"\0"
        if self.dpi:
            values |= {tag: _ratio(dots) for tag, dots in zip((_X, _Y), self.dpi, strict=True)}
            values[_UNIT] = SHORT, struct.pack("<H", _INCH)
        return values

    def per_metre(self) -> tuple[int, int] | None:
        """Return pixels per metre, as PNG counts them."""
        return self.dpi and (round(self.dpi[0] / 0.0254), round(self.dpi[1] / 0.0254))

    def whole_dpi(self) -> tuple[int, int]:
        """Return dots per inch as JFIF has them; zeros where they are unknown or do not fit."""
        if self.dpi is None or max(self.dpi) > 65535:
            return 0, 0
        return round(self.dpi[0]), round(self.dpi[1])

    def exif(self) -> bytes:
        """Return an EXIF block; empty where there are no fields."""
        return write_exif(self.values())


NO_FIELDS = Fields()


@dataclass(frozen=True)
class Origin:
    """All that a result's file takes over; see `pictures.read.Picture`, whose parts these are."""

    depth: Depth = 8
    icc_profile: bytes | None = None
    source_type: str = ""
    fields: Fields = NO_FIELDS


def fields_of(
    exif: bytes,
    xmp: bytes,
    texts: Mapping[str, str] | None = None,
    dpi: tuple[float, float] | None = None,
) -> Fields:
    """Return the fields that a file states. dpi: of the format's own place for it, asked first."""
    try:
        tags: Directory | None = first_directory(exif.removeprefix(b"Exif\0\0"))
    except Unusable:
        tags = None
    said = read_xmp(xmp)
    if "rmbg:Backend" in said:  # a result of ours: these are the rights in a model
        said.pop(_COPYRIGHT.xmp, None)
    copyright, author = (
        _cleaned(_tag_text(tags, row.tag) or said.get(row.xmp) or (texts or {}).get(row.keyword))
        for row in (_COPYRIGHT, _AUTHOR)
    )
    return Fields(_checked(dpi) or _checked(_tag_dpi(tags)), copyright, author)


def _tag_text(tags: Directory | None, tag: int) -> str:
    """EXIF keeps the editor's copyright behind the photographer's and a zero byte."""
    try:
        content = tags.content(tag) if tags else b""
    except Unusable:
        return ""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return ", ".join(part.strip() for part in text.split("\0") if part.strip())


def _tag_dpi(tags: Directory | None) -> tuple[float, float] | None:
    try:
        unit = _PER_INCH.get(tags.number(_UNIT, _INCH)) if tags else None
        return tags and unit and (tags.ratio(_X) * unit, tags.ratio(_Y) * unit) or None
    except Unusable:
        return None


def _checked(dpi: tuple[float, float] | None) -> tuple[float, float] | None:
    """None for what no printer means; whole numbers where they are meant."""
    if dpi is None or not all(math.isfinite(dots) and 1 <= dots <= 1e6 for dots in dpi):
        return None
    x, y = (float(round(dots)) if abs(dots - round(dots)) < _EXACT else dots for dots in dpi)
    return x, y


def _cleaned(text: str | None) -> str:
    return printable((text or "").replace("\0", " ").strip())[:_LONGEST]


def _ratio(dots: float) -> tuple[int, bytes]:
    fraction = Fraction(dots).limit_denominator(1000)
    return RATIONAL, struct.pack("<II", fraction.numerator, fraction.denominator)
