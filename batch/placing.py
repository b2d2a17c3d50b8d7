"""A cut-out on its canvas, computed only where the subject is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.errors import BadPicture
from ..core.layers import Layer, over, paste, split, subject_box
from ..core.placement import MOST_PIXELS, Box, Size, place
from ..core.resize import resize_layer
from ..core.shadow import SOFTNESS, THICKNESS, contact_shadow
from ..core.smoothing import REACH
from .backdrop import Backdrop
from .recipe import Canvas

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Placed:
    """image: (H, W, 3), or (H, W, 4) straight alpha on nothing. coverage: (H, W), how much of it
    the subject covers. enlarged: how many times larger the subject became; 1 or less where it did
    not."""

    image: Tensor
    coverage: Tensor
    enlarged: float


def on_canvas(
    cutout: Tensor, canvas: Canvas, behind: Colour | Backdrop | None, name: str
) -> Placed:
    """Put a cut-out on a canvas. The same as `core.composite.compose` on a background of that size,
    without its passes over what stays plain background.

    cutout: (h, w, 4) float 0..1, straight alpha. behind: None is nothing. name: what messages call
    the picture. Raises BadPicture where there is no subject, or it would become too large.
    """
    picture = Size(*cutout.shape[:2])
    box = subject_box(cutout[..., 3])
    if box is None:
        raise no_subject(name)
    source = box if canvas.fit == "subject" else Box(0, 0, *picture)
    size, target = _places(Size(source.height, source.width), canvas, picture, name)
    layer = split(cutout[_window(source)])
    layer = resize_layer(layer, target.height, target.width)

    image = _background(behind, size, cutout)
    coverage = cutout.new_zeros(size)
    region = _clipped(_widened(target, canvas.shadow), size)
    if region is not None:
        window = _window(region)
        place_in = Box(
            target.top - region.top, target.left - region.left, target.height, target.width
        )
        layer = paste(layer, place_in, Size(region.height, region.width))
        image[window] = _over(layer, image[window], canvas)
        coverage[window] = layer.alpha
    return Placed(image, coverage, max(target.height / source.height, target.width / source.width))


def no_subject(name: str) -> BadPicture:
    """What is said of a picture that would come out as plain background."""
    return BadPicture(f"{name}: no subject was found in it. Look at it, or try another backend.")


def _places(source: Size, canvas: Canvas, picture: Size, name: str) -> tuple[Size, Box]:
    """The canvas's size, and the foreground's box on it."""
    if canvas.size != "square":
        size = picture if canvas.size == "source" else Size(canvas.size[1], canvas.size[0])
        return size, place(
            source,
            size,
            fit=canvas.fit,
            anchor=canvas.anchor,
            offset=canvas.offset,
            scale=canvas.scale,
            margin=canvas.margin,
        )
    side = max(source)
    border = round(side * canvas.margin / (1 - 2 * canvas.margin))
    if (side + 2 * border) ** 2 > MOST_PIXELS:
        raise BadPicture(
            f"{name}: its square canvas would have {side + 2 * border} pixels a side. "
            "Choose a smaller margin, or a canvas of a size."
        )
    box = place(
        source,
        Size(side, side),
        fit="none",
        anchor=canvas.anchor,
        offset=(canvas.offset[0] + border, canvas.offset[1] + border),
        scale=canvas.scale,
        margin=0,
    )
    return Size(side + 2 * border, side + 2 * border), box


def _background(behind: Colour | Backdrop | None, size: Size, like: Tensor) -> Tensor:
    """The canvas before anything stands on it."""
    if behind is None:
        return like.new_zeros((*size, 4))
    if isinstance(behind, Backdrop):
        return behind.at(size).clone()
    image = like.new_empty((*size, 3))
    image[:] = like.new_tensor(behind)
    return image


def _over(layer: Layer, below: Tensor, canvas: Canvas) -> Tensor:
    """A layer over a part of the canvas, (h, w, 3 or 4), as `compose` does it."""
    under = split(below)
    if canvas.shadow > 0:
        shade = contact_shadow(layer.alpha) * canvas.shadow
        under = over(Layer(torch.zeros_like(layer.colour), shade), under, canvas.blend)
    colour, alpha = over(layer, under, canvas.blend)
    return colour if below.shape[-1] == 3 else torch.cat([colour, alpha[..., None]], dim=-1)


def _widened(box: Box, shadow: float) -> Box:
    """The box with what its shadow may reach beyond it."""
    if not shadow:
        return box
    size = math.sqrt(box.height * box.width)
    reach = math.ceil(REACH * max(SOFTNESS * size, 0.5)) + math.ceil(THICKNESS * size) + 1
    return Box(box.top - reach, box.left - reach, box.height + 2 * reach, box.width + 2 * reach)


def _clipped(box: Box, canvas: Size) -> Box | None:
    """The part of a box that lies on the canvas; None when there is none."""
    rows, columns = box.overlap(canvas)[0]
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return Box(rows.start, columns.start, height, width) if height and width else None


def _window(box: Box) -> tuple[slice, slice]:
    return slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
