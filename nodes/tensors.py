"""ComfyUI's batches and masks, as sockets hand them over: checked, and of one size."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..core.alpha import mask_planes, match_mask, stretching
from ..core.checks import split_pixels
from ..core.errors import BadPicture

# Load Image, Load Image (as Mask) and core's API nodes hand this over for a picture that has no
# alpha: zeros of this size, whatever the picture's.
_NO_MASK = (64, 64)

_NO_MASK_SAID = (
    "No mask was given: 64 x 64 zeros are what Load Image answers for a picture without "
    "transparency. The picture keeps its own alpha, and is opaque without one. Connect the mask of "
    "Remove Background (RMBG), or paint one."
)


def check_batch(image: Tensor, name: str) -> None:
    """Raise BadPicture unless this is an IMAGE batch (B, H, W, C) with at least one picture."""
    if image.ndim != 4 or image.shape[0] == 0:
        shape = " x ".join(str(side) for side in image.shape)
        raise BadPicture(
            f"{name} has the shape {shape}; an IMAGE is batch x height x width x channels, "
            "with at least one picture."
        )


def check_range(image: Tensor, name: str) -> None:
    """Raise BadPicture for NaN and for values outside 0..1 in any picture of the batch."""
    for index, picture in enumerate(image, 1):
        split_pixels(picture, f"{name} {index} of {len(image)}")


def pick(batch: Tensor, index: int) -> Tensor:
    """Take one element of a batch as a batch of one; a batch of one goes with any index."""
    row = index if len(batch) > 1 else 0
    return batch[row : row + 1]


def rgb(picture: Tensor, name: str) -> Tensor:
    """Convert (1, H, W, C) to (1, H, W, 3) float32, checked, without its alpha."""
    return split_pixels(picture[0], name)[0][None]


def own_alpha(image: Tensor) -> Tensor:
    """Return the alpha (B, H, W) of an IMAGE batch (B, H, W, C); ones where it has none."""
    return image[..., 3] if image.shape[-1] == 4 else torch.ones_like(image[..., 0])


def fit_masks(
    image: Tensor, given: Mapping[str, Tensor | None]
) -> tuple[dict[str, Tensor], list[str]]:
    """Bring the masks of a picture's sockets to its size, (N, H, W) each, and return warnings.

    image: (B, H, W, C). given: by name; None where nothing is connected, and left out with those
    that say "no mask". A mask of other proportions is stretched, as ComfyUI's own nodes do, with a
    warning. Raises BadPicture for what is no mask.
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
    return masks, warnings


def nothing_left(alpha: Tensor) -> tuple[str, ...]:
    """Warn when an alpha (N, H, W) is 0 everywhere in some of its pictures, else nothing."""
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
