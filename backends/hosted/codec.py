"""Pictures on their way to a provider and back: a frame to PNG bytes, an answer to alpha.

What is sent is a lossless 8-bit sRGB PNG that holds pixels and nothing else: no name, no date, no
profile. Of what comes back only the alpha is read.
"""

from __future__ import annotations

import hashlib
import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...core.errors import BadPicture, UnusableResult
from ...core.types import Frame
from ...pictures.still import unit
from .alpha_file import OPAQUE, alpha_levels

# Run lengths after PNG's own row filters: on photographs as small as zlib's level 4 to 6 in less
# time than its level 1, on plain backdrops between the two. Only repeating patterns, as on a page
# of text, come out larger. (2048 x 1365: 3.9 MB in 0.16 s; level 1: 4.2 MB, level 6: 3.8 MB in
# 0.8 s.)
_LEVEL = 1
_STRATEGY = zlib.Z_RLE

_TRIES = 6
_NEARLY = 0.97  # aimed at, of the bytes that are allowed
_ENOUGH = 0.90  # the search for a larger size that still fits ends here


class Stopped(Exception):
    """The run is over, and the bytes that were being made are not wanted."""


@dataclass(frozen=True)
class Sent:
    """What is sent for one picture."""

    png: bytes
    width: int
    height: int
    note: str = ""
    """What its report must say of it; empty for nothing."""


class _Sink(io.BytesIO):
    """Collects an encoder's output, and ends the encoder when it is not wanted any more."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        super().__init__()
        self._stop = stop

    def write(self, data: object) -> int:
        if self._stop():
            raise Stopped
        return super().write(data)  # type: ignore[arg-type]  # Pillow writes bytes


def levels_of(frame: Frame) -> NDArray[np.uint8]:
    """Return the frame as it is sent: (H, W, 3), each value at its nearest level, ties to even."""
    values = frame.pixels.detach().to(torch.float32).clamp(0, 1).mul_(255).round_()
    return values.to("cpu", torch.uint8).contiguous().numpy()


def identity(levels: NDArray[np.uint8]) -> str:
    """Return the sha256 of the picture's size and levels as sent, in hexadecimal."""
    height, width, _ = levels.shape
    digest = hashlib.sha256(f"{height}x{width}:".encode())
    digest.update(np.ascontiguousarray(levels).data)
    return digest.hexdigest()


def encode_png(levels: NDArray[np.uint8], stop: Callable[[], bool]) -> bytes:
    """Encode (H, W, 3) as a PNG of IHDR, IDAT and IEND only; equal levels give equal bytes.

    Raises Stopped soon after stop() is true.
    """
    return _encoded(Image.fromarray(levels), stop)


def fit_png(
    levels: NDArray[np.uint8], most_bytes: int, downscale: bool, stop: Callable[[], bool]
) -> Sent:
    """Encode the picture as a PNG that the provider takes.

    downscale: reduce a picture of more bytes, with a filter against aliasing, to about the largest
    size that fits, and say so in the note. Raises BadPicture for one that does not fit, and Stopped
    soon after stop() is true.
    """
    whole = Image.fromarray(levels)
    png = encode_png(levels, stop)
    if len(png) <= most_bytes:
        return Sent(png, whole.width, whole.height)
    has, takes = f"{len(png) / 1e6:.1f} MB as PNG", f"{most_bytes / 1e6:.1f} MB"
    sent = _reduced(whole, len(png), most_bytes, stop) if downscale else None
    if sent is None:
        raise BadPicture(
            f"it has {has}, and this provider takes {takes}. Switch on the backend's setting "
            "`downscale`, make the picture smaller, or choose a provider that takes more."
        )
    return Sent(
        sent.png,
        sent.width,
        sent.height,
        f"sent at {sent.width} x {sent.height} instead of {whole.width} x {whole.height}, because "
        f"it has {has} and the provider takes {takes}; the mask is coarser for it",
    )


def most_bytes(size: tuple[int, int]) -> int:
    """Return more bytes than any honest answer has for a picture of this (width, height): four
    channels of 16 bits that do not compress, and what is written beside them."""
    width, height = size
    return 16_000_000 + 9 * width * height


def decode_alpha(data: bytes, sent_size: tuple[int, int]) -> Tensor:
    """Return the alpha in a provider's file, (h, w) float32 on the CPU, exactly k/255 or k/65535.

    sent_size: (width, height) of the picture that was sent, which the answer must have too; this is
    judged before anything is decoded. A PNG or WebP with alpha (also as a transparent palette entry
    or key colour), or a grey PNG, which is a mask itself. An alpha of nothing but 0 is an answer:
    no subject was found.

    Raises UnusableResult for what is no picture, damaged, animated, of another size, or opaque.
    """
    levels = alpha_levels(data, sent_size)
    if levels.min() == np.iinfo(levels.dtype).max:
        raise UnusableResult(OPAQUE)
    return torch.from_numpy(unit(levels))


def _encoded(image: Image.Image, stop: Callable[[], bool]) -> bytes:
    sink = _Sink(stop)
    image.save(sink, "PNG", compress_level=_LEVEL, compress_type=_STRATEGY)
    return sink.getvalue()


def _reduced(
    whole: Image.Image, whole_bytes: int, most: int, stop: Callable[[], bool]
) -> Sent | None:
    """About the largest reduction of at most this many bytes; None when there is none."""
    best: Sent | None = None
    fits, too_large = 0.0, 1.0
    scale = math.sqrt(_NEARLY * most / whole_bytes)
    for _ in range(_TRIES):
        size = max(1, round(whole.width * scale)), max(1, round(whole.height * scale))
        png = _encoded(whole.resize(size, Image.Resampling.LANCZOS), stop)
        if len(png) <= most:
            fits, best = scale, Sent(png, *size)
        else:
            too_large = scale
        if (best and len(best.png) >= _ENOUGH * most) or (size == (1, 1) and not best):
            break
        # Bytes grow about as the area does; where they do not, halving the interval does it.
        guess = scale * math.sqrt(_NEARLY * most / len(png))
        scale = guess if fits < guess < too_large else (fits + too_large) / 2
    return best
