"""PNG files, chunk by chunk (W3C PNG, third edition): the only reader and writer of them.

Pillow and FFmpeg decode and encode the pixels; what they see of a file, and what is added to what
they wrote, goes through here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

from .formats import Depth
from .still import CUT_OFF, DAMAGED, Still, Unusable, several

#: Where XMP lies: the keyword of an iTXt chunk.
XMP_KEYWORD = "XML:com.adobe.xmp"
#: What stands before XMP in an APP1 segment.
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, two zeros, interlace
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PICTURE = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples per pixel
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_PASSES = {0: ((0, 0, 1, 1),), 1: (*_ADAM7, (0, 1, 1, 2))}  # x, y, step in x, step in y
_LARGEST_PROFILE = 16 << 20
_LARGEST_TEXTS = 64 << 20
_BLOCK = 1 << 20


def open_png(data: bytes) -> Still:
    """Take a PNG apart. Of an animation, the default image. Raises Unusable.

    gAMA, cHRM and cICP are not applied: programs disagree about them, and most write them wrongly.
    """
    kept: list[tuple[bytes, bytes]] = []
    profile, frames = None, 1
    for kind, body in chunks(data):
        if kind in _PICTURE:
            kept.append((kind, body))
        elif kind == b"iCCP":
            packed = body.partition(b"\0")[2][1:]  # behind a name, a zero, and the method
            profile = _inflated(packed, _LARGEST_PROFILE) or None
        elif kind == b"acTL" and len(body) == 8:
            frames = int.from_bytes(body[:4], "big")
    width, height, bits, *_ = _HEADER.unpack(kept[0][1])
    depth: Depth = 16 if bits == 16 else 8
    return Still((width, height), depth, join(kept), profile, warnings=several(frames))


def check_png(data: bytes) -> None:
    """Inflate the pixels and count them; decoders differ in how they treat a stream that is short.

    Pillow may have been told by another program to return half a picture, and FFmpeg does so by
    itself. In blocks of 1 MiB, nothing is kept. Raises Unusable.
    """
    expected = _pixel_bytes(*_HEADER.unpack_from(data, len(_SIGNATURE) + 8))
    inflater = zlib.decompressobj()
    found = 0
    try:
        for kind, body in chunks(data):
            while kind == b"IDAT" and body and found < expected:
                found += len(inflater.decompress(body, _BLOCK))
                body = inflater.unconsumed_tail
    except zlib.error as error:
        raise Unusable(DAMAGED) from error
    if found < expected:
        raise Unusable(CUT_OFF)


def with_profile(data: bytes, icc_profile: bytes | None) -> bytes:
    """Reduce a PNG to its picture, with this ICC profile."""
    parts = [part for part in chunks(data) if part[0] in _PICTURE]
    if icc_profile:
        parts.insert(1, (b"iCCP", b"ICC\0\0" + zlib.compress(icc_profile)))
    return join(parts)


def with_texts(
    data: bytes,
    texts: Mapping[str, str],
    xmp: bytes,
    exif: bytes = b"",
    per_metre: tuple[int, int] | None = None,
) -> bytes:
    """Put texts behind the header of a PNG, in their order, and then an XMP packet.

    Uncompressed, because some readers know no other; tEXt for ASCII, iTXt for the rest, because
    some take tEXt for UTF-8. A keyword is 1 to 79 characters of ASCII. exif: a TIFF directory.
    per_metre: pixels, along the width and the height.
    """
    parts = [] if per_metre is None else [_chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))]
    parts += [_chunk(b"eXIf", exif)] if exif else []
    parts += [_text_chunk(keyword, text) for keyword, text in texts.items()]
    if xmp:
        parts.append(_chunk(b"iTXt", XMP_KEYWORD.encode() + bytes(5) + xmp))
    header = len(_SIGNATURE) + 25
    return data[:header] + b"".join(parts) + data[header:]


def texts_of(data: bytes) -> dict[str, str]:
    """Return keyword -> text of every text chunk, the first of a keyword. Raises Unusable.

    Of packed ones as much as 64 MiB hold together.
    """
    found: dict[str, str] = {}
    room = _LARGEST_TEXTS
    for kind, body in chunks(data):
        keyword, zero, rest = body.partition(b"\0")
        if kind not in _TEXTS or not zero:
            continue
        content, packed, encoding = _text_of(kind, rest)
        if packed:
            content = _inflated(content, room)
            room -= len(content)
        if content or not packed:
            found.setdefault(keyword.decode("latin-1"), content.decode(encoding, "replace"))
    return found


def exif_of(data: bytes) -> bytes:
    """Return the first EXIF block; empty where there is none. Raises Unusable."""
    return next((body for kind, body in chunks(data) if kind == b"eXIf"), b"")


def dpi_of(data: bytes) -> tuple[float, float] | None:
    """Return dots per inch along width and height; None where none are stated. Raises Unusable."""
    for kind, body in chunks(data):
        if kind == b"pHYs" and len(body) == 9 and body[8] == 1:
            x, y = struct.unpack_from(">II", body)
            return x * 0.0254, y * 0.0254
    return None


def packets_in(texts: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return EXIF and XMP that ImageMagick and others keep in PNG's texts, as hexadecimal."""
    exif = xmp = b""
    for name in ("exif", "APP1", "xmp"):
        content = _raw_profile(texts.get(f"Raw profile type {name}", ""))
        if content.startswith(XMP_HEADER) or name == "xmp":
            xmp = xmp or content.removeprefix(XMP_HEADER)
        else:
            exif = exif or content
    return exif, xmp


