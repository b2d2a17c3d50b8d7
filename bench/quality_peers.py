"""What other packages do after their network, written anew from what their code was seen to do.

A mask's way to the picture's size, and a colour for the cut-out; straight alpha in every case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from ..core.finish import to_size, upsample_mask
from ..core.foreground import estimate_foreground
from ..demo.shapes import Array

Upsample = Callable[[Array, Array], Array]  # mask (h, w), image (H, W, 3) -> alpha (H, W)
Colour = Callable[[Array, Array], Array]  # image (H, W, 3), alpha (H, W) -> colour (H, W, 3)


@dataclass(frozen=True)
class Chain:
    """What becomes of a mask, and of the colours."""

    name: str
    upsample: Upsample
    colour: Colour


def chains() -> list[Chain]:
    """Ours first; then the peers in the order of the table."""
    return [
        Chain("ours", _ours, _our_colour),
        Chain("1038lab", _bilinear, _kept),
        Chain("rembg", _lanczos, _premultiplied),
        Chain("ComfyUI core", _bicubic_logits, _kept),
        Chain("BiRefNet blur fusion", _bilinear, blur_fusion),
    ]


def pymatting_colour() -> Colour | None:
    """The reference implementation of multi-level estimation; None where it is not installed."""
    if find_spec("pymatting") is None:
        return None
    estimate: Callable[[Array, Array], Array] = import_module("pymatting").estimate_foreground_ml
    return lambda image, alpha: np.asarray(estimate(image, alpha), np.float32)


def _ours(mask: Array, image: Array) -> Array:
    result: Array = upsample_mask(torch.from_numpy(mask)[None], torch.from_numpy(image)[None])[
        0
    ].numpy()
    return result


def _our_colour(image: Array, alpha: Array) -> Array:
    pixels, matte = torch.from_numpy(image)[None], torch.from_numpy(alpha)[None]
    result: Array = estimate_foreground(pixels, matte)[0].numpy()
    return result


def _bilinear(mask: Array, image: Array) -> Array:
    planes = torch.from_numpy(mask)[None, None]
    result: Array = functional.interpolate(planes, image.shape[:2], mode="bilinear")[0, 0].numpy()
    return result


def _lanczos(mask: Array, image: Array) -> Array:
    levels = Image.fromarray(np.rint(mask * 255).astype(np.uint8))
    size = (image.shape[1], image.shape[0])
    return np.asarray(np.asarray(levels.resize(size, Image.Resampling.LANCZOS)) / 255, np.float32)


def _bicubic_logits(mask: Array, image: Array) -> Array:
    height, width = image.shape[:2]
    result: Array = to_size(torch.from_numpy(mask)[None], "alpha", height, width)[0].numpy()
    return result


def _kept(image: Array, alpha: Array) -> Array:
    return image


def _premultiplied(image: Array, alpha: Array) -> Array:
    """Multiplied by alpha and stored beside it: darkened twice when it is composited."""
    return np.asarray(image * alpha[..., None], np.float32)


def blur_fusion(image: Array, alpha: Array) -> Array:
    """Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021, twice, as BiRefNet does:
    windows of 90 and of 6 pixels whatever the picture's size."""
    foreground, background = image, image
    for side in (90, 6):
        foreground, background = _fused(image, foreground, background, alpha[..., None], side)
    return foreground


def _fused(
    image: Array, foreground: Array, background: Array, alpha: Array, side: int
) -> tuple[Array, Array]:
    def blurred(values: Array) -> Array:
        return np.asarray(ndimage.uniform_filter(values, (side, side, 0)), np.float32)

    cover = blurred(alpha)
    front = blurred(foreground * alpha) / (cover + 1e-5)
    back = blurred(background * (1 - alpha)) / (1 - cover + 1e-5)
    front = front + alpha * (image - alpha * front - (1 - alpha) * back)
    return np.clip(front, 0, 1), back
