"""A provider's file, told from its bytes before a decoder sees it, and then decoded for its alpha.

Nothing is taken on trust: the size is judged from the header, so that a small file cannot ask for
gigabytes; metadata is left out, because a decoder may trip over it; and the pixels are counted,
because a decoder may have been told by another program (ImageFile.LOAD_TRUNCATED_IMAGES, which
ComfyUI sets) to make half a picture of half a file.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import TypeAlias

import av
import av.error
import av.video.codeccontext
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, WebPImagePlugin

from ...core.errors import UnusableResult

Levels: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"

_PNG = b"\x89PNG\r\n\x1a\n"
_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples per pixel
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_PASSES = {0: ((0, 0, 1, 1),), 1: (*_ADAM7, (0, 1, 1, 2))}  # x, y, step in x, step in y
_BLOCK = 1 << 16  # zlib makes at most a thousand times as much of it
_DEEP_SAMPLES = {"gray16": 1, "ya16": 2, "rgb48": 3, "rgba64": 4}  # FFmpeg's names
_GREY = frozenset({"1", "L"})

_EMPTY = "the provider's answer is empty."
_DAMAGED = "the provider's file is damaged."
_CUT_OFF = "the provider's file ends before its picture does."
_OPAQUE = "the provider gave an opaque answer: it holds no mask."
_ANIMATED = "the provider answered with an animation, where a single picture belongs."
# What else comes back in a picture's place, as its first bytes show.
_LOOKS = (
    (re.compile(rb"\s*<(!doctype html|html|head|body)", re.I), "a web page (HTML)"),
    (re.compile(rb"\s*<"), "XML"),
    (re.compile(rb"\s*[{\[]"), "JSON"),
    (re.compile(rb"\xff\xd8\xff"), "a JPEG, which holds no mask"),
    (re.compile(rb"GIF8"), "a GIF"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "an AVIF"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF"),
    (re.compile(rb"[\t\r\n -~]{1,64}\Z|[\t\r\n -~]{64}"), "text"),
)
# What Pillow's decoders raise on bytes that are not what their header says.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    struct.error,
    Image.DecompressionBombError,
)


def alpha_levels(data: bytes, expected: tuple[int, int]) -> Levels:
    """The alpha of a PNG or WebP of the expected (width, height): (h, w), uint8 or uint16.

    A grey picture without alpha is a mask itself. Raises UnusableResult.
    """
    if data.startswith(_PNG):
        return _of_png(data, expected)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _of_webp(data, expected)
    if not data.strip():
        raise UnusableResult(_EMPTY)
    looks = next((words for form, words in _LOOKS if form.match(data)), "something unknown")
    raise UnusableResult(f"the provider's file is no PNG or WebP: it looks like {looks}.")


def _of_png(data: bytes, expected: tuple[int, int]) -> Levels:
    chunks: list[tuple[bytes, bytes]] = []
    for kind, body in _chunks(data):
        # A second header would bring another size than the one that is judged.
        if (kind == b"IHDR") is bool(chunks) or (not chunks and len(body) != 13):
            raise UnusableResult(_DAMAGED)
        if kind == b"acTL":
            raise UnusableResult(_ANIMATED)
        if kind in _KEPT:
            chunks.append((kind, body))
    width, height, bits, colour, _, _, interlace = header = struct.unpack(">IIBBBBB", chunks[0][1])
    _check_size((width, height), expected)
    if colour not in _SAMPLES or interlace not in _PASSES:
        raise UnusableResult(_DAMAGED)
    _check_complete(b"".join(body for kind, body in chunks if kind == b"IDAT"), header)
    bare = _PNG + b"".join(_chunk(kind, body) for kind, body in chunks)
    return _deep_alpha(bare, expected) if bits == 16 else _alpha(bare, PngImagePlugin.PngImageFile)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of every chunk up to IEND (PNG specification, section 5)."""
    position = len(_PNG)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        body = data[position + 8 : end]
        if zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(data[end : end + 4], "big"):
            yield kind, body
        elif kind in _KEPT:
            raise UnusableResult(_DAMAGED)
        if kind == b"IEND":
            return
        position = end + 4
    raise UnusableResult(_CUT_OFF)


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", checksum)


def _check_complete(packed: bytes, header: tuple[int, ...]) -> None:
    """Inflate the pixels in blocks and count them; nothing is kept."""
    width, height, bits, colour, _, _, interlace = header
    wanted = 0
    for x, y, step_x, step_y in _PASSES[interlace]:
        columns = max(0, -(-(width - x) // step_x))
        rows = max(0, -(-(height - y) // step_y))
        # One byte in front of every line names its filter.
        wanted += rows * (1 + -(-columns * bits * _SAMPLES[colour] // 8)) if columns else 0
    inflater = zlib.decompressobj()
    found = 0
    try:
        for start in range(0, len(packed), _BLOCK):
            found += len(inflater.decompress(packed[start : start + _BLOCK]))
            if found >= wanted:
                return
    except zlib.error as error:
        raise UnusableResult(_DAMAGED) from error
    raise UnusableResult(_CUT_OFF)


def _of_webp(data: bytes, expected: tuple[int, int]) -> Levels:
    """RFC 9649. The size is read here: Pillow's decoder reserves memory for it when it opens."""
    if 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise UnusableResult(_CUT_OFF)
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X" and len(body) == 10:
        width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
        if body[0] & 0x02:
            raise UnusableResult(_ANIMATED)
    elif kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) == 10:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", body, 6))
    else:
        raise UnusableResult(_DAMAGED)
    _check_size((width, height), expected)
    return _alpha(data, WebPImagePlugin.WebPImageFile)


def _check_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    if size != expected:
        raise UnusableResult(
            f"the provider answered {size[0]} x {size[1]} pixels for a picture of "
            f"{expected[0]} x {expected[1]}."
        )


def _alpha(
    data: bytes, opener: type[PngImagePlugin.PngImageFile | WebPImagePlugin.WebPImageFile]
) -> NDArray[np.uint8]:
    """Through the plugin itself: Image.open would warn about sizes that have been judged here."""
    try:
        image: Image.Image = opener(io.BytesIO(data))
        image.load()
        if "transparency" in image.info:
            image = image.convert("RGBA")
        if "A" in image.getbands():
            return np.asarray(image.getchannel("A"))
        if image.mode in _GREY:
            return np.asarray(image.convert("L"))
    except _DECODER_ERRORS as error:
        raise UnusableResult(_DAMAGED) from error
    raise UnusableResult(_OPAQUE)


def _deep_alpha(data: bytes, expected: tuple[int, int]) -> NDArray[np.uint16]:
    """16 bits through PyAV: Pillow opens RGBA of 16 bits as 8."""
    context = av.CodecContext.create("png", "r")
    assert isinstance(context, av.video.codeccontext.VideoCodecContext)
    context.thread_count = 1
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise UnusableResult(_DAMAGED) from error
    samples = _DEEP_SAMPLES.get(frames[0].format.name[:-2]) if frames else None
    if samples is None or (frames[0].width, frames[0].height) != expected:
        raise UnusableResult(_DAMAGED)
    if samples == 3:
        raise UnusableResult(_OPAQUE)
    width, height = expected
    plane = frames[0].planes[0]  # its lines end in padding
    order = ">u2" if frames[0].format.name.endswith("be") else "<u2"
    lines = np.frombuffer(bytes(plane), order).reshape(height, plane.line_size // 2)
    pixels = lines[:, : width * samples].reshape(height, width, samples)
    return pixels[..., -1].astype(np.uint16)
