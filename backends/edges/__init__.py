"""Edges only: no model looks for the subject; its coarse mask is fitted to the picture."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from ...core.coarse import fit_mask
from ...core.errors import BadPicture
from ...core.specs import BackendSpec
from ...core.types import Facts, Failure, Frame, Host, Job, Matte, Outcome
from ..one_by_one import one_by_one


def open_edges(spec: BackendSpec, _host: Host, *, reach: int) -> Edges:
    """Open it. reach: pixels by which a mask's outline may be off. It needs nothing of the host."""
    return Edges(spec, reach)


class Edges:
    """One picture at a time on the CPU; alpha at the picture's own size."""

    def __init__(self, spec: BackendSpec, reach: int) -> None:
        self.spec = spec
        self.options = {"reach": reach}
        self._reach = reach

    def work(self, frame: Frame) -> str | None:
        """Return None: what costs nothing needs no identity."""
        return None

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        """Yield the fitted mask of each frame, or BadPicture where it has none to fit."""
        return one_by_one(frames, job, self._fit)

    def close(self) -> None:
        """Do nothing: nothing is held between runs."""

    def _fit(self, frame: Frame) -> Matte | Failure:
        started = time.perf_counter()
        if frame.subject is None or not bool((frame.subject > 0.5).any()):
            return Failure(
                BadPicture(
                    f"{frame.name} has no subject mask, and edges only cuts out along one. Connect "
                    "or paint the mask, roughly, or choose a model in Load RMBG."
                )
            )
        alpha = fit_mask(frame.subject[None], frame.pixels[None], self._reach)[0]
        facts = Facts(
            backend=self.spec.id,
            model="edges only",
            licence=self.spec.licence,
            device="cpu",
            seconds=time.perf_counter() - started,
        )
        return Matte(alpha, "alpha", facts)
