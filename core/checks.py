"""What a tensor must be before anything is computed with it, and how batches pair up."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .errors import BadOption, BadPicture

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
    """Whether there is no NaN and no infinity among floats.

    Neither ever leaves a sum, and a sum takes a fraction of the time of looking at every value. It
    may be infinite for large numbers too; then every value is looked at.
    """
    total = values.sum(dtype=torch.promote_types(values.dtype, torch.float32))
    return bool(torch.isfinite(total)) or bool(torch.isfinite(values).all())


def within_range(values: Tensor) -> Tensor:
    """Values in 0..1: clamped where one lies outside, else the tensor itself and no copy."""
    low, high = torch.aminmax(values)
    return values if bool((low >= 0) & (high <= 1)) else values.clamp(0, 1)


def check_range(values: Tensor, name: str) -> None:
    """Raise BadPicture for values outside 0..1 by more than the overshoot of a resampler."""
    wrong = out_of_range(*(float(bound) for bound in torch.aminmax(values)))
    if wrong:
        raise BadPicture(f"The {name} {wrong}")


def out_of_range(low: float, high: float) -> str:
    """What is wrong with values from `low` to `high`, and what to do, as the end of a sentence;
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
    """How values of this type become floats in 0..1, as an instruction."""
    return _WAYS.get(dtype, "divide 8-bit values by 255, 16-bit values by 65535")


def check_image(image: Tensor, name: str) -> None:
    """Raise BadPicture unless `image` is (B, H, W, C) with 1, 3 or 4 channels of finite floats."""
    if image.ndim != 4 or image.shape[-1] not in CHANNELS:
        raise BadPicture(
            f"The {name} has the shape {tuple(image.shape)}. "
            "It must be (batch, height, width, channels) with 1, 3 or 4 channels."
        )
    check_values(image, name)


def check_share(value: float, name: str) -> None:
    """Raise BadOption unless `value` lies in 0..1."""
    if not 0 <= value <= 1:
        raise BadOption(f"The {name} is {value}; it must lie between 0 and 1.")


def check_finite(value: float, name: str) -> None:
    """Raise BadOption for NaN and infinities."""
    if not math.isfinite(value):
        raise BadOption(f"The {name} is {value}; it must be a finite number.")


def common_batch(sizes: dict[str, int]) -> int:
    """The batch that inputs of these sizes make together: one picture goes with any number.

    Raises BadOption when two of them hold different numbers of pictures and neither holds one.
    """
    batch = max(sizes.values())
    if any(size not in (1, batch) for size in sizes.values()):
        told = " and ".join(f"{size} in the {name}" for name, size in sizes.items())
        raise BadOption(
            f"The batches do not pair up: {told}. Each must hold one picture or the same number."
        )
    return batch
