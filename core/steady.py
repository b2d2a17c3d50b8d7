"""Flicker of a video's matte damped, where the picture does not explain it.

Every frame's alpha is averaged with those of the frames around it, each brought to where it shows
the same: dense motion leads there (`core/motion.py`), and whatever is not found again, hidden or
seen in other colours (`core/agreement.py`) has no say. So a patch that comes and goes is outvoted
and a moving edge is not smeared: where nothing fits, a frame keeps its own alpha. Nothing is
carried on beyond the window, and nothing across a cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from .agreement import Link, agreement, links
from .checks import check_share
from .errors import BadPicture
from .motion import Sight, enlarged, moved, reduced, reduction, sight

#: Frames after a frame that are seen before it is given out, and as many before it.
LOOK_AHEAD = 3
DEFAULT_STRENGTH = 1.0
# An alpha this far from the mean counts half: a hole in one frame is repaired, not shared out.
_FAR = 0.5


@dataclass
class _Seen:
    """One frame of the window."""

    alpha: Tensor
    """(H, W) float32, as it came."""
    reduced: Tensor
    """(1, h, w): the same on the grid of the average."""
    sight: Sight
    before: Link | None
    """The way to the frame before; None at the first frame and after a cut."""
    after: Link | None = None
    """The way to the next frame."""


class Steady:
    """Damps flicker of one video's alpha, frame by frame in the order of display.

    In memory are 2 x `look_ahead` + 1 frames' alpha and their reduced pictures. A run that goes on
    at frame n gives the same when the `look_back` frames before n are pushed again, and what comes
    out for them is thrown away.
    """

    def __init__(self, strength: float = DEFAULT_STRENGTH, look_ahead: int = LOOK_AHEAD) -> None:
        """strength: 0..1, how much of the flicker goes; 0 gives everything back as it came, at
        once. look_ahead: at least 1."""
        check_share(strength, "steadiness")
        if look_ahead < 1:
            raise ValueError(f"look_ahead is {look_ahead}; it must be at least 1.")
        self._strength = strength
        self.look_ahead = look_ahead if strength > 0 else 0
        """How many frames later a frame is given out."""
        self.look_back = self.look_ahead
        """How many frames before a frame have a say in it."""
        self._window: deque[_Seen] = deque(maxlen=2 * look_ahead + 1)
        self._waiting = 0

    @torch.no_grad()
    def push(self, pixels: Tensor, alpha: Tensor) -> list[Tensor]:
        """Take the next frame; return those whose look-ahead is complete, none or one.

        pixels: (H, W, 3) float32 in 0..1. alpha: (H, W) float32 in 0..1; not written to.
        Raises BadPicture when its size is not that of the frames before.
        """
        if pixels.shape[:2] != alpha.shape:
            sizes = [f"{size[1]} x {size[0]}" for size in (pixels.shape, alpha.shape)]
            raise BadPicture(f"The frame has {sizes[0]} pixels and its alpha {sizes[1]}.")
        if self._strength == 0:
            return [alpha]
        if self._window and self._window[-1].alpha.shape != alpha.shape:
            raise BadPicture("A frame has another size than the one before it.")
        self._take(sight(pixels), alpha)
        return [self._next()] if self._waiting > self.look_ahead else []

    @torch.no_grad()
    def finish(self) -> list[Tensor]:
        """Return what is still to come, in order; the next frame pushed begins a new video."""
        rest = [self._next() for _ in range(self._waiting)]
        self._window.clear()
        return rest

    def _take(self, seen: Sight, alpha: Tensor) -> None:
        before = None
        if self._window and (ways := links(self._window[-1].sight, seen)) is not None:
            self._window[-1].after, before = ways
        small = reduced(alpha[None], _blend_reduction(alpha))
        self._window.append(_Seen(alpha, small, seen, before))
        self._waiting += 1

    def _next(self) -> Tensor:
        """Return the steadied alpha of the frame whose turn it is."""
        frames = list(self._window)
        at = len(frames) - self._waiting
        self._waiting -= 1
        own = frames[at]
        first, last = max(0, at - self.look_back), at + self.look_ahead
        ahead = zip((one.after for one in frames[at:last]), frames[at + 1 : last + 1], strict=False)
        behind = zip(
            (one.before for one in reversed(frames[first + 1 : at + 1])),
            reversed(frames[first:at]),
            strict=True,
        )
        average = _Average(own)
        average.add(ahead)
        average.add(behind)
        change = self._strength * (average.value() - own.reduced)
        large = enlarged(change, own.alpha.shape, _blend_reduction(own.alpha))[0]
        return (own.alpha + large).clamp_(0, 1)


class _Average:
    """What the frames around one say of its alpha."""

    def __init__(self, own: _Seen) -> None:
        self._own = own
        self._values = [own.reduced]
        self._says = [torch.ones_like(own.reduced)]

    def add(self, course: Iterable[tuple[Link | None, _Seen]]) -> None:
        """Add the frames on one side, nearest first, each with the way that leads to it."""
        flow = torch.zeros_like(self._own.sight.colours[:2])
        sure = torch.ones_like(flow[:1])
        for link, seen in course:
            if link is None:
                return
            onward = moved(torch.cat([link.step, link.sure]), flow)
            flow, sure = flow + onward[:2], sure * onward[2:]
            say = sure * agreement(self._own.sight, seen.sight, flow)
            self._count(seen, flow, say)

    def _count(self, seen: _Seen, flow: Tensor, say: Tensor) -> None:
        size = self._own.reduced.shape[1:]
        factor = reduction(*self._own.alpha.shape) // _blend_reduction(self._own.alpha)
        large = enlarged(torch.cat([flow * factor, say]), size, factor)
        self._values.append(moved(seen.reduced, large[:2]))
        self._says.append(large[2:])

    def value(self) -> Tensor:
        """Return the mean, in which those far from it count less."""
        values, says = torch.cat(self._values), torch.cat(self._says)
        mean = (values * says).sum(0, keepdim=True) / says.sum(0, keepdim=True)
        says = says / (1 + ((values - mean) / _FAR).square())
        return (values * says).sum(0, keepdim=True) / says.sum(0, keepdim=True)


def _blend_reduction(alpha: Tensor) -> int:
    """Return by what an alpha is reduced to be averaged: half as much as for motion."""
    return max(1, reduction(*alpha.shape) // 2)
