"""A layer put on a canvas, computed only where the layer and its shadow lie."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .layers import Blend, Layer, over, paste, split
from .placement import Box, Size
from .shadow import SOFTNESS, THICKNESS, contact_shadow
from .smoothing import REACH


def overlay(
    layer: Layer, box: Box, image: Tensor, coverage: Tensor, *, blend: Blend, shadow: float
) -> None:
    """Put a layer, which has the box's size, on a canvas: changes `image` and `coverage` in place.

    image: (H, W, 3), or (H, W, 4) with straight alpha, float in 0..1, sRGB-encoded. coverage:
    (H, W), 0 before; how much of the canvas the layer covers, after. What lies outside of the
    canvas is cut. blend: see `layers.over`. shadow: 0..1, the strength of the contact shadow.
    Pixels that neither the layer nor its shadow reaches are not touched.
    """
    canvas = Size(*coverage.shape)
    region = _clipped(_widened(box, shadow), canvas)
    if region is None:
        return
    window = region.window
    inside = Box(box.top - region.top, box.left - region.left, box.height, box.width)
    layer = paste(layer, inside, Size(region.height, region.width))
    below = split(image[window])
    if shadow > 0:
        shade = contact_shadow(layer.alpha) * shadow
        below = over(Layer(torch.zeros_like(layer.colour), shade), below, blend)
    colour, alpha = over(layer, below, blend)
    image[window][..., :3] = colour
    if image.shape[-1] == 4:
        image[window][..., 3] = alpha
    coverage[window] = layer.alpha


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
