"""Decoded pixels before their colours are converted, for what Pillow has no mode for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Levels: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}


@dataclass(frozen=True)
class Samples:
    """Pixels of 8 or 16 bits as stored. colours: (H, W, 1 | 3 | 4): grey, RGB or CMYK. alpha: (H,
    W). premultiplied: the colours were multiplied by it."""

    colours: Levels
    alpha: Levels | None
    premultiplied: bool = False

    def straight(self) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Colours and alpha, float32 in 0..1, not premultiplied."""
        top = np.float32(np.iinfo(self.colours.dtype).max)
        colours = self.colours.astype(np.float32)
        colours /= top
        if self.alpha is None:
            return colours, None
        alpha = self.alpha.astype(np.float32)
        alpha /= top
        if self.premultiplied:
            visible = alpha[..., None] > 0
            np.divide(colours, alpha[..., None], out=colours, where=visible)
            np.minimum(colours, 1, out=colours)
        return colours, alpha

    def images(self) -> tuple[Image.Image, Image.Image | None]:
        """Colours, mode L, RGB or CMYK, and alpha, mode L; of 8-bit pixels."""
        colours = self.colours
        if self.premultiplied:
            colours = (self.straight()[0] * 255 + np.float32(0.5)).astype(np.uint8)
        height, width, channels = colours.shape
        image = Image.frombytes(_MODES[channels], (width, height), colours.tobytes())
        alpha = self.alpha
        size = (width, height)
        return image, None if alpha is None else Image.frombytes("L", size, alpha.tobytes())
