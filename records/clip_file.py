"""One paid video as one file of the cache.

    the video | head: JSON | sha256 of the head (32) | length of the head (4) | magic (8)

What is said of it stands behind it, so that a download becomes an entry where it lies. The head has
the sha256 of the video, so whatever a disk or a crash does to the file is recognised.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from decimal import InvalidOperation
from pathlib import Path
from typing import BinaryIO

from ..core.money import cost_text
from ..core.types import Clip
from .entry import Damaged, facts_of

_MAGIC = b"RMBGvid\x01"
_END = struct.Struct(">32sI8s")
_MOST_OF_A_HEAD = 1 << 20
_PIECE = 1 << 20


def seal(work: str, clip: Clip) -> int:
    """Write behind a video what is to be said of it; the size of the whole, on the disk.

    Raises OSError.
    """
    head = {
        "work": work,
        "size": clip.size,
        "sha256": clip.sha256,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "facts": {**asdict(clip.facts), "cost": cost_text(clip.facts.cost)},
    }
    words = json.dumps(head).encode()
    with open(clip.path, "r+b") as file:
        file.truncate(clip.size)
        file.seek(clip.size)
        file.write(words + _END.pack(hashlib.sha256(words).digest(), len(words), _MAGIC))
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def unseal(work: str, path: Path) -> Clip:
    """Return the result of this work, as one that costs nothing any more. Reads all of it.

    Raises Damaged and OSError.
    """
    with open(path, "rb") as file:
        try:
            words, size = _head(file)
            head = json.loads(words)
            if head["work"] != work or head["size"] != size:
                raise Damaged("it is the result of another video")
            clip = Clip(path, head["size"], head["sha256"], facts_of(head["facts"], head["date"]))
        except (ValueError, KeyError, TypeError, InvalidOperation, struct.error) as error:
            raise Damaged(str(error)) from error
        file.seek(0)
        digest = hashlib.sha256()
        for piece in pieces(file, clip.size):
            digest.update(piece)
    if digest.hexdigest() != clip.sha256:
        raise Damaged("the checksum differs")
    return clip


def pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the next `size` bytes of a file, fewer where it ends before."""
    while size > 0 and (piece := file.read(min(_PIECE, size))):
        size -= len(piece)
        yield piece


def _head(file: BinaryIO) -> tuple[bytes, int]:
    """Return the head and how many bytes stand before it. Raises Damaged."""
    end = file.seek(0, os.SEEK_END)
    if end < _END.size:
        raise Damaged("it is too short")
    file.seek(end - _END.size)
    digest, length, magic = _END.unpack(file.read())
    if magic != _MAGIC or length > min(_MOST_OF_A_HEAD, end - _END.size):
        raise Damaged("it is no video of this cache")
    file.seek(end - _END.size - length)
    words = file.read(length)
    if hashlib.sha256(words).digest() != digest:
        raise Damaged("what is said of the video differs")
    return words, end - _END.size - length
