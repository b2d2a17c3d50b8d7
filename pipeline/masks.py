"""Masks alone: pictures through the gate and the backend, without a cut-out and a receipt of each.

For whoever makes one thing of many pictures and writes one receipt for it: a video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor

from ..core.errors import PictureError
from ..core.types import Facts, Failure, Matte, Outcome
from .finishing import alpha_of
from .hand_over import Settle
from .inputs import Failed, Input, Prepared
from .one_run import Run
from .remove import carry


@dataclass(frozen=True)
class Masked:
    """A picture with its mask."""

    index: int
    pixels: Tensor
    """(H, W, 3) float32."""
    mask: Tensor
    """(H, W) float32, 1 = subject."""
    facts: Facts
    screen: Tensor | None = None
    """See `Matte.screen`."""


def masks(
    run: Run,
    inputs: Iterable[Input],
    *,
    workers: int,
    hand_over: Callable[[Masked | Failed, Settle], None],
    room: Callable[[], bool],
) -> Iterator[Masked | Failed]:
    """Yield the mask of every input, as they complete, in any order. `run` stays open.

    Of `run.finishing` only what concerns the mask is done. One that fails leaves a receipt of its
    own. Arguments: see `carry`.
    """
    return carry(run, inputs, partial(_masked, run), workers, hand_over=hand_over, room=room)


@torch.no_grad()
def _masked(
    run: Run, picture: Prepared | Input, outcome: Outcome
) -> tuple[Masked | Failed, str | None]:
    if outcome.error is not None or isinstance(picture, Input):
        failed = Failed(outcome.index, picture.name, cast("Failure", outcome.result))
        return cast("Failed", run.receipted(failed, picture)), None
    matte = cast("Matte", outcome.result)
    try:
        alpha, facts = alpha_of(picture, matte, run.finishing)
    except PictureError as error:
        lost = Failure(error, matte.facts.request_id, matte.facts.cost)
        failed = Failed(outcome.index, picture.name, lost)
        return cast("Failed", run.receipted(failed, picture)), None
    run.job.check()
    masked = Masked(outcome.index, picture.frame.pixels, alpha, facts, matte.screen)
    return masked, picture.work
