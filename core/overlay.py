"""A layer put on a canvas, with a soft shadow where it stands, computed only where they lie."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .layers import Blend, Layer, over, paste, split, subject_box
from .placement import Box, Size
from .resize import resize_mask
from .smoothing import REACH, gaussian_blur

# Shares of the subject's size, which is the geometric mean of its height and width.
THICKNESS = 0.06
SOFTNESS = 0.02
# The share of the subject's height, from the bottom, that is near enough to the ground.
FOOT = 0.2


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
    """Return the box with what its shadow may reach beyond it."""
    if not shadow:
        return box
    size = math.sqrt(box.height * box.width)
    reach = math.ceil(REACH * max(SOFTNESS * size, 0.5)) + math.ceil(THICKNESS * size) + 1
    return Box(box.top - reach, box.left - reach, box.height + 2 * reach, box.width + 2 * reach)


def _clipped(box: Box, canvas: Size) -> Box | None:
    """Return the part of a box that lies on the canvas; None when there is none."""
    rows, columns = box.overlap(canvas)[0]
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return Box(rows.start, columns.start, height, width) if height and width else None


def contact_shadow(alpha: Tensor) -> Tensor:
    """Return the shadow's strength, (H, W) in 0..1, for a subject with this alpha, (H, W) float32.

    The lowest fifth of the subject, squashed flat, centred on the lowest row and blurred: what
    a broad light from above leaves below an object. All zero where there is no subject.
    """
    box = subject_box(alpha)
    if box is None:
        return torch.zeros_like(alpha)
    size = math.sqrt(box.height * box.width)
    thickness = max(1, round(THICKNESS * size))
    ground = box.top + box.height
    foot = alpha[ground - math.ceil(FOOT * box.height) : ground, box.left : box.left + box.width]
    flat = resize_mask(foot[None], thickness, box.width)[0]
    where = Box(ground - thickness // 2, box.left, thickness, box.width)
    canvas = Size(*alpha.shape)
    placed = paste(Layer(flat[..., None].expand(-1, -1, 3), flat), where, canvas).alpha
    return gaussian_blur(placed[None], max(SOFTNESS * size, 0.5))[0]
