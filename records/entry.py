"""One paid result as the bytes of one file.

    magic (8) | sha256 of everything after it (32) | length of the head (4, big-endian)
    head: JSON | the alpha: PNG or NPY | the provider's own file, if there is one

The checksum covers every byte that is read, so whatever a disk or a crash does to the file, it is
either what was stored or recognised as damaged.

An alpha channel is smooth or constant, so each row of a PNG is stored as its difference from the
one above (filter type 2, "Up") at zlib's fastest level. No limit on the size of a picture, no
colour management and no library stands between the levels and what comes back.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from dataclasses import asdict, fields
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.money import cost_text
from ..core.types import Facts, Matte
from ..pictures import png
from ..pictures.still import Levels, Unusable, unit

_MAGIC = b"RMBG\r\n\x1a\x01"  # a transfer as text breaks it
_DIGEST = hashlib.sha256().digest_size
_LENGTH = struct.Struct(">I")
_TOPS = {"png8": np.uint8, "png16": np.uint16}
_HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, and three zeros
_UP = 2
_FACTS = frozenset(field.name for field in fields(Facts))


class Damaged(Exception):
    """These bytes are not what was stored."""


def pack(work: str, matte: Matte) -> bytes:
    """Return the file of this work's result. The values come back bit for bit."""
    form, alpha = _encode(matte.values.detach().to("cpu", torch.float32).contiguous().numpy())
    original = matte.original or b""
    head = {
        "work": work,
        "kind": matte.kind,
        "form": form,
        "alpha_bytes": len(alpha),
        "has_original": matte.original is not None,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "facts": {**asdict(matte.facts), "cost": cost_text(matte.facts.cost)},
    }
    words = json.dumps(head).encode()
    parts = (_LENGTH.pack(len(words)), words, alpha, original)
    return b"".join((_MAGIC, _digest(parts), *parts))


def unpack(work: str, data: bytes) -> Matte:
    """Return the result of this work, as one that costs nothing any more. Raises Damaged."""
    start = len(_MAGIC) + _DIGEST
    view = memoryview(data)
    if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : start] != _digest((view[start:],)):
        raise Damaged("the checksum differs")
    try:
        (length,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        head = json.loads(data[start : start + length])
        if head["work"] != work:
            raise Damaged("it is the result of another picture")
        middle = start + length + head["alpha_bytes"]
        values = _decode(head["form"], data[start + length : middle])
        facts = facts_of(head["facts"], head["date"])
        original = data[middle:] if head["has_original"] else None
        return Matte(torch.from_numpy(values), head["kind"], facts, original)
    except (ValueError, KeyError, TypeError, InvalidOperation) as error:  # an unknown version
        raise Damaged(str(error)) from error


def _encode(values: NDArray[np.float32]) -> tuple[str, bytes]:
    """In the smallest form that gives back the same bits."""
    if bool(((values >= 0) & (values <= 1)).all()):  # False for NaN
        for form, kind in _TOPS.items():
            levels = np.rint(values * np.float32(np.iinfo(kind).max)).astype(kind)
            if np.array_equal(unit(levels).view(np.int32), values.view(np.int32)):
                return form, encode_grey(levels)
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return "npy", buffer.getvalue()


def _decode(form: str, data: bytes) -> NDArray[np.float32]:
    if form in _TOPS:
        return unit(decode_grey(data))
    values: NDArray[np.float32] = np.load(io.BytesIO(data), allow_pickle=False)
    return values


def encode_grey(levels: Levels) -> bytes:
    """Return a PNG of (h, w) levels with as many bits as they have."""
    height, width = levels.shape
    bits = levels.dtype.itemsize * 8
    rows = np.ascontiguousarray(levels, f">u{levels.dtype.itemsize}").view(np.uint8)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = _HEADER.pack(width, height, bits, 0, 0, 0, 0)
    packed = zlib.compress(filtered.data, 1)
    return png.join(((b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")))


def decode_grey(data: bytes) -> Levels:
    """Return the (h, w) levels of a PNG made by `encode_grey`. Raises ValueError for others."""
    try:
        parts = dict(png.chunks(data))
        width, height, bits, *_ = _HEADER.unpack(parts[b"IHDR"])
        unpacked = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8)
        filtered = unpacked.reshape(height, width * bits // 8 + 1)
    except (Unusable, KeyError, zlib.error) as error:
        raise ValueError("not a PNG of this package") from error
    if not (filtered[:, 0] == _UP).all():
        raise ValueError("not a PNG of this package")
    rows = np.cumsum(filtered[:, 1:], axis=0, dtype=np.uint8)
    return rows if bits == 8 else rows.view(">u2").astype(np.uint16)


def facts_of(stored: dict[str, object], date: str) -> Facts:
    """Return what was said of a result then, as of one that costs nothing now."""
    known = {name: value for name, value in stored.items() if name in _FACTS}
    request = f" under request {known['request_id']}" if known.get("request_id") else ""
    notes = [f"from the cache: delivered by {known['backend']} on {date}{request}, paid then"]
    listed = known.get("notes")
    if isinstance(listed, list):
        notes = [*listed, *notes]
    now = {"cost": Decimal(0), "device": "cache", "seconds": 0.0, "left_machine": False}
    return Facts(**{**known, **now, "notes": tuple(notes)})  # type: ignore[arg-type]


def _digest(parts: tuple[bytes | memoryview, ...]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()
