"""A cut-out on its canvas, and the picture behind it; computed only where the subject is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ...core.composite import CompositeOptions, compose
from ...core.errors import BadOption, BadPicture
from ...core.layers import split, subject_box
from ...core.overlay import overlay
from ...core.placement import MOST_PIXELS, Box, Size, place
from ...core.report import NO_SUBJECT, Remark
from ...core.resize import resize_layer
from ...pictures.read import read_picture
from ...pictures.srgb import OTHER_COLOURS
from .canvas import Canvas
from .model import Recipe

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Placed:
    """A cut-out on its canvas."""

    image: Tensor
    """(H, W, 3), or (H, W, 4) straight alpha on nothing."""
    coverage: Tensor
    """(H, W), how much of it the subject covers."""
    enlarged: float
    """How many times larger the subject became; 1 or less where it did not."""


class Backdrop:
    """The picture behind the subjects of a batch, as large as each canvas. Any thread may ask."""

    def __init__(self, pixels: Tensor) -> None:
        """Keep pixels (H, W, 3) float 0..1, sRGB."""
        self._pixels = pixels
        self._last: tuple[Size, Tensor] | None = None

    def at(self, size: Size) -> Tensor:
        """Return the picture covering this canvas (height, width, 3), cut alike on opposite sides.

        It is not to be written to. The last size is kept: most batches have one.
        """
        last = self._last
        if last is None or last[0] != size:
            clear = torch.zeros(1, *size, 3)
            covering, _ = compose(self._pixels[None], None, clear, CompositeOptions(fit="cover"))
            last = self._last = size, covering[0]
        return last[1]


def open_backdrop(recipe: Recipe) -> Backdrop | None:
    """Return the recipe's background picture; None where it has none.

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


def on_canvas(
    cutout: Tensor, canvas: Canvas, behind: Colour | Backdrop | None, name: str
) -> Placed:
    """Put a cut-out on a canvas, as `core.composite.compose` does on a background of that size.

    cutout: (h, w, 4) float 0..1, straight alpha. behind: None is nothing. name: what messages call
    the picture. Raises BadPicture where there is no subject, or it would become too large.
    """
    picture = Size(*cutout.shape[:2])
    box = subject_box(cutout[..., 3])
    if box is None:
        raise no_subject(name)
    source = box if canvas.fit == "subject" else Box(0, 0, *picture)
    size, target = _places(Size(source.height, source.width), canvas, picture, name)
    layer = split(cutout[source.window])
    layer = resize_layer(layer, target.height, target.width)

    image = _background(behind, size, cutout)
    coverage = cutout.new_zeros(size)
    overlay(layer, target, image, coverage, blend=canvas.blend, shadow=canvas.shadow)
    return Placed(image, coverage, max(target.height / source.height, target.width / source.width))


def check_fits(picture: Size, canvas: Canvas, name: str) -> None:
    """Raise BadOption or BadPicture where a picture, whatever is in it, becomes too large.

    For a fit other than "subject".
    """
    _places(picture, canvas, picture, name)


def no_subject(name: str) -> BadPicture:
    """Return the error of a picture that would come out as plain background."""
    said = f"{name}: no subject was found in it. Look at it, or try another backend."
    return BadPicture(Remark(said, NO_SUBJECT))


def _places(source: Size, canvas: Canvas, picture: Size, name: str) -> tuple[Size, Box]:
    """Return the canvas's size, and the foreground's box on it."""
    put = partial(place, source, anchor=canvas.anchor, scale=canvas.scale)
    if canvas.size != "square":
        size = picture if canvas.size == "source" else Size(canvas.size[1], canvas.size[0])
        return size, put(size, fit=canvas.fit, offset=canvas.offset, margin=canvas.margin)
    side = max(source)
    border = round(side * canvas.margin / (1 - 2 * canvas.margin))
    if (side + 2 * border) ** 2 > MOST_PIXELS:
        raise BadPicture(
            f"{name}: its square canvas would have {side + 2 * border} pixels a side. "
            "Choose a smaller margin, or a canvas of a size."
        )
    offset = canvas.offset[0] + border, canvas.offset[1] + border
    box = put(Size(side, side), fit="none", offset=offset, margin=0)
    return Size(side + 2 * border, side + 2 * border), box


def _background(behind: Colour | Backdrop | None, size: Size, like: Tensor) -> Tensor:
    """Return the canvas before anything stands on it."""
    if behind is None:
        return like.new_zeros((*size, 4))
    if isinstance(behind, Backdrop):
        return behind.at(size).clone()
    image = like.new_empty((*size, 3))
    image[:] = like.new_tensor(behind)
    return image
