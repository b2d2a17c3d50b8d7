"""Resizing masks and layers.

Reducing uses the antialiased triangle filter, which never leaves the range of its input;
enlarging uses bicubic (Keys 1981, a = -0.5), which is sharper and is clamped.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .layers import Layer
from .layout import to_pixels, to_planes

# Below one 16-bit step nothing of the colour survives the division by alpha.
LEAST_ALPHA = 1 / 65535


def resize_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """Resize a mask (B, h, w) to (B, height, width), bilinear with antialiasing, in its dtype."""
    if mask.shape[1:] == (height, width):
        return mask
    resized = functional.interpolate(
        mask.float()[:, None], (height, width), mode="bilinear", antialias=True
    )
    return resized[:, 0].clamp(0, 1).to(mask.dtype)


def resize_layer(layer: Layer, height: int, width: int) -> Layer:
    """Resize straight colour and alpha together: premultiplied inside, straight again after.

    The colour of clear pixels has no weight, so it cannot bleed into the edge (Porter and Duff
    1984); where the result is clear its colour is 0. Colours are clamped to 0..1. A layer that
    already has the size comes back as it is.
    """
    if layer.alpha.shape == (height, width):
        return layer
    # Plane by plane: side by side, the channels would cost twice the time.
    premultiplied = layer.colour.new_empty(1, 4, *layer.alpha.shape)
    torch.mul(to_planes(layer.colour[None])[0], layer.alpha, out=premultiplied[0, :3])
    premultiplied[0, 3] = layer.alpha
    enlarged = height >= layer.alpha.shape[0] and width >= layer.alpha.shape[1]
    resized = functional.interpolate(
        premultiplied,
        (height, width),
        mode="bicubic" if enlarged else "bilinear",
        antialias=True,
    )
    alpha = resized[0, 3]
    visible = alpha > LEAST_ALPHA
    # By the alpha before it is clamped: where bicubic overshoots, colour and alpha do so together.
    colour = resized[:, :3].div_(torch.where(visible, alpha, 1.0)).clamp_(0, 1).mul_(visible)
    return Layer(
        to_pixels(colour)[0].contiguous(),
        torch.where(visible, alpha.clamp(max=1), 0.0),
    )
