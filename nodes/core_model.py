"""ComfyUI core's own background removal model, as a backend of ours."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from torch import Tensor

from ..core.specs import BackendSpec
from ..core.types import Facts, Frame, Job, Matte, Outcome

CORE_MODEL = BackendSpec(
    id="comfyui/core-model",
    label="ComfyUI's Load Background Removal Model",
    summary="whatever weights that node loaded; their licence is not established",
    location="local",
    licence="not-established",
    target="",
    window=1,
)


class CoreModel(Protocol):
    """The object that core's loader node puts on the socket."""

    def encode_image(self, image: Tensor) -> Tensor:
        """(B, H, W, 3) -> (B, H, W), 1 = subject."""


class CoreModelBackend:
    """Runs core's model picture by picture, so that Cancel works and memory stays flat."""

    spec = CORE_MODEL

    def __init__(self, model: CoreModel) -> None:
        self._model = model

    def work(self, frame: Frame) -> str | None:
        return None

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        job.check()
        for frame in frames:
            started = time.perf_counter()
            alpha = self._model.encode_image(frame.pixels[None])[0].float().clamp(0, 1)
            facts = Facts(
                backend=self.spec.id,
                model="core background removal model",
                licence=self.spec.licence,
                device=str(alpha.device),
                seconds=time.perf_counter() - started,
            )
            job.step(1)
            yield Outcome(frame.index, Matte(alpha, "alpha", facts))
            job.check()

    def close(self) -> None:
        """The model belongs to ComfyUI's memory management."""
