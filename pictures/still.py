"""A picture file taken apart without decoding it, and its pixels as stored once it is decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .formats import Depth

Levels: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"

CUT_OFF = "the file ends before the picture does; get a complete copy"
DAMAGED = "the file is damaged; get it again, or save it anew from a program that opens it"
NO_PIXELS = "it has no pixels"
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
# What Pillow's decoders raise on bytes that are not what their header says.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
    struct.error,
    UserWarning,  # of a program that has turned warnings into errors
    Image.DecompressionBombError,
)


class Unusable(Exception):
    """Why a file gives no picture, as the end of a sentence that begins with its name."""


@contextmanager
def within_pillows_limit(format: str) -> Iterator[None]:
    """Raise Unusable, as too large, where Pillow's own limit of pixels is passed."""
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Unusable(
            f"Pillow decodes no {format} picture of this size; save it as PNG, or raise "
            "PIL.Image.MAX_IMAGE_PIXELS"
        ) from error


@contextmanager
def decoding() -> Iterator[None]:
    """Raise Unusable in place of what a decoder raises on damaged bytes."""
    try:
        yield
    except DECODER_ERRORS as error:
        raise Unusable(DAMAGED) from error


@dataclass(frozen=True)
class Samples:
    """Pixels of 8 or 16 bits as stored, for what Pillow has no mode for."""

    colours: Levels
    """(H, W, 1 | 3 | 4): grey, RGB or CMYK."""
    alpha: Levels | None
    """(H, W)."""
    premultiplied: bool = False
    """Whether the colours were multiplied by alpha."""

    def straight(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return colours and alpha, float32 in 0..1, not premultiplied."""
        colours = unit(self.colours)
        if self.alpha is None:
            return colours, None
        alpha = unit(self.alpha)
        if self.premultiplied:
            visible = alpha[..., None] > 0
            np.divide(colours, alpha[..., None], out=colours, where=visible)
            np.minimum(colours, 1, out=colours)
        return colours, alpha

    def images(self) -> tuple[Image.Image, Image.Image | None]:
        """Return colours, mode L, RGB or CMYK, and alpha, mode L; of 8-bit pixels."""
        colours = self.colours
        if self.premultiplied:
            colours = (self.straight()[0] * 255 + np.float32(0.5)).astype(np.uint8)
        height, width, channels = colours.shape
        size = (width, height)
        image = Image.frombytes(_MODES[channels], size, colours.tobytes())
        alpha = self.alpha
        return image, None if alpha is None else Image.frombytes("L", size, alpha.tobytes())


@dataclass(frozen=True)
class Still:
    """An encoded picture: its header's facts, and a file that holds its pixels and nothing else."""

    size: tuple[int, int]
    """(width, height) as stored, before the picture is turned upright."""
    depth: Depth
    data: bytes
    """The same format without metadata, text and further frames, which a decoder may trip over."""
    icc_profile: bytes | None
    samples: Callable[[], Samples] | None = None
    """Reads the pixels instead of a decoder of Pillow's or FFmpeg's; for TIFF."""
    warnings: tuple[str, ...] = ()
    """What a user should hear of a file that is read nevertheless."""


def unit(levels: Levels) -> NDArray[np.float32]:
    """Return levels as float32 in 0..1, exactly k/255 or k/65535."""
    values = levels.astype(np.float32)
    values /= np.float32(np.iinfo(levels.dtype).max)
    return values


def several(count: int, what: str = "pictures") -> tuple[str, ...]:
    """What is said of a file that holds several pictures, one of which is read."""
    return (f"it holds {count} {what}, and only the first was used",) if count > 1 else ()
