"""Masks as sockets hand them over: of any size, and ComfyUI's way to say that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..core.alpha import mask_planes, match_mask, stretching

# Load Image, Load Image (as Mask) and core's API nodes hand this over for a picture that has no
# alpha: zeros of this size, whatever the picture's.
_NO_MASK = (64, 64)

# The canvas shows the first 60 characters of a text.
_NO_MASK_SAID = (
    "No mask was given: 64 x 64 zeros are what Load Image answers for a picture without "
    "transparency. The picture keeps its own alpha, and is opaque without one. Connect the mask of "
    "Remove Background (RMBG), or paint one."
)


@dataclass(frozen=True)
class Fitted:
    """masks: (N, H, W) each, on the picture's device; without those that say "no mask". warnings:
    what the user should look at."""

    masks: dict[str, Tensor]
    warnings: tuple[str, ...]


def fit_masks(image: Tensor, given: Mapping[str, Tensor | None]) -> Fitted:
    """Bring the masks of a picture's sockets to its size.

    image: (B, H, W, C). given: by name; None where nothing is connected. A mask of other
    proportions is stretched, as ComfyUI's own nodes do, with a warning. Raises BadPicture for what
    is no mask.
    """
    height, width = image.shape[1:3]
    masks: dict[str, Tensor] = {}
    warnings: list[str] = []
    for name, mask in given.items():
        if mask is None:
            continue
        if _says_none(mask_planes(mask, height, width, name), height, width):
            # No correction is painted in most pictures; only a missing mask changes the result.
            warnings += [_NO_MASK_SAID] if name == "mask" else []
            continue
        stretched = stretching(mask, height, width, name)
        warnings += [stretched] if stretched else []
        masks[name] = match_mask(mask.to(image.device), height, width, 1, name)
    return Fitted(masks, tuple(warnings))


def nothing_left(alpha: Tensor) -> tuple[str, ...]:
    """A warning when an alpha (N, H, W) is 0 everywhere in some of its pictures, else nothing."""
    empty = [index for index, plane in enumerate(alpha, 1) if not plane.any()]
    if not empty:
        return ()
    which = "the picture" if len(alpha) == 1 else f"{len(empty)} of {len(alpha)} pictures"
    return (
        f"The mask leaves nothing of {which}: it is 0 everywhere. Here a mask is 1 on the subject; "
        "Load Image's is 1 where its picture is transparent, so invert that one.",
    )


def _says_none(planes: Tensor, height: int, width: int) -> bool:
    return planes.shape[1:] == _NO_MASK and (height, width) != _NO_MASK and not bool(planes.any())
