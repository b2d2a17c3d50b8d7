"""What a picture, a mask and a model's answer must be before anything is computed with them.

Refusals say in a sentence what is wrong and what to do.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .errors import BackendFailed, BadOption, BadPicture
from .report import Remark
from .types import Matte

CHANNELS = (1, 3, 4)
#: Resamplers overshoot at hard edges, by up to a tenth of the step; that much is clipped and
#: reported. More means that the values are not 0..1 at all (0..255, -1..1, a latent).
OVERSHOOT = 0.1

# (lowest value from, below), (highest value above, to) -> what they seem to be
_SCALES = (
    ((-1.1, -OVERSHOOT), (-1.1, 1.1), "They seem to be -1..1: halve them and add 0.5, or look"),
    ((-3, -1.1), (1.1, 3), "A model's mean and deviation seem to be taken off: undo that, or look"),
    ((-OVERSHOOT, 281), (3, 281), "They seem to be 8-bit levels: divide by 255, or look"),
    ((-26, -OVERSHOOT), (32, 281), "They seem to be 8-bit levels: divide by 255, or look"),
    ((-6554, 72090), (281, 72090), "They seem to be 16-bit levels: divide by 65535, or look"),
)
_WAYS = {
    torch.bool: "call .float()",
    torch.uint8: "divide 8-bit values by 255",
    torch.uint16: "divide 16-bit values by 65535",
}


def check_values(values: Tensor, name: str) -> None:
    """Raise BadPicture unless `values` holds at least one number, and finite floats only.

    A single NaN would spread through every blur and resize, far from where it came in.
    """
    if not values.is_floating_point():
        raise BadPicture(
            f"The {name} holds {values.dtype} values. Give floats from 0 to 1: "
            f"{way_to_floats(values.dtype)}."
        )
    if values.numel() == 0:
        raise BadPicture(f"The {name} is empty: its shape is {tuple(values.shape)}.")
    if not all_finite(values):
        raise BadPicture(f"The {name} holds values that are not finite numbers (NaN or infinity).")


def all_finite(values: Tensor) -> bool:
    """Tell whether there is no NaN and no infinity among floats.

    Neither ever leaves a sum, and a sum takes a fraction of the time of looking at every value. It
    may be infinite for large numbers too; then every value is looked at.
    """
    total = values.sum(dtype=torch.promote_types(values.dtype, torch.float32))
    return bool(torch.isfinite(total)) or bool(torch.isfinite(values).all())


def within_range(values: Tensor) -> Tensor:
    """Clamp values to 0..1; where none lies outside, return the tensor itself."""
    low, high = torch.aminmax(values)
    return values if bool((low >= 0) & (high <= 1)) else values.clamp(0, 1)


def check_range(values: Tensor, name: str) -> None:
    """Raise BadPicture for values outside 0..1 by more than the overshoot of a resampler."""
    wrong = out_of_range(*(float(bound) for bound in torch.aminmax(values)))
    if wrong:
        raise BadPicture(f"The {name} {wrong}")


def out_of_range(low: float, high: float) -> str:
    """Say what is wrong with values from `low` to `high`, and what to do, as the end of a sentence;
    empty where they are 0..1 but for the overshoot of a resampler."""
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return ""
    said = f"has values from {low:.3g} to {high:.3g}; they must lie in 0..1."
    fitting = (
        way
        for (least, below), (above, most), way in _SCALES
        if least <= low < below and above < high <= most
    )
    return f"{said} {next(fitting, 'Look')} at the step before this."


def way_to_floats(dtype: torch.dtype) -> str:
    """Say how values of this type become floats in 0..1, as an instruction."""
    return _WAYS.get(dtype, "divide 8-bit values by 255, 16-bit values by 65535")


def check_image(image: Tensor, name: str) -> None:
    """Raise BadPicture unless `image` is (B, H, W, C) with 1, 3 or 4 channels of finite floats."""
    if image.ndim != 4 or image.shape[-1] not in CHANNELS:
        raise BadPicture(
            f"The {name} has the shape {tuple(image.shape)}. "
            "It must be (batch, height, width, channels) with 1, 3 or 4 channels."
        )
    check_values(image, name)


def check_mask(mask: Tensor, name: str = "mask") -> None:
    """Raise BadPicture unless `mask` is (B, H, W) of finite floats."""
    if mask.ndim != 3:
        raise BadPicture(
            f"The {name} has the shape {tuple(mask.shape)}. It must be (batch, height, width)."
        )
    check_values(mask, name)


def check_share(value: float, name: str) -> None:
    """Raise BadOption unless `value` lies in 0..1."""
    if not 0 <= value <= 1:
        raise BadOption(f"The {name} is {value}; it must lie between 0 and 1.")


def check_finite(value: float, name: str) -> None:
    """Raise BadOption for NaN and infinities."""
    if not math.isfinite(value):
        raise BadOption(f"The {name} is {value}; it must be a finite number.")


def common_batch(sizes: dict[str, int]) -> int:
    """Return the size of the batch that inputs of these sizes make: one goes with any number.

    Raises BadOption when two of them hold different numbers of pictures and neither holds one.
    """
    batch = max(sizes.values())
    if any(size not in (1, batch) for size in sizes.values()):
        told = " and ".join(f"{size} in the {name}" for name, size in sizes.items())
        raise BadOption(
            f"The batches do not pair up: {told}. Each must hold one picture or the same number."
        )
    return batch


def split_pixels(pixels: Tensor, name: str) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Split a picture (H, W, C), C = 1, 3 or 4, into RGB (H, W, 3), alpha (H, W) or None, warnings.

    float32 comes back. Grey becomes RGB; the RGB under an alpha is used as it is. Raises BadPicture
    for wrong dimensions, an empty picture, NaN or infinite values, and values outside 0..1 by more
    than the overshoot of a resampler.
    """
    shape = " x ".join(str(side) for side in pixels.shape)
    if pixels.ndim != 3 or pixels.shape[-1] not in CHANNELS:
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
    """Return the matte's values (h, w), alpha inside 0..1. Raises BackendFailed for values that are
    no numbers: a picture that went wrong never becomes a blank one."""
    if not all_finite(matte.values):
        raise BackendFailed(
            f"{name}: the model answered values that are not numbers. "
            "Try full precision, or another backend."
        )
    return matte.values.clamp(0, 1) if matte.kind == "alpha" else matte.values
