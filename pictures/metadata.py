"""What a picture file says beside its pixels, written and read alike for every format.

XMP lies where ISO 16684-1 and Adobe's "XMP Specification, part 3" put it: an iTXt chunk named
XML:com.adobe.xmp in PNG, an APP1 segment in JPEG, a chunk in WebP, tag 700 in TIFF.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import jpeg, png, tiff, webp
from .formats import ReadId, sniff
from .still import Unusable


@dataclass(frozen=True)
class Metadata:
    """xmp: one packet in UTF-8, empty for none. texts: keyword -> text, for PNG alone. exif: a TIFF
    directory, for WebP alone (that is where ComfyUI's frontend looks for a workflow)."""

    xmp: bytes = b""
    texts: Mapping[str, str] = field(default_factory=dict)
    exif: bytes = b""


NOTHING = Metadata()


def metadata_of(data: bytes) -> Metadata:
    """What a PNG, JPEG, WebP or TIFF file says; nothing where it cannot be read."""
    format = sniff(data)
    if format is None:
        return NOTHING
    try:
        reader = _READERS.get(format.id)
        return reader(data) if reader else NOTHING
    except Unusable:
        return NOTHING


def _png(data: bytes) -> Metadata:
    texts = png.texts_of(data)
    return Metadata(texts.pop(png.XMP_KEYWORD, "").encode(), texts)


def _jpeg(data: bytes) -> Metadata:
    return Metadata(jpeg.xmp_of(data))


def _webp(data: bytes) -> Metadata:
    chunks = webp.chunks_of(data)
    return Metadata(chunks.get(b"XMP ", b""), exif=chunks.get(b"EXIF", b""))


def _tiff(data: bytes) -> Metadata:
    return Metadata(tiff.xmp_of(data))


_READERS: Mapping[ReadId, Callable[[bytes], Metadata]] = {
    "png": _png,
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
}
