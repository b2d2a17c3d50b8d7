"""How far two frames show the same at a place: what the one may tell of the other's matte."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .motion import Sight, motion, moved
from .window_sums import window_sums

# Colours (in 0..1, after the light was matched) may differ by what is usual between the two frames
# times this, and by this much more; but never by more than the limit.
_USUAL = 3.0
_LEAST = 12 / 255
_LIMIT = 64 / 255
# There and back again has to end where it began, within so many pixels of the grid, and this share
# of the way.
_LOOP = 1.0
_LOOP_SHARE = 0.1
# Where less of a frame than this is found in the next, a new scene begins.
_SAME_SCENE = 0.4
# Of the light between two frames; a pixel this dark says nothing about it.
_LARGEST_GAIN = 4.0
_DARK = 4 / 255
_SAMPLED = 7
_NEVER = 1e-3


@dataclass(frozen=True)
class Link:
    """The way from a frame to the next or to the one before; (h, w) on the grid of motion."""

    step: Tensor
    """(2, h, w): motion, in pixels of the grid."""
    sure: Tensor
    """(1, h, w) in 0..1: 1 where the way back leads to where it began."""


def links(here: Sight, there: Sight) -> tuple[Link, Link] | None:
    """Return the ways from `here` to `there` and back; None where a new scene begins there."""
    forward, back = motion(here, there), motion(there, here)
    ways = Link(forward, _sure(forward, back)), Link(back, _sure(back, forward))
    alike = ways[0].sure * agreement(here, there, forward)
    return ways if float(alike.mean()) >= _SAME_SCENE else None


def agreement(here: Sight, there: Sight, flow: Tensor) -> Tensor:
    """Return (1, h, w) in 0..1: 1 where what `there` shows along `flow` has the colours of `here`,
    but for a change of the light on everything."""
    found = moved(there.colours, flow)
    apart = _smooth((here.colours - _gain(here.colours, found) * found).abs().mean(0, keepdim=True))
    allowed = (_LEAST + _USUAL * float(apart.median())) if apart.numel() else _LEAST
    agreed = torch.exp(-((apart / min(allowed, _LIMIT)) ** 2))
    return torch.where(agreed < _NEVER, 0.0, agreed)


def _gain(here: Tensor, found: Tensor) -> Tensor:
    """Return (3, 1, 1), what the light of `found` must be multiplied with."""
    some = [colours.flatten(1)[:, ::_SAMPLED] for colours in (here, found)]
    gain = ((some[0] + _DARK) / (some[1] + _DARK)).median(1).values
    return gain.clamp(1 / _LARGEST_GAIN, _LARGEST_GAIN)[:, None, None]


def _sure(way: Tensor, back: Tensor) -> Tensor:
    loop = (moved(back, way) + way).square().sum(0, keepdim=True)
    allowed = _LOOP**2 + _LOOP_SHARE**2 * way.square().sum(0, keepdim=True)
    return torch.exp(-loop / allowed)


def _smooth(plane: Tensor) -> Tensor:
    height, width = plane.shape[1:]
    padded = functional.pad(plane[None], (1, 1, 1, 1), mode="replicate")[0]
    return window_sums(padded, 1)[:, 1 : height + 1, 1 : width + 1] / 9
