"""Frames with steadied masks.

What `Steady` says of a frame depends on a fixed number of frames before and behind it. So a run
that goes on after a kill shows it those before its first one again, and gives the same masks as a
run that was never stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from torch import Tensor

from ...core.steady import Steady
from .frame_steps import MaskedFrame


def steadied(frames: Iterable[MaskedFrame], steady: Steady, first: int) -> Iterator[MaskedFrame]:
    """Yield the frames from number `first` on with their steadied masks, in order.

    frames: in order, with up to `steady.look_back` before the first, which are only looked at.
    """
    waiting: deque[MaskedFrame] = deque()

    def settled(masks: Iterable[Tensor]) -> Iterator[MaskedFrame]:
        for mask in masks:
            frame = waiting.popleft()
            if frame.number >= first:
                yield replace(frame, mask=mask)

    for frame in frames:
        waiting.append(frame)
        yield from settled(steady.push(frame.pixels, frame.mask))
        del frame
    yield from settled(steady.finish())
