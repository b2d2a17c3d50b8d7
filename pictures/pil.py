"""PIL images of any mode to the levels of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from ..core.errors import BadPicture
from .metadata import packets_of
from .orientation import TURNED_BY_FORMAT, exif_orientation, upright, valid, xmp_orientation
from .srgb import split_alpha, to_srgb
from .still import DECODER_ERRORS, Unusable
from .tags import ORIENTATION

Array: TypeAlias = NDArray[np.generic]
What: TypeAlias = Literal["picture", "mask"]


def levels_of(images: Sequence[Image.Image], what: What) -> Array:
    """Convert pictures to (B, H, W, C), C 1, 3 or 4 (straight alpha), masks to (B, H, W).

    uint8, or uint16 for modes I;16 and I, or float32 for mode F. Upright, and pictures in sRGB. Of
    mixed pictures all get the channels of the richest. Raises BadPicture.
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
        image.load()
        orientation = _orientation(image)
        if image.mode.startswith("I"):
            planes: list[Array] = [_deep_grey(np.asarray(image))]
        elif image.mode == "F":
            planes = [np.asarray(image)]
        else:
            planes = _mask(image) if what == "mask" else _picture(image)
    except Unusable as reason:
        raise BadPicture(f"The PIL image cannot be used as a {what}: {reason}.") from reason
    except DECODER_ERRORS as error:
        raise BadPicture("The PIL image cannot be decoded; its file is damaged.") from error
    levels = planes[0] if what == "mask" else np.dstack(planes)
    return upright(levels, orientation)


def _orientation(image: Image.Image) -> int:
    """That of the file it was opened from, by the rule for files; what the user has changed in its
    EXIF since counts, where the file has one or says nothing at all. The image is loaded: Pillow
    turns a TIFF then, and forgets its orientation."""
    exif, xmp = packets_of(image.info)
    stated = exif_orientation(exif)
    if (image.format or "").lower() in TURNED_BY_FORMAT:
        return stated or 1
    from_exif = stated is not None or isinstance(image, TiffImagePlugin.TiffImageFile) or not xmp
    return (_held(image) if from_exif else None) or stated or xmp_orientation(xmp) or 1


def _held(image: Image.Image) -> int | None:
    try:
        return valid(image.getexif().get(ORIENTATION))
    except DECODER_ERRORS:  # EXIF that cannot be read
        return None


def _deep_grey(levels: Array) -> NDArray[np.uint16]:
    """Modes I;16 and I, which has 32 bits and is what Pillow made of 16-bit files for long."""
    low, high = int(levels.min(initial=0)), int(levels.max(initial=0))
    if low < 0 or high > 65535:
        raise Unusable(f"its levels are {low} to {high}, and mode I is read as 0..65535")
    if levels.dtype.itemsize > 2 and 1 < high <= 255:
        raise Unusable(
            f"its highest level is {high}, and mode I is read as 16 bits; if it has 8, convert it "
            "by Image.fromarray(numpy.asarray(image).astype('uint8'))"
        )
    return levels.astype(np.uint16)


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
