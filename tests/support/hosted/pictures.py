"""The pictures that the loopback servers take and give: strict PNG in, many kinds of answer out."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Variant = Literal[
    "rgba", "la", "l", "palette", "rgba16", "la16", "wrong size", "opaque", "corrupt", "html"
]
Levels = NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
HTML = b"<!doctype html><html><body>The gateway is being repaired.</body></html>"


class Unusable(Exception):
    """What a client sent is no upright RGB PNG without metadata."""


def strict_png(data: bytes) -> Levels:
    """(H, W, 3) of an 8-bit RGB PNG made of IHDR, IDAT and IEND alone. Raises Unusable."""
    if data[:8] != _SIGNATURE:
        raise Unusable(f"no PNG: it begins with {data[:8]!r}")
    names, at = [], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        names.append(data[at + 4 : at + 8])
        at += 12 + length
    if at != len(data) or set(names) != {b"IHDR", b"IDAT", b"IEND"}:
        raise Unusable(f"chunks other than IHDR, IDAT, IEND, or cut short: {set(names)}")
    depth, colour = data[24], data[25]
    if (depth, colour) != (8, 2):
        raise Unusable(f"bit depth {depth}, colour type {colour}, not 8-bit RGB")
    try:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise Unusable(str(error)) from error


def from_data_uri(text: str) -> bytes:
    """The bytes of `data:image/png;base64,...`. Raises Unusable."""
    head, comma, body = text.partition(",")
    if head != "data:image/png;base64" or not comma:
        raise Unusable(f"no PNG data URI: {head[:40]!r}")
    return from_base64(body)


def from_base64(text: str) -> bytes:
    """The bytes of plain base64. Raises Unusable."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Unusable("no base64") from error


def picture_digest(levels: Levels) -> str:
    """sha256 of "HxW:" and the bytes: what the picture is, whatever its file was like."""
    height, width = levels.shape[:2]
    return hashlib.sha256(f"{height}x{width}:".encode() + levels.tobytes()).hexdigest()


def expected_share(levels: Levels) -> NDArray[np.float64]:
    """(H, W) in 0..1: bright is subject, a smooth function of brightness."""
    return 1 / (1 + np.exp(-(levels.mean(axis=2) / 255 - 0.5) * 20))


def expected_alpha(levels: Levels) -> Levels:
    """(H, W) of the 8-bit answers."""
    return np.round(expected_share(levels) * 255).astype(np.uint8)


def expected_alpha16(levels: Levels) -> NDArray[np.uint16]:
    """(H, W) of the 16-bit answers."""
    return np.round(expected_share(levels) * 65535).astype(np.uint16)


def to_png(levels: Levels, **options: Any) -> bytes:
    """A PNG of (H, W, 3) or (H, W, 4) or (H, W)."""
    target = io.BytesIO()
    Image.fromarray(levels).save(target, "PNG", compress_level=1, **options)
    return target.getvalue()


def answer_file(levels: Levels, variant: Variant) -> tuple[bytes, str]:
    """The result of the model for this picture, and its content type."""
    alpha = expected_alpha(levels)
    if variant == "html":
        return HTML, "text/html"
    if variant == "l":
        return to_png(alpha), "image/png"
    if variant == "palette":
        return _palette(alpha), "image/png"
    if variant in ("rgba16", "la16"):
        wide = levels.astype(np.uint16) * 257
        colour = wide if variant == "rgba16" else wide[..., :1]
        return _png16(np.dstack([colour, expected_alpha16(levels)])), "image/png"
    if variant == "la":
        grey = levels.mean(axis=2).astype(np.uint8)
        return to_png(np.dstack([grey, alpha])), "image/png"
    if variant == "opaque":
        alpha = np.full_like(alpha, 255)
    data = np.dstack([levels, alpha])
    if variant == "wrong size":
        data = data[: max(1, data.shape[0] // 2)]
    png = to_png(data)
    return (png[: len(png) // 2] if variant == "corrupt" else png), "image/png"


def _palette(alpha: Levels) -> bytes:
    paletted = Image.frombytes("P", alpha.shape[::-1], alpha.tobytes())
    paletted.putpalette([level for grey in range(256) for level in (grey, grey, grey)])
    target = io.BytesIO()
    paletted.save(target, "PNG", transparency=bytes(range(256)))
    return target.getvalue()


def _png16(values: NDArray[np.uint16]) -> bytes:
    """(H, W, 2 or 4) as a 16-bit PNG, which Pillow does not write."""
    height, width, channels = values.shape
    rows = values.astype(">u2").reshape(height, width * channels)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 1)), (b"IEND", b""))
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
