"""The keyer: cuts out pictures with a plain backdrop, without weights; or a preview of any picture.

`mode="plain"` refuses a picture without a plain backdrop and names the backends that could do it.
`mode="preview"` guesses the subject of any picture; what it delivers is called preview everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from ...core.errors import NoPlainBackdrop
from ...core.specs import BackendSpec, OptionValue
from ...core.types import Facts, Failure, Frame, Host, Job, Matte, Outcome
from .backdrop import fit_backdrop
from .lab import Array
from .plain import key_plain
from .saliency import preview

_PREVIEW_NOTE = "this is a preview by saliency, not the work of a model"


def open_keyer(spec: BackendSpec, _host: Host, *, mode: OptionValue) -> Keyer:
    """mode: "plain" or "preview". The keyer needs nothing of the host: it computes on the CPU."""
    return Keyer(spec, preview_mode=mode == "preview")


class Keyer:
    """One picture at a time on the CPU; alpha at the picture's own size."""

    def __init__(self, spec: BackendSpec, *, preview_mode: bool = False) -> None:
        self.spec = spec
        self._preview_mode = preview_mode

    def work(self, frame: Frame) -> str | None:
        return None

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        job.check()
        for frame in frames:
            outcome = Outcome(frame.index, self._answer(frame, job))
            job.step(1)
            yield outcome
            job.check()

    def close(self) -> None:
        """Nothing is held between runs."""

    def _answer(self, frame: Frame, job: Job) -> Matte | Failure:
        started = time.perf_counter()
        rgb = np.ascontiguousarray(frame.pixels.cpu().numpy())
        alpha = preview(rgb) if self._preview_mode else _key(rgb, job)
        if alpha is None:
            return Failure(
                NoPlainBackdrop(
                    f"{frame.name} has no plain backdrop, and the keyer needs one. Choose a model "
                    "(local, bria, fal or replicate), or try things out with the keyer's "
                    "preview (mode=preview)."
                )
            )
        facts = Facts(
            backend=self.spec.id,
            model="keyer preview" if self._preview_mode else "keyer",
            licence=self.spec.licence,
            device="cpu",
            seconds=time.perf_counter() - started,
            notes=(_PREVIEW_NOTE,) if self._preview_mode else (),
        )
        return Matte(torch.from_numpy(alpha), "alpha", facts)


def _key(rgb: Array, job: Job) -> Array | None:
    backdrop = fit_backdrop(rgb)
    job.check()
    return None if backdrop is None else key_plain(rgb, backdrop, job.check)
