"""What is meant in each picture: the masks and boxes that a node's sockets hand over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeVar, cast

import torch
from torch import Tensor

from ..core.checks import common_batch
from ..core.errors import BadOption
from ..core.subject import Box, boxes_mask, for_each
from .tensors import fit_masks

# As core's nodes hand boxes over: one for all pictures, several for all, or some for each picture.
Boxes: TypeAlias = "Box | Sequence[Box] | Sequence[Sequence[Box]]"

T = TypeVar("T")

_NAME = "subject mask"


def subjects_of(
    images: Sequence[Tensor], masks: Sequence[Tensor] | None, boxes: Sequence[Boxes] | None
) -> tuple[list[Tensor | None], list[str]]:
    """Return what is meant in each picture of a list of batches, (H, W) each, and warnings.

    images: (B, H, W, C) each. masks, boxes: one for all batches or one for each; None where nothing
    is connected. Empty where nothing is meant of any picture. Raises BadOption where they do not
    pair up.
    """
    subjects: list[Tensor | None] = []
    warnings: dict[str, None] = {}
    for number, image in enumerate(images):
        mask = _for_batch(masks, number, len(images), "subject masks")
        meant, said = subject_masks(image, mask, _for_batch(boxes, number, len(images), "boxes"))
        warnings |= dict.fromkeys(said)
        if meant is None:
            subjects += [None] * len(image)
            continue
        subjects += for_each(meant, len(image))
    return (subjects if any(one is not None for one in subjects) else []), [*warnings]


def subject_masks(
    image: Tensor, mask: Tensor | None, boxes: Boxes | None
) -> tuple[Tensor | None, list[str]]:
    """Return what is meant in a batch (B, H, W, C) as masks (1 or N, H, W), and warnings; None
    where nothing is connected. Raises BadOption for what is no box and for unlike numbers."""
    fitted, warnings = fit_masks(image, {_NAME: mask})
    given = fitted if boxes is None else fitted | {"boxes": _drawn(image, boxes)}
    if not given:
        return None, warnings
    number = common_batch({name: len(one) for name, one in given.items()})
    return torch.stack([one.expand(number, -1, -1) for one in given.values()]).amax(0), warnings


def _for_batch(given: Sequence[T] | None, number: int, count: int, name: str) -> T | None:
    if not given:
        return None
    if len(given) not in (1, count):
        raise BadOption(
            f"There are {len(given)} {name} and {count} images; connect one, or as many as images."
        )
    return given[number if len(given) > 1 else 0]


def _drawn(image: Tensor, boxes: Boxes) -> Tensor:
    """Draw the boxes of one batch: one mask for all of its pictures, or one for each."""
    height, width = image.shape[1:3]
    rows = [boxes] if isinstance(boxes, Mapping) else list(boxes)
    for_all = bool(rows) and all(isinstance(row, Mapping) for row in rows)
    of_each = cast("list[Sequence[Box]]", [rows] if for_all else rows or [[]])
    return torch.cat([boxes_mask(row, height, width) for row in of_each]).to(image.device)
