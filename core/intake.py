"""A picture on its way in: checked, split into colours and alpha, refused in sentences."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .checks import out_of_range, way_to_floats
from .errors import BackendFailed, BadPicture
from .remarks import Remark
from .types import Matte


def split_pixels(pixels: Tensor, name: str) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """(H, W, C) float, C = 1, 3 or 4 -> RGB (H, W, 3) and alpha (H, W) or None, float32; warnings.

    Grey becomes RGB. The RGB under an alpha is used as it is. Raises BadPicture for wrong
    dimensions, an empty picture, NaN or infinite values, and values outside 0..1 by more than the
    overshoot of a resampler.
    """
    shape = " x ".join(str(side) for side in pixels.shape)
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3, 4):
        raise BadPicture(
            f"{name} has the shape {shape}; a picture is height x width x channels "
            "with 1, 3 or 4 channels."
        )
    if pixels.numel() == 0:
        raise BadPicture(f"{name} is empty ({shape}); there is nothing to cut out.")
    if not pixels.is_floating_point():
        way = way_to_floats(pixels.dtype)
        raise BadPicture(f"{name} holds {pixels.dtype} values; pass floats in 0..1: {way}.")
    values = pixels.detach().to(torch.float32)
    low, high = (float(bound) for bound in torch.aminmax(values))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BadPicture(f"{name} contains NaN or infinite values; look at the step before this.")
    if wrong := out_of_range(low, high):
        raise BadPicture(f"{name} {wrong}")
    warnings: tuple[str, ...] = ()
    if low < 0 or high > 1:
        values = values.clamp(0, 1)
        warnings = (Remark("values a little outside 0..1 were clipped", "clipped"),)
    if values.shape[-1] == 4:
        return values[..., :3], values[..., 3], warnings
    return values.expand(-1, -1, 3), None, warnings


def check_matte(matte: Matte, name: str) -> Tensor:
    """The matte's values, alpha inside 0..1. Raises BackendFailed for values that are no numbers:
    a picture that went wrong never becomes a blank one."""
    if not bool(matte.values.isfinite().all()):
        raise BackendFailed(
            f"{name}: the model answered values that are not numbers. "
            "Try full precision, or another backend."
        )
    return matte.values.clamp(0, 1) if matte.kind == "alpha" else matte.values
