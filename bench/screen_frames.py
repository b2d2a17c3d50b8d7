"""A still subject before a screen whose light changes: how much of the change reaches the alpha.

Every frame is brighter by a hundredth than the last, as by a camera's exposure, flickers by three
hundredths, has a slope of light that turns, and noise of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np

from ..backends.keyer import plain
from ..backends.keyer.backdrop import Backdrop, distance_to, fit_backdrop
from ..demo.scenes import Kind, render
from ..demo.shapes import Array
from .screen_scenes import CHANNEL, COLOURS, Colour, Light, backdrop, recorded, spilled

FRAMES = 10
SIZE = (240, 280)
SUBJECT = (0.55, 0.5, 0.5)
KINDS: tuple[Kind, ...] = ("hard", "soft", "hair")
RISE, FLICKER, SLOPE = 0.01, 0.03, 0.12
WAYS = ("measured in each frame", "averaged over the frames before", "known exactly")
KEPT = 0.7  # of the average, from frame to frame


@dataclass(frozen=True)
class Moment:
    """One frame, and the screen as it is lit in it, (H, W, 3)."""

    image: Array
    screen: Array


def table(seeds: Sequence[int]) -> list[list[str]]:
    """Compare ways to know the backdrop: dtSSD of a still alpha is the error of Erofeev 2015."""
    rows = [["backdrop", "dtSSD x 100", "MAE"]]
    for way in WAYS:
        found = [
            _figures(way, kind, seed, colour)
            for kind in KINDS
            for seed in seeds
            for colour in COLOURS
        ]
        moved, off = np.mean(found, axis=0)
        rows.append([way, f"{moved:.3f}", f"{off:.2f}"])
    return rows


def frames(alpha: Array, seed: int, colour: Colour) -> Iterator[Moment]:
    """Yield the frames of one scene."""
    light, noise = Light(), np.random.default_rng([seed, 5])
    still = backdrop(alpha, colour, np.random.default_rng([seed, CHANNEL[colour]]), light)
    y, x = (
        places / side - 0.5
        for places, side in zip(np.mgrid[: SIZE[0], : SIZE[1]], SIZE, strict=True)
    )
    subject = np.broadcast_to(np.array(SUBJECT, np.float32), (*SIZE, 3))
    over = alpha[..., None]
    for number in range(FRAMES):
        gain = 1 + RISE * number + FLICKER * np.sin(2.1 * number)
        turn = 0.06 * number
        slope = 1 + SLOPE * (np.cos(turn) * x + np.sin(turn) * y)
        screen = np.clip(still * gain * slope[..., None], 0, 1).astype(np.float32)
        lit = np.clip(subject * np.float32(gain), 0, 1)
        image = over * spilled(lit, alpha, screen, light) + (1 - over) * screen
        yield Moment(recorded(image, noise, light.noise), screen)


def alphas(moments: Iterator[Moment], way: str) -> Iterator[Array]:
    """Yield the alpha of each frame."""
    average: Array | None = None
    for moment in moments:
        found = fit_backdrop(moment.image)
        assert found is not None
        if way == WAYS[1]:
            now = found.coefficients
            average = now if average is None else KEPT * average + (1 - KEPT) * now
            found = Backdrop(average)
        if way == WAYS[2]:
            yield _known(moment, found)
        else:
            yield plain.key_plain(moment.image, found)


def _known(moment: Moment, found: Backdrop) -> Array:
    def lit(_rgb: Array, lab: Array, _found: Backdrop) -> tuple[Array, Array, float]:
        return moment.screen, *distance_to(lab, moment.screen)

    with patch.object(plain, "lit_backdrop", lit):
        return plain.key_plain(moment.image, found)


def _figures(way: str, kind: Kind, seed: int, colour: Colour) -> tuple[float, float]:
    truth = render(kind, seed, SIZE, "solid").alpha
    found = np.stack(list(alphas(frames(truth, seed, colour), way)))
    moved = np.sqrt(np.square(np.diff(found, axis=0)).mean(axis=(1, 2))).mean()
    return float(moved) * 100, float(np.abs(found - truth).mean()) * 1000
