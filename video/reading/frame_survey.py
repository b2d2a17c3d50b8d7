"""A video looked at from its first frame to its last: how many, which, and how opaque."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..frames import VideoInfo
from .read_frames import read_frames

# An alpha of 1 comes back from a lossy encoder as a little less.
_OPAQUE = 0.9


@dataclass(frozen=True)
class Survey:
    """What was seen."""

    frames: int
    sha256: str
    """Of the digests of all frames, 32 bytes each, in the order of display; a frame's is that of
    its size, its bits and its samples."""
    opaque: bool
    """Nothing of it is transparent, anywhere in any frame, but for what encoding made of it."""
    empty: int
    """How many frames have nothing that is not transparent."""
    warnings: tuple[str, ...]
    """What was damaged, missing or corrected."""


def survey(path: Path, info: VideoInfo, check: Callable[[], None] = lambda: None) -> Survey:
    """Decode a video once, one frame in memory. check: ends it by raising. Raises BadPicture."""
    whole, count, empty, opaque = hashlib.sha256(), 0, 0, True
    said: list[str] = []
    for frame in read_frames(path, info, check=check, warn=said.append):
        levels = frame.pixels.contiguous().numpy()
        height, width, channels = levels.shape
        digest = hashlib.sha256(f"{height}x{width}x{channels}:{levels.itemsize * 8}:".encode())
        digest.update(levels.data)
        whole.update(digest.digest())
        count += 1
        if channels == 4:
            empty += not levels[..., 3].any()
            opaque = opaque and bool(levels[..., 3].min() > _OPAQUE * np.iinfo(levels.dtype).max)
    return Survey(count, whole.hexdigest(), opaque, empty, tuple(said))
