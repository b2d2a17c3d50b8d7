"""What a picture file says beside its pixels, written and read alike for every format.

XMP lies where ISO 16684-1 and Adobe's "XMP Specification, part 3" put it: an iTXt chunk named
XML:com.adobe.xmp in PNG, an APP1 segment in JPEG, a chunk in WebP, tag 700 in TIFF. ComfyUI's
workflow lies where its own nodes write it: in PNG's text chunks "prompt" and "workflow", in WebP in
the EXIF tags Model, Make and those below it, each "name:JSON"; it reads none from a JPEG.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from PIL import Image

from . import jpeg, plugins, png, tiff, webp
from .fields import NO_FIELDS, Fields, fields_of
from .formats import ReadId, sniff
from .orientation import TURNED_BY_FORMAT, exif_orientation, orientation_of
from .still import Unusable


@dataclass(frozen=True)
class Metadata:
    """What is read of a file, or written into one."""

    xmp: bytes = b""
    """One packet in UTF-8; empty for none."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Keyword -> text, for PNG alone."""
    exif: bytes = b""
    """A TIFF directory; written to WebP alone, for a workflow, in place of the fields."""
    fields: Fields = NO_FIELDS
    """What results take over, as the picture is stored."""
    orientation: int = 1
    """1..8; never written, because what is written is upright."""


NOTHING = Metadata()
_WORKFLOW = ("prompt", "workflow")
_MODEL, _MAKE = 0x0110, 0x010F
_LONGEST_KEYWORD = 79


def metadata_of(data: bytes) -> Metadata:
    """Return what a picture file says; NOTHING where it cannot be read."""
    format = sniff(data)
    if format is None:
        return NOTHING
    try:
        reader = _READERS.get(format.id)
        return reader(data) if reader else _other(data, format.id)
    except Unusable:
        return NOTHING


def packets_of(info: Mapping[str | tuple[int, int], object]) -> tuple[bytes, bytes]:
    """Return the EXIF block and the XMP packet in the `info` of a PIL image of any format."""
    texts = {name: text for name, text in info.items() if isinstance(text, str)}
    exif, xmp = png.packets_in(texts)  # type: ignore[arg-type]
    given, packet = info.get("exif"), info.get("xmp") or info.get(png.XMP_KEYWORD)
    if isinstance(packet, str):
        packet = packet.encode()
    return (
        given if isinstance(given, bytes) and given else exif,
        packet if isinstance(packet, bytes) and packet else xmp,
    )


def with_workflow(metadata: Metadata, texts: Mapping[str, str]) -> Metadata:
    """Add a workflow: name -> JSON, "prompt" and whatever else the frontend sent along.

    Names that are no PNG keyword are left out, and where a name is taken, what was there stays.
    """
    usable = {
        name: text
        for name, text in texts.items()
        if name.isascii() and name.isprintable() and 0 < len(name) <= _LONGEST_KEYWORD
    }
    exif = Image.Exif()
    others = [name for name in usable if name != "prompt"]
    tags = {_MAKE - index: name for index, name in enumerate(others)}
    if "prompt" in usable:
        tags[_MODEL] = "prompt"
    for tag, name in tags.items():
        exif[tag] = f"{name}:{usable[name]}"
    return replace(
        metadata, texts={**usable, **metadata.texts}, exif=exif.tobytes() if tags else b""
    )


def has_workflow(metadata: Metadata) -> bool:
    """Return whether a file holds ComfyUI's workflow."""
    return any(name in metadata.texts or f"{name}:".encode() in metadata.exif for name in _WORKFLOW)


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
