"""ComfyUI's batches to single pictures and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ..core.errors import BadPicture
from ..core.intake import split_pixels
from ..pipeline import Done, Input


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


def inputs_of(images: Sequence[Tensor]) -> list[Input]:
    """A list of IMAGE batches (B, H, W, C) -> one Input per picture, numbered across the list."""
    pictures = [picture for batch in images for picture in batch]
    return [
        Input(index, name_of(index, len(pictures)), partial(_itself, picture))
        for index, picture in enumerate(pictures)
    ]


def name_of(index: int, total: int) -> str:
    """What messages call a picture of a batch, at the start of a sentence or inside one."""
    return "The image" if total == 1 else f"image {index + 1} of {total}"


def _itself(picture: Tensor) -> Tensor:
    return picture


class Collector:
    """Puts results in their places as they come, so that they are never in memory twice.

    For each IMAGE batch (B, H, W, C) of the list: images (B, H, W, 3 | 4) and masks (B, H, W).
    """

    def __init__(self, batches: Sequence[Tensor], channels: int) -> None:
        self.images = [
            batch.new_empty((*batch.shape[:3], channels), dtype=float_dtype(batch))
            for batch in batches
        ]
        self.masks = [
            batch.new_empty(batch.shape[:3], dtype=float_dtype(batch)) for batch in batches
        ]
        self._places = [
            (number, row) for number, batch in enumerate(batches) for row in range(len(batch))
        ]

    def place(self, done: Done) -> None:
        """Copy one result into its batch."""
        number, row = self._places[done.index]
        self.images[number][row] = done.image
        self.masks[number][row] = done.mask


def float_dtype(batch: Tensor) -> torch.dtype:
    """The batch's own dtype (float32, or float16 with --fp16-intermediates)."""
    return batch.dtype if batch.is_floating_point() else torch.float32
