"""What a picture file says beside its pixels, written and read alike for every format.

XMP lies where ISO 16684-1 and Adobe's "XMP Specification, part 3" put it: an iTXt chunk named
XML:com.adobe.xmp in PNG, an APP1 segment in JPEG, a chunk in WebP, tag 700 in TIFF.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from . import jpeg, plugins, png, tiff, webp
from .fields import NO_FIELDS, Fields, fields_of
from .formats import ReadId, sniff
from .orientation import TURNED_BY_FORMAT, exif_orientation, orientation_of
from .still import Unusable


@dataclass(frozen=True)
class Metadata:
    """xmp: one packet in UTF-8, empty for none. texts: keyword -> text, for PNG alone. exif: a TIFF
    directory; it is written to WebP alone (that is where ComfyUI's frontend looks for a workflow),
    where it takes the place of the fields. fields: what results take over, as the picture is
    stored. orientation: 1..8; it is never written, because what is written is upright."""

    xmp: bytes = b""
    texts: Mapping[str, str] = field(default_factory=dict)
    exif: bytes = b""
    fields: Fields = NO_FIELDS
    orientation: int = 1


NOTHING = Metadata()


def metadata_of(data: bytes) -> Metadata:
    """What a picture file says; nothing where it cannot be read."""
    format = sniff(data)
    if format is None:
        return NOTHING
    try:
        reader = _READERS.get(format.id)
        return reader(data) if reader else _other(data, format.id)
    except Unusable:
        return NOTHING


def packets_of(info: Mapping[str | tuple[int, int], object]) -> tuple[bytes, bytes]:
    """The EXIF block and the XMP packet in the `info` of a PIL image of any format."""
    texts = {name: text for name, text in info.items() if isinstance(text, str)}
    exif, xmp = png.packets_in(texts)  # type: ignore[arg-type]
    given, packet = info.get("exif"), info.get("xmp") or info.get(png.XMP_KEYWORD)
    if isinstance(packet, str):
        packet = packet.encode()
    return (
        given if isinstance(given, bytes) and given else exif,
        packet if isinstance(packet, bytes) and packet else xmp,
    )


def _png(data: bytes) -> Metadata:
    texts = png.texts_of(data)
    exif, xmp = png.packets_in(texts)
    exif = png.exif_of(data) or exif
    xmp = texts.pop(png.XMP_KEYWORD, "").encode() or xmp
    return _metadata(exif, xmp, texts, png.dpi_of(data))


def _jpeg(data: bytes) -> Metadata:
    return _metadata(jpeg.exif_of(data), jpeg.xmp_of(data), dpi=jpeg.dpi_of(data))


def _webp(data: bytes) -> Metadata:
    chunks = webp.chunks_of(data)
    return _metadata(chunks.get(b"EXIF", b""), chunks.get(b"XMP ", b""))


def _tiff(data: bytes) -> Metadata:
    return _metadata(tiff.exif_of(data), tiff.xmp_of(data))


def _other(data: bytes, format: ReadId) -> Metadata:
    info = plugins.info_of(data, format)
    exif, xmp = packets_of(info)
    said = _metadata(exif, xmp, dpi=info.get("dpi"))
    if format not in TURNED_BY_FORMAT:
        return said
    return replace(said, orientation=exif_orientation(exif) or 1)


def _metadata(
    exif: bytes,
    xmp: bytes,
    texts: Mapping[str, str] | None = None,
    dpi: tuple[float, float] | None = None,
) -> Metadata:
    fields = fields_of(exif, xmp, texts, dpi)
    return Metadata(xmp, texts or {}, exif, fields, orientation_of(exif, xmp))


_READERS: Mapping[ReadId, Callable[[bytes], Metadata]] = {
    "png": _png,
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
}
