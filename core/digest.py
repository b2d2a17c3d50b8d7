"""sha256 of pixels: the same for a picture in memory and for the lossless file written from it.

What is hashed are the levels that a file would hold, so a format, its compression and its metadata
do not matter. To compute one elsewhere:

    sha256(b"<height>x<width>x<channels>:<bits>:" + samples)

with the samples row by row, channels side by side (straight RGBA), 16 bits with the low byte first.
A picture whose red, green and blue are equal everywhere is hashed as one channel: formats differ in
whether they know grey, and readers in whether they tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Samples in one step: what it needs stays in the processor's cache.
_BLOCK = 1 << 17
_STRIDE = 61  # a prime: all channels, and no column twice in a row
_KINDS = {8: "u1", 16: "<u2"}


@dataclass(frozen=True)
class PixelDigests:
    """What the pixels of one picture hash to."""

    levels8: str
    """Of the picture rounded to 8 bits a channel."""
    levels16: str | None = None
    """To 16 bits; None for a picture that 8 bits hold exactly, as a file of 8 bits does."""


@dataclass(frozen=True)
class WorkDigests:
    """Of one piece of work: what came in, and the two things that went out."""

    source: PixelDigests
    image: PixelDigests
    mask: PixelDigests


def pixel_digests(image: Tensor, *, deep: bool | None = None) -> PixelDigests:
    """Return the digests of one picture, (H, W, C) floating point in 0..1, C = 1, 3 or 4.

    Values beyond 0..1 are clamped and all are rounded half up in float32, as the picture writer
    does it. deep: whether 16 bits are wanted as well; None = where 8 bits do not hold the picture.
    """
    values = _without_equal_colours(image.detach().to("cpu", torch.float32))
    shape = "x".join(str(side) for side in values.shape)
    flat: NDArray[np.float32] = values.reshape(-1).numpy()
    wanted = not _fits_8_bits(flat) if deep is None else deep
    return PixelDigests(_digest(flat, shape, 8), _digest(flat, shape, 16) if wanted else None)


def work_digests(source: Tensor, image: Tensor, mask: Tensor) -> WorkDigests:
    """Hash source and image, (H, W, C), and mask, (H, W), at the same time on up to three cores.

    A soft edge never fits 8 bits, so what went out has digests of 16 bits where what came in has.
    Of what came in every 61st sample is looked at for that.
    """
    samples = source.detach().reshape(-1)[::_STRIDE].to("cpu", torch.float32)
    deep = not _fits_8_bits(samples.numpy())
    with ThreadPoolExecutor(3) as pool:
        found = pool.map(
            lambda picture: pixel_digests(picture, deep=deep), (image, source, mask[..., None])
        )
        of_image, of_source, of_mask = found
    return WorkDigests(of_source, of_image, of_mask)


def level_blocks(flat: NDArray[np.float32], bits: int) -> Iterator[NDArray[np.unsignedinteger]]:
    """Yield the levels of one block of samples after the other, as the picture writer writes them.

    Each block is written over by the next. bits: 8 or 16.
    """
    top = np.float32(2**bits - 1)
    scaled = np.empty(min(_BLOCK, flat.size), np.float32)
    levels = np.empty(scaled.shape, _KINDS[bits])
    for block in _blocks(flat):
        here, whole = scaled[: block.size], levels[: block.size]
        np.clip(block, 0, 1, out=here)
        here *= top
        here += np.float32(0.5)
        np.copyto(whole, here, casting="unsafe")
        yield whole


def _without_equal_colours(values: Tensor) -> Tensor:
    if values.shape[-1] != 3:
        return values
    for part in (values[:1], values):  # one row tells almost every picture of colours
        first = part[..., :1]
        if not torch.equal(first.expand_as(part), part):
            return values
    return values[..., :1]


def _fits_8_bits(flat: NDArray[np.float32]) -> bool:
    top = np.float32(255)
    # Programs divide by 255 or multiply with its inverse; a 16-bit level is never this close.
    near = np.float32(1e-6)
    return all(
        bool((np.abs(np.rint(block * top) / top - block) < near).all()) for block in _blocks(flat)
    )


def _digest(flat: NDArray[np.float32], shape: str, bits: int) -> str:
    digest = hashlib.sha256(f"{shape}:{bits}:".encode())
    for levels in level_blocks(flat, bits):
        digest.update(levels.data)
    return digest.hexdigest()


def _blocks(flat: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    return (flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK))
