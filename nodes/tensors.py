"""ComfyUI's batches: checked, and single pictures of them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.errors import BadPicture
from ..core.intake import split_pixels


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
    """One element of a batch as a batch of one; a batch of one goes with any index."""
    row = index if len(batch) > 1 else 0
    return batch[row : row + 1]


def rgb(picture: Tensor, name: str) -> Tensor:
    """(1, H, W, C) -> (1, H, W, 3) float32, checked; its alpha is left out."""
    return split_pixels(picture[0], name)[0][None]


def own_alpha(image: Tensor) -> Tensor:
    """(B, H, W): the alpha of an IMAGE batch (B, H, W, C); ones where it has none."""
    return image[..., 3] if image.shape[-1] == 4 else torch.ones_like(image[..., 0])
