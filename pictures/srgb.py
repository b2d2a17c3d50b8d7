"""Any Pillow mode and any ICC profile to 8-bit sRGB and a straight alpha."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageCms

from .still import Unusable

#: Of a picture whose `carried_profile` must stay with it, where other colours would be put to it.
OTHER_COLOURS = (
    "{name} has 16 bits in another colour space than sRGB, where a colour or a second picture "
    "would come out wrong. Convert it to sRGB first, or keep the background transparent."
)

_PLAIN = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
_CONVERTED = {"YCbCr": "RGB", "HSV": "RGB"}
_COLOURS = frozenset({"L", "RGB", "CMYK"})
_BLACK_POINT_COMPENSATION = 0x2000  # of lcms2.h; Pillow names it only since 10.3
_SPACES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # ICC data colour space -> Pillow mode


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return colours, mode L, RGB or CMYK, and alpha, mode L, where there is one. Raises Unusable.

    A transparent palette entry or key colour becomes alpha. Premultiplied modes become straight.
    """
    if "transparency" in image.info and image.mode in {"1", "L", "P", "RGB"}:
        image = image.convert("RGBA")
    mode = {**_PLAIN, **_CONVERTED}.get(image.mode, image.mode)
    image = image if image.mode == mode else image.convert(mode)
    if mode in {"LA", "RGBA"}:
        return image.convert(mode[:-1]), image.getchannel("A")
    if mode not in _COLOURS:
        raise Unusable(f"its colour mode {mode} is not supported; convert it to RGB")
    return image, None


def to_srgb(colours: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """Convert mode L, RGB or CMYK to mode RGB in sRGB.

    Relative colorimetric with black point compensation. Colours whose profile is sRGB keep their
    values. A profile that is damaged, or made for other channels, is ignored; CMYK without one is
    converted by Pillow's plain formula.
    """
    profile = _opened(icc_profile)
    mode = _mode(profile)
    if mode == "RGB" and colours.mode == "L":
        colours = colours.convert("RGB")
    if profile is None or mode != colours.mode:
        return colours.convert("RGB")
    if mode == "RGB" and _is_srgb(profile):
        return colours
    try:
        return _convert(colours, profile)
    except ImageCms.PyCMSError:
        return colours.convert("RGB")


def carried_profile(icc_profile: bytes | None) -> bytes | None:
    """Return the profile that RGB values keep when they are not converted; None for sRGB."""
    profile = _opened(icc_profile)
    if profile is None or _mode(profile) != "RGB" or _is_srgb(profile):
        return None
    return icc_profile


def _opened(icc_profile: bytes | None) -> ImageCms.ImageCmsProfile | None:
    if not icc_profile:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    except OSError:
        return None


def _mode(profile: ImageCms.ImageCmsProfile | None) -> str | None:
    return None if profile is None else _SPACES.get(profile.profile.xcolor_space.strip())


def _convert(colours: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(
        colours,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=_BLACK_POINT_COMPENSATION,  # type: ignore[arg-type]
    )
    assert converted is not None  # None is the answer of the in-place form only
    return converted


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether a grid of 729 colours keeps its values to within one level; names prove nothing."""
    axis = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(27, 27, 3)
    try:
        converted = np.asarray(_convert(Image.fromarray(grid), profile), np.int16)
    except ImageCms.PyCMSError:
        return False
    return bool(np.abs(converted - grid).max() <= 1)
