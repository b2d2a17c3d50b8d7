"""The picture behind the subjects of a batch: read once, and made as large as each canvas."""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.composite import CompositeOptions, compose
from ...core.errors import BadOption, BadPicture
from ...core.placement import Size
from ...pictures.read import read_picture
from ...pictures.srgb import OTHER_COLOURS
from .model import Recipe


class Backdrop:
    """pixels: (H, W, 3) float 0..1, sRGB. Any thread may ask for it."""

    def __init__(self, pixels: Tensor) -> None:
        self._pixels = pixels
        self._last: tuple[Size, Tensor] | None = None

    def at(self, size: Size) -> Tensor:
        """(height, width, 3), the picture covering this canvas, cut alike on opposite sides; not to
        be written to. The last size is kept: most batches have one."""
        last = self._last
        if last is None or last[0] != size:
            clear = torch.zeros(1, *size, 3)
            covering, _ = compose(self._pixels[None], None, clear, CompositeOptions(fit="cover"))
            last = self._last = size, covering[0]
        return last[1]


def open_backdrop(recipe: Recipe) -> Backdrop | None:
    """The recipe's background picture; None where it has none.

    Raises BadOption for one that cannot be used: no picture of the batch could be made.
    """
    path = recipe.picture
    if path is None:
        return None
    try:
        picture = read_picture(path, name=str(path), max_megapixels=recipe.max_megapixels)
    except BadPicture as error:
        raise BadOption(f"The background: {error}") from error
    if picture.icc_profile:
        raise BadOption(OTHER_COLOURS.format(name=path))
    if picture.alpha is not None and float(picture.alpha.min()) < 1:
        raise BadOption(
            f"The background {path} is transparent in places; put it on a colour first."
        )
    return Backdrop(picture.pixels)
