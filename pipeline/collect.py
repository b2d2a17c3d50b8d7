"""Whole batches through the pipeline, and what becomes of one in which pictures fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import zip_longest

import torch
from torch import Tensor

from ..core.report import FailureReport, OnFailure, Report, render
from ..core.types import Backend, Job, Usage
from .finishing import Done, Finishing
from .hand_over import Settle
from .inputs import Failed, Input, Loaded
from .matte_memory import MatteMemory
from .remove import remove


@dataclass(frozen=True)
class Batch:
    """What became of one batch of pictures."""

    image: Tensor
    """(B, H, W, 3 | 4)."""
    mask: Tensor
    """(B, H, W), 1 = subject."""
    reports: tuple[Report | FailureReport, ...]
    """On every picture that went in; the first batch has those of batches left out whole, too."""

    @property
    def report(self) -> str:
        """Return the reports as text for people, with the same as JSON in the last line."""
        return render(self.reports)


def remove_batches(
    images: Sequence[Tensor],
    noun: str,
    backend: Backend,
    finishing: Finishing,
    on_failure: OnFailure,
    *,
    usage: Usage | None = None,
    job: Job | None = None,
    max_cost: Decimal | None = None,
    kept: MatteMemory | None = None,
    subjects: Sequence[Tensor | None] = (),
) -> list[Batch]:
    """Cut the subject out of a list of batches (B, H, W, C), without batches of which nothing is
    left.

    When pictures fail the others are finished first. Then `on_failure` decides: an error that names
    the failed ones, or a result without them, or with them as they were. A failed picture never
    becomes a blank one, and nothing at all is an error. noun: what messages call a picture.
    max_cost: USD for the whole list. kept: see `remove`. subjects: for each picture of the list
    what is meant in it (h, w), or None; nothing where all that the backend finds is.
    """
    pictures = [picture for batch in images for picture in batch]
    count = len(pictures)
    inputs = [
        Input(
            index,
            name_of(index, count, noun),
            partial(Loaded, picture, subject=subject),
            at_hand=True,
        )
        for index, (picture, subject) in enumerate(zip_longest(pictures, subjects))
    ]
    places = _Places(images, 4 if finishing.background is None else 3)
    reports: dict[int, Report | FailureReport] = {}
    failed: list[Failed] = []
    held: list[Settle] = []
    for result in remove(
        inputs,
        backend,
        finishing,
        usage=usage,
        job=job,
        max_cost=max_cost,
        kept=kept,
        hand_over=lambda _result, settle: held.append(settle),
    ):
        if isinstance(result, Done):
            places.fill(result.index, result.image, result.mask)
            reports[result.index] = result.report
        else:
            failed.append(result)
            reports[result.index] = FailureReport(
                result.name, result.failure, on_failure, result.receipt
            )
    if on_failure == "pass through":
        for lost in failed:
            places.fill_as_it_was(lost.index, pictures[lost.index])
    made = places.filled()
    if on_failure == "stop" or not made:
        raise_failures(failed, count)
    for settle in held:  # who gets an error, or stops the run, has none of them
        settle()
    ordered = iter([reports[index] for index in sorted(reports)])
    told = [[next(ordered) for _ in batch] for batch in images]
    first, *_ = made
    lost_whole = (said for number, group in enumerate(told) if number not in made for said in group)
    told[first] = [*lost_whole, *told[first]]
    return [Batch(image, mask, tuple(told[number])) for number, (image, mask) in made.items()]


def name_of(index: int, total: int, noun: str = "image") -> str:
    """Return what messages call a picture of a batch, at the start of a sentence or inside one."""
    return f"The {noun}" if total == 1 else f"{noun} {index + 1} of {total}"


def raise_failures(failed: Sequence[Failed], total: int) -> None:
    """Raise one PictureError that names every failed picture; nothing when none failed."""
    if not failed:
        return
    first = failed[0].failure.error
    if total == 1:
        raise first
    reasons = " ".join(
        f"{item.name}: {_without_name(str(item.failure.error), item.name)}"
        for item in sorted(failed, key=lambda item: item.index)
    )
    raise type(first)(f"{len(failed)} of {total} pictures failed. {reasons}") from first


class _Places:
    """The results of a list of batches, put in their places as they come, so that they are never
    in memory twice."""

    def __init__(self, batches: Sequence[Tensor], channels: int) -> None:
        self._images: list[Tensor] = []
        self._masks: list[Tensor] = []
        self._places: list[tuple[int, int]] = []
        for number, batch in enumerate(batches):
            # The batch's own: float32, or float16 with --fp16-intermediates.
            dtype = batch.dtype if batch.is_floating_point() else torch.float32
            self._images.append(batch.new_empty((*batch.shape[:3], channels), dtype=dtype))
            self._masks.append(batch.new_empty(batch.shape[:3], dtype=dtype))
            self._places += [(number, row) for row in range(len(batch))]
        self._filled: list[list[int]] = [[] for _ in batches]

    def fill(self, index: int, image: Tensor, mask: Tensor | int) -> None:
        """Copy one result, (H, W, C) and (H, W), into its batch."""
        number, row = self._places[index]
        self._images[number][row] = image
        self._masks[number][row] = mask
        self._filled[number].append(row)

    def fill_as_it_was(self, index: int, picture: Tensor) -> None:
        """Put a picture (H, W, C) as it came in place of its result, opaque, its mask ones."""
        number, _ = self._places[index]
        result = self._images[number].new_ones(self._images[number].shape[1:])
        result[..., :3] = picture[..., :3]  # a single channel spreads over three
        self.fill(index, result, 1)

    def filled(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Return image and mask of every batch in which something is left, by its number."""
        kept = {}
        for number, rows in enumerate(map(sorted, self._filled)):
            image, mask = self._images[number], self._masks[number]
            if rows:
                whole = len(rows) == len(mask)
                kept[number] = (image, mask) if whole else (image[rows], mask[rows])
        return kept


def _without_name(message: str, name: str) -> str:
    return message.removeprefix(f"{name}: ").removeprefix(f"{name} ")
