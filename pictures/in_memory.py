"""Pictures in memory, as Python users hold them, to tensors, and results back to what they held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..core.checks import check_range, way_to_floats
from ..core.errors import BadOption, BadPicture
from .pil import Array, What, levels_of

InMemory: TypeAlias = "Tensor | Array | Image.Image | Sequence[Image.Image]"
Returned: TypeAlias = "Tensor | Array | Image.Image | list[Image.Image]"

_TOPS = {np.dtype(np.bool_): 1, np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Kind:
    """What a caller's value was, so that `like` can answer in the same form."""

    holder: Literal["tensor", "array", "pil"]
    batched: bool
    """Several pictures, with a first axis, or a list."""
    flat: bool
    """An array without a channel axis."""
    dtype: torch.dtype | np.dtype[np.generic]
    """Of the elements; for PIL of one channel, uint16 where it was I;16."""
    device: torch.device


def to_images(value: InMemory, name: str = "picture") -> tuple[Tensor, Kind]:
    """Convert any picture in memory to (B, H, W, C) float32 in 0..1, C 1, 3 or 4 (straight alpha).

    value: a float tensor (B, H, W, C) or (H, W, C), as ComfyUI has it; a numpy array (H, W),
    (H, W, C) or (B, H, W, C) of uint8, uint16, bool or floats in 0..1; a PIL image of any mode, or
    a list of them of one size, which gets the channels of its richest picture. PIL images are
    turned upright and converted to sRGB, as their files would be. What is bool comes back as uint8,
    or float32 where it is a tensor. name: what messages call it. Values just outside 0..1 are
    clamped. The value is never written to; a float32 tensor is returned without a copy.

    Raises BadOption for a type that is no picture, BadPicture for wrong shapes, dtypes and values.
    """
    values, kind = _opened(value, "picture")
    expected = "(batch, height, width, channels) or (height, width, channels)"
    if kind.flat:
        values = values.unsqueeze(-1)
    if values.ndim == 3:
        values = values.unsqueeze(0)
    if values.ndim != 4 or values.shape[-1] not in _CHANNELS:
        shape = tuple(values.shape)
        first = values.ndim == 4 and values.shape[1] in _CHANNELS
        hint = " The channels come last: permute the axes." if first else ""
        raise BadPicture(f"A picture needs {expected} with 1, 3 or 4 channels, not {shape}.{hint}")
    return _checked(values, name), kind


def to_masks(value: InMemory, name: str = "mask") -> tuple[Tensor, Kind]:
    """Convert any mask in memory to (B, H, W) float32 in 0..1.

    value: a tensor (B, H, W) or (H, W) of floats or bool; a numpy array of the same shapes, of
    bool, uint8, uint16 or floats; a PIL image without colour (1, L, I;16, I, F), or a list of them
    of one size. What is bool comes back as bool.
    Raises as `to_images` does.
    """
    values, kind = _opened(value, "mask")
    if values.ndim == 2:
        values = values.unsqueeze(0)
    if values.ndim != 3:
        raise BadPicture(
            f"A mask needs (batch, height, width) or (height, width), not {tuple(values.shape)}."
        )
    return _checked(values, name), kind


def like(kind: Kind, values: Tensor) -> Returned:
    """Return a result in the form of the value it was made from.

    values: images (B, H, W, C) or masks (B, H, W), floating point in 0..1. Whole numbers are
    rounded to the nearest level, so that unchanged 8-bit pixels come back as they were.
    PIL images come back as L, RGB or RGBA (I;16 where one channel came as such).
    Raises BadPicture when one picture came in and `values` holds several.
    """
    if not kind.batched and values.shape[0] != 1:
        raise BadPicture(f"One picture came in, so {values.shape[0]} cannot be returned for it.")
    if isinstance(kind.dtype, torch.dtype):
        levels = values >= 0.5 if kind.dtype == torch.bool else values
        result = levels.to(kind.device, kind.dtype)
        return result if kind.batched else result[0]
    if values.ndim == 4 and values.shape[-1] == 1 and (kind.flat or kind.holder == "pil"):
        values = values[..., 0]
    coloured_pil = kind.holder == "pil" and values.ndim == 4
    array = _levels(values, np.dtype(np.uint8) if coloured_pil else kind.dtype)
    if kind.holder == "pil":
        images = [Image.fromarray(picture) for picture in array]
        return images if kind.batched else images[0]
    return array if kind.batched else array[0]


def _opened(value: InMemory, what: What) -> tuple[Tensor, Kind]:
    """The value's numbers in 0..1 with the axes it came with, and its kind."""
    unbatched = 3 if what == "picture" else 2
    cpu = torch.device("cpu")
    if isinstance(value, Tensor):
        if not value.is_floating_point() and value.dtype != torch.bool:
            raise BadPicture(
                f"A {what} tensor holds floats in 0..1, not {value.dtype}; "
                f"{way_to_floats(value.dtype)}."
            )
        is_bool = what == "picture" and value.dtype == torch.bool
        floats = torch.float32 if is_bool else value.dtype
        batched = value.ndim > unbatched
        return value.to(torch.float32), Kind("tensor", batched, False, floats, value.device)
    if isinstance(value, np.ndarray):
        flat = what == "picture" and value.ndim == 2
        is_bool = what == "picture" and value.dtype == np.bool_
        kept = np.dtype(np.uint8) if is_bool else value.dtype
        return _from_array(value, what), Kind("array", value.ndim > unbatched, flat, kept, cpu)
    images = [value] if isinstance(value, Image.Image) else value
    if not isinstance(images, Sequence) or not all(isinstance(one, Image.Image) for one in images):
        raise BadOption(
            f"A {what} is a tensor, a numpy array, a PIL image or a list of PIL images, "
            f"not {type(value).__name__}."
        )
    levels = levels_of(images, what)
    dtype = levels.dtype if levels.dtype == np.uint16 else np.dtype(np.uint8)
    batched = not isinstance(value, Image.Image)
    return _from_array(levels, what), Kind("pil", batched, False, dtype, cpu)


def _from_array(array: Array, what: What) -> Tensor:
    if np.issubdtype(array.dtype, np.floating):
        return torch.from_numpy(array.astype(np.float32))
    top = _TOPS.get(array.dtype.newbyteorder("="))
    if top is None:
        raise BadPicture(
            f"A {what} array holds uint8, uint16, bool or floats in 0..1, not {array.dtype}."
        )
    return torch.from_numpy(array.astype(np.float32) / np.float32(top))


def _levels(values: Tensor, dtype: np.dtype[np.generic]) -> Array:
    numbers: NDArray[np.float32] = values.detach().to("cpu", torch.float32).numpy()
    top = _TOPS.get(dtype.newbyteorder("="))
    if top is None:
        return np.asarray(numbers, dtype)
    return np.asarray(numbers.clip(0, 1) * top + np.float32(0.5), np.int32).astype(dtype)


def _checked(values: Tensor, name: str) -> Tensor:
    if values.numel() == 0:
        raise BadPicture(f"The {name} has no pixels: its shape is {tuple(values.shape)}.")
    for number, one in enumerate(values, 1):
        which = f"{name} {number} of {len(values)}" if len(values) > 1 else name
        lowest, highest = (float(bound) for bound in one.aminmax())
        if not math.isfinite(lowest) or not math.isfinite(highest):
            raise BadPicture(f"The {which} holds values that are not numbers (NaN or infinity).")
        check_range(one, which)
    low, high = values.aminmax()
    return values.clamp(0, 1) if low < 0 or high > 1 else values
