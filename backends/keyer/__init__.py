"""The keyer: cuts out pictures with a plain backdrop, without weights, and refuses all others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import torch

from ...core.errors import NoPlainBackdrop
from ...core.specs import BackendSpec
from ...core.types import Facts, Failure, Frame, Host, Job, Matte, Outcome
from ..one_by_one import one_by_one
from .backdrop import fit_backdrop
from .plain import key_plain

SCREEN_SIZE = (32, 32)  # a screen's smooth colours are told at this size


def open_keyer(spec: BackendSpec, _host: Host) -> Keyer:
    """Open the keyer. It needs nothing of the host: it computes on the CPU."""
    return Keyer(spec)


class Keyer:
    """One picture at a time on the CPU; alpha at the picture's own size."""

    def __init__(self, spec: BackendSpec) -> None:
        self.spec = spec

    def work(self, frame: Frame) -> str | None:
        """Return None: what costs nothing needs no identity."""
        return None

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        """Yield the alpha of each frame, or NoPlainBackdrop as its failure."""
        return one_by_one(frames, job, partial(self._key, job=job))

    def close(self) -> None:
        """Do nothing: nothing is held between runs."""

    def _key(self, frame: Frame, job: Job) -> Matte | Failure:
        started = time.perf_counter()
        rgb = np.ascontiguousarray(frame.pixels.cpu().numpy())
        backdrop = fit_backdrop(rgb)
        if backdrop is None:
            return Failure(
                NoPlainBackdrop(
                    f"{frame.name} has no plain backdrop, and the keyer needs one. Choose a model: "
                    "local, bria, fal or replicate."
                )
            )
        job.check()
        alpha = key_plain(rgb, backdrop, job.check)
        facts = Facts(
            backend=self.spec.id,
            model="keyer",
            licence=self.spec.licence,
            device="cpu",
            seconds=time.perf_counter() - started,
        )
        screen = backdrop.colours(SCREEN_SIZE) if backdrop.is_screen else None
        return Matte(
            torch.from_numpy(alpha),
            "alpha",
            facts,
            screen=None if screen is None else torch.from_numpy(screen),
        )
