"""PIL images of any mode to the levels of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ..core.errors import BadPicture
from .colour import split_alpha, to_srgb
from .still import DECODER_ERRORS, Unusable

Array: TypeAlias = NDArray[np.generic]
What: TypeAlias = Literal["picture", "mask"]


def levels_of(images: Sequence[Image.Image], what: What) -> Array:
    """Pictures to (B, H, W, C), C 1, 3 or 4 (straight alpha), masks to (B, H, W).

    uint8, or uint16 for mode I;16, or float32 for mode F. Upright, and pictures in sRGB. Of mixed
    pictures all get the channels of the richest. Raises BadPicture.
    """
    if not images:
        raise BadPicture(f"The list holds no {what}.")
    levels = [_levels_of_one(image, what) for image in images]
    if len({(one.shape[:2], one.dtype) for one in levels}) != 1:
        raise BadPicture(
            f"The {what}s of a list must have one size and one depth; pass others one at a time."
        )
    if what == "picture":
        channels = max(one.shape[2] for one in levels)
        levels = [_with_channels(one, channels) for one in levels]
    return np.stack(levels)


def _levels_of_one(image: Image.Image, what: What) -> Array:
    """(H, W, C) of a picture, (H, W) of a mask."""
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            planes: list[Array] = [np.asarray(upright).astype(np.uint16)]
        elif upright.mode == "F":
            planes = [np.asarray(upright)]
        else:
            planes = _mask(upright) if what == "mask" else _picture(upright)
    except Unusable as reason:
        raise BadPicture(f"The PIL image cannot be used as a {what}: {reason}.") from reason
    except DECODER_ERRORS as error:
        raise BadPicture("The PIL image cannot be decoded; its file is damaged.") from error
    return planes[0] if what == "mask" else np.dstack(planes)


def _mask(image: Image.Image) -> list[Array]:
    colours, alpha = split_alpha(image)
    if colours.mode != "L" or alpha is not None:
        raise Unusable("it has colour or alpha; take one channel, such as getchannel('A')")
    return [np.asarray(colours)]


def _picture(image: Image.Image) -> list[Array]:
    colours, alpha = split_alpha(image)
    profile = image.info.get("icc_profile")
    if colours.mode != "L" or profile or alpha is not None:
        colours = to_srgb(colours, profile)
    return [np.asarray(plane) for plane in (colours, alpha) if plane is not None]


def _with_channels(levels: Array, channels: int) -> Array:
    """Grey to RGB by repeating it, RGB to RGBA by an opaque alpha."""
    if levels.shape[2] == 1 and channels > 1:
        levels = levels.repeat(3, axis=2)
    if levels.shape[2] == 3 and channels == 4:
        opaque = np.full((*levels.shape[:2], 1), 255, levels.dtype)
        levels = np.concatenate([levels, opaque], axis=2)
    return levels
