"""ComfyUI's batches to single pictures and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ..core.errors import BadPicture
from ..core.intake import split_pixels
from ..pipeline.finishing import Done
from ..pipeline.inputs import Input


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


def inputs_of(images: Sequence[Tensor]) -> list[Input]:
    """A list of IMAGE batches (B, H, W, C) -> one Input per picture, numbered across the list."""
    pictures = [picture for batch in images for picture in batch]
    return [
        Input(index, name_of(index, len(pictures)), partial(_itself, picture), at_hand=True)
        for index, picture in enumerate(pictures)
    ]


def name_of(index: int, total: int) -> str:
    """What messages call a picture of a batch, at the start of a sentence or inside one."""
    return "The image" if total == 1 else f"image {index + 1} of {total}"


def _itself(picture: Tensor) -> Tensor:
    return picture


class Collector:
    """Puts results in their places as they come, so that they are never in memory twice.

    For each IMAGE batch (B, H, W, C) of the list: an image (B, H, W, 3 | 4) and a mask (B, H, W).
    """

    def __init__(self, batches: Sequence[Tensor], channels: int) -> None:
        self._batches = batches
        self._channels = channels
        self._images = [
            batch.new_empty((*batch.shape[:3], channels), dtype=float_dtype(batch))
            for batch in batches
        ]
        self._masks = [
            batch.new_empty(batch.shape[:3], dtype=float_dtype(batch)) for batch in batches
        ]
        self._places = [
            (number, row) for number, batch in enumerate(batches) for row in range(len(batch))
        ]
        self._left_out: set[tuple[int, int]] = set()

    def place(self, done: Done) -> None:
        """Copy one result into its batch."""
        number, row = self._places[done.index]
        self._images[number][row] = done.image
        self._masks[number][row] = done.mask

    def pass_through(self, index: int) -> None:
        """The picture as it came stands in for its result, opaque, with a mask of ones."""
        number, row = self._places[index]
        picture = self._batches[number][row]
        result = self._images[number][row]
        result[..., :3] = picture[..., :3]  # a single channel spreads over three
        result[..., 3:] = 1
        self._masks[number][row] = 1

    def leave_out(self, index: int) -> None:
        """The batch becomes one picture shorter."""
        self._left_out.add(self._places[index])

    def results(self) -> list[tuple[int, Tensor, Tensor]]:
        """(number of the batch, image, mask) of every batch in which something is left."""
        kept: dict[int, list[int]] = {}
        for number, row in self._places:
            if (number, row) not in self._left_out:
                kept.setdefault(number, []).append(row)
        return [
            (number, _rows(self._images[number], rows), _rows(self._masks[number], rows))
            for number, rows in kept.items()
        ]


def _rows(batch: Tensor, rows: list[int]) -> Tensor:
    return batch if len(rows) == len(batch) else batch[rows]


def float_dtype(batch: Tensor) -> torch.dtype:
    """The batch's own dtype (float32, or float16 with --fp16-intermediates)."""
    return batch.dtype if batch.is_floating_point() else torch.float32
