"""One picture as colour and alpha, and the operations that need both."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from .placement import Box, Size

Blend = Literal["srgb", "linear"]
BLENDS: tuple[Blend, ...] = get_args(Blend)

# What is fainter shows in no 8-bit picture, so it does not count as subject.
SUBJECT_LEVEL = 1 / 255


class Layer(NamedTuple):
    """A picture with its alpha."""

    colour: Tensor
    """(H, W, 3) float32, straight, sRGB-encoded."""
    alpha: Tensor
    """(H, W) float32 in 0..1."""


def split(picture: Tensor) -> Layer:
    """Make a Layer of (H, W, 1, 3 or 4), any float dtype; without a fourth channel it is opaque."""
    picture = picture.float()
    channels = picture.shape[-1]
    if channels == 4:
        return Layer(picture[..., :3], picture[..., 3].clamp(0, 1))
    return Layer(picture.expand(*picture.shape[:2], 3), torch.ones_like(picture[..., 0]))


def over(top: Layer, below: Layer, blend: Blend) -> Layer:
    """Put `top` over `below`, both of one size: Porter and Duff 1984, with a straight result.

    With a = top.alpha and b = (1 - a) below.alpha: alpha = a + b and colour = (a F + b B) / alpha,
    on encoded values or in linear light. Where a is 0 or 1 nothing is computed, the pixel is
    copied: rounding can change neither what is opaque nor what is untouched.
    """
    if blend == "srgb" and bool((below.alpha == 1).all()):
        # Most backgrounds have no alpha, and lerp is exact at both ends.
        colour = torch.lerp(below.colour, top.colour, top.alpha[..., None])
        return Layer(colour, torch.ones_like(below.alpha))
    opaque = top.alpha == 1
    colour = torch.where(opaque[..., None], top.colour, below.colour)
    alpha = torch.where(opaque, 1.0, below.alpha)
    band = (top.alpha > 0) & ~opaque
    above = top.alpha[band]
    under = (1 - above) * below.alpha[band]
    total = above + under
    front, back = top.colour[band], below.colour[band]
    if blend == "linear":
        front, back = to_linear(front), to_linear(back)
    mixed = (above[:, None] * front + under[:, None] * back) / total[:, None]
    colour[band] = to_srgb(mixed) if blend == "linear" else mixed
    alpha[band] = total
    return Layer(colour, alpha)


def paste(layer: Layer, box: Box, canvas: Size) -> Layer:
    """Put `layer`, which has the box's size, into `box` on a clear canvas; the rest is cut."""
    if box == Box(0, 0, *canvas):
        return layer
    target, source = box.overlap(canvas)
    colour = layer.colour.new_zeros(*canvas, 3)
    alpha = layer.alpha.new_zeros(canvas)
    colour[target] = layer.colour[source]
    alpha[target] = layer.alpha[source]
    return Layer(colour, alpha)


def subject_box(alpha: Tensor) -> Box | None:
    """Return the bounding box of (H, W) alpha above SUBJECT_LEVEL; None when there is none."""
    visible = alpha > SUBJECT_LEVEL
    rows = visible.any(dim=1).nonzero().flatten().tolist()
    columns = visible.any(dim=0).nonzero().flatten().tolist()
    if not rows:
        return None
    top, left = rows[0], columns[0]
    return Box(top, left, rows[-1] + 1 - top, columns[-1] + 1 - left)


def to_linear(encoded: Tensor) -> Tensor:
    """Turn sRGB-encoded values in 0..1, any shape, into linear light in 0..1 (IEC 61966-2-1)."""
    curve = ((encoded.clamp(min=0) + 0.055) / 1.055) ** 2.4
    return torch.where(encoded <= 0.04045, encoded / 12.92, curve)


def to_srgb(linear: Tensor) -> Tensor:
    """Turn linear light in 0..1, any shape, into sRGB-encoded values in 0..1."""
    curve = 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curve)
