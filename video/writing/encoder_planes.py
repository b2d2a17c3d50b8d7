"""Float pixels to the planes that an encoder takes.

One product with a matrix turns pixels into samples, a few rows at a time so that they stay in the
processor's cache, and each sample is rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
import torch
from torch import Tensor

from ..reading.ycbcr import MATRICES

_ROWS = 16


@dataclass(frozen=True)
class Samples:
    """How an encoder's planes stand for colours."""

    pixel_format: str
    """FFmpeg's name: planar Y'CbCr of 8 or 10 bits, or bgra."""
    bits: int
    matrix: str
    """As in `Colours`; "rgb" for bgra."""
    full_range: bool
    matte: bool = False
    """Luma is the alpha, and there is no colour."""

    @property
    def has_alpha(self) -> bool:
        return self.pixel_format.startswith("yuva")

    @property
    def halved(self) -> tuple[int, int]:
        """How many columns and rows share one sample of colour."""
        layout = self.pixel_format.removeprefix("yuva").removeprefix("yuv")[:3]
        return {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[layout]

    def product(self, channels: int) -> tuple[Tensor, Tensor]:
        """Return the matrix (samples, channels) and what is added (samples, 1), half a level with
        it: what is cut off after that is rounded."""
        top = float(2**self.bits - 1)
        unit = float(2 ** (self.bits - 8))
        low, luma, chroma = (
            (0.0, top, top) if self.full_range else (16 * unit, 219 * unit, 224 * unit)
        )
        red, blue = MATRICES[self.matrix].red, MATRICES[self.matrix].blue
        y = np.array([red, 1 - red - blue, blue])
        rows = [
            y * luma,
            (np.array([0, 0, 1]) - y) / (2 * (1 - blue)) * chroma,
            (np.array([1, 0, 0]) - y) / (2 * (1 - red)) * chroma,
        ]
        matrix = np.zeros((4 if self.has_alpha else 3, channels))
        bias = np.array([low, 128 * unit, 128 * unit, 0.0])[: len(matrix)] + 0.5
        if not self.matte:
            matrix[:3, :3] = rows
        elif channels == 4:
            matrix[0, 3] = luma
        else:
            bias[0] += luma
        if self.has_alpha:
            matrix[3, 3:] = top
            bias[3] = 0.5 if channels == 4 else top + 0.5
        return (torch.from_numpy(matrix).float(), torch.from_numpy(bias).float().unsqueeze(1))


def to_encoder(image: Tensor, samples: Samples, size: tuple[int, int]) -> av.VideoFrame:
    """Return a picture as an encoder takes it.

    image: (H, W, 3) or (H, W, 4) float32 on the CPU. size: (width, height) of the encoder's
    picture, at most one more than the image's: its last column and row are repeated.
    """
    width, height = size
    frame = av.VideoFrame(width, height, samples.pixel_format)
    if samples.matrix == "rgb":
        _pack(image, frame)
        return frame
    planes = [_plane(plane, samples.bits) for plane in frame.planes]
    matrix, bias = samples.product(image.shape[2])
    top = 2**samples.bits - 1
    across, down = samples.halved
    for start in range(0, height, _ROWS):
        block = _rows(image, start, min(start + _ROWS, height), width)
        # No copy, whether the channels of a pixel lie side by side or in planes of their own.
        channels = block.permute(2, 0, 1).reshape(block.shape[2], -1)
        values = torch.addmm(bias, matrix, channels).clamp_(0, top + 0.5)
        values = values.view(-1, *block.shape[:2])
        stop = start + len(block)
        planes[0][start:stop].copy_(values[0])
        if samples.has_alpha:
            planes[3][start:stop].copy_(values[3])
        chroma = _shared(values[1:3], across, down)
        first = start // down
        for number in (0, 1):
            planes[1 + number][first : first + chroma.shape[1]].copy_(chroma[number])
    return frame


def _pack(image: Tensor, frame: av.VideoFrame) -> None:
    """Write a picture into a frame of bgra."""
    (plane,) = frame.planes
    packed = torch.from_numpy(np.frombuffer(memoryview(plane), np.uint8))
    pixels = packed.view(plane.height, -1)[:, : plane.width * 4].view(plane.height, -1, 4)
    levels = image.mul(255).add_(0.5).clamp_(0, 255)
    for channel, place in enumerate((2, 1, 0, 3)):
        if channel < image.shape[2]:
            pixels[..., place].copy_(levels[..., channel])
        else:
            pixels[..., place].fill_(255)


def _rows(image: Tensor, start: int, stop: int, width: int) -> Tensor:
    """Return rows of the picture, the last row and column repeated where it is too small."""
    block = image[start:stop]
    if len(block) < stop - start:
        block = torch.cat((block, image[-1:]))
    if block.shape[1] < width:
        block = torch.cat((block, block[:, -1:]), dim=1)
    return block


def _shared(chroma: Tensor, across: int, down: int) -> Tensor:
    """Return the colour of (2, rows, columns) with the columns and rows that share a sample made
    one: a sample lies on the left column and between the rows, as decoders take it."""
    if down == 2:
        if chroma.shape[1] % 2:
            chroma = torch.cat((chroma, chroma[:, -1:]), dim=1)
        chroma = (chroma[:, 0::2] + chroma[:, 1::2]).mul_(0.5)
    if across == 2:
        if chroma.shape[2] % 2:
            chroma = torch.cat((chroma, chroma[..., -1:]), dim=2)
        own, right = chroma[..., 0::2], chroma[..., 1::2]
        left = torch.cat((chroma[..., :1], right[..., :-1]), dim=2)
        chroma = (left + right).mul_(0.25).add_(own, alpha=0.5)
    return chroma


def _plane(plane: av.video.plane.VideoPlane, bits: int) -> Tensor:
    """View a plane of a frame as (rows, columns); writing to it writes the frame."""
    kind = np.uint8 if bits == 8 else np.int16
    lines = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
    return torch.from_numpy(lines[:, : plane.width])