def _raw_profile(text: str) -> bytes:
    """Name, length, and so many bytes in hexadecimal; empty for anything else."""
    words = text.split()
    if len(words) < 3 or not words[1].isdecimal():
        return b""
    try:
        return bytes.fromhex("".join(words[2:]))[: int(words[1])]
    except ValueError:
        return b""


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of every chunk up to IEND. Raises Unusable.

    Damaged ones beside the picture are left out. The first is IHDR, and no other: decoders follow
    the last one, which would bring another size than the one that is judged.
    """
    position, expected = len(_SIGNATURE), True
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        body = data[position + 8 : end]
        if zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(data[end : end + 4], "big"):
            if (kind == b"IHDR") is not expected or (expected and len(body) != _HEADER.size):
                raise Unusable(DAMAGED)
            expected = False
            yield kind, body
        elif kind in _PICTURE:
            raise Unusable(DAMAGED)
        if kind == b"IEND":
            return
        position = end + 4
    raise Unusable(CUT_OFF)


def join(parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG file of these chunks, each a kind and a body."""
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", checksum)


def _pixel_bytes(
    width: int, height: int, bits: int, colour: int, _packing: int, _filter: int, interlace: int
) -> int:
    """Bytes of the filtered scan lines of all passes: one filter byte for every line."""
    if colour not in _SAMPLES or interlace not in _PASSES:
        raise Unusable(DAMAGED)
    total = 0
    for x, y, step_x, step_y in _PASSES[interlace]:
        columns = max(0, -(-(width - x) // step_x))
        rows = max(0, -(-(height - y) // step_y))
        total += rows * (1 + -(-columns * bits * _SAMPLES[colour] // 8)) if columns else 0
    return total


def _text_chunk(keyword: str, text: str) -> bytes:
    head = keyword.encode("ascii")
    if text.isascii():
        return _chunk(b"tEXt", head + b"\0" + text.encode("ascii"))
    return _chunk(b"iTXt", head + bytes(5) + text.encode("utf-8", "replace"))


def _text_of(kind: bytes, rest: bytes) -> tuple[bytes, bool, str]:
    """What stands behind the keyword: content, whether it is packed, encoding."""
    if kind == b"tEXt":
        return rest, False, "latin-1"
    if kind == b"zTXt":
        return rest[1:], True, "latin-1"
    # Flag, method, then language and translated keyword, each closed by a zero, then UTF-8.
    content = rest[2:].split(b"\0", 2)[2:]
    return b"".join(content), rest[:1] == b"\1", "utf-8"


def _inflated(packed: bytes, most: int) -> bytes:
    """Empty where it is damaged, or nothing more is wanted (0 would mean all of it to zlib)."""
    try:
        return zlib.decompressobj().decompress(packed, most) if most else b""
    except zlib.error:
        return b""
