"""ComfyUI core's own background removal model, as a backend of ours."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from torch import Tensor

from ..backends.one_by_one import one_by_one
from ..core.specs import BackendSpec, Option
from ..core.types import Facts, Frame, Job, Matte, Outcome

CORE_MODEL = BackendSpec(
    id="comfyui/core-model",
    label="ComfyUI's Load Background Removal Model",
    summary="whatever weights that node loaded; their licence is not established",
    location="local",
    licence="not-established",
    target="",
    window=1,
    options=(
        Option(
            "resolution", 0, "The side of the model's square; 0 = its own.", limits=(0, 4096, 32)
        ),
    ),
)

_OWN_SIZE = (
    "the model of this ComfyUI works at its own size, because its encode_image takes none; a newer "
    "ComfyUI's does"
)


class CoreModel(Protocol):
    """The object that core's loader node puts on the socket."""

    def encode_image(self, image: Tensor, image_size: int | None = None) -> Tensor:
        """Compute the mask (B, H, W), 1 = subject, of (B, H, W, 3). image_size: the side of the
        model's square, None for its own; ComfyUI up to 0.33 has no such argument."""


def _takes_a_size(model: CoreModel) -> bool:
    parameters = inspect.signature(model.encode_image).parameters
    return "image_size" in parameters or any(
        parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()
    )


class CoreModelBackend:
    """Runs core's model picture by picture, so that Cancel works and memory stays flat."""

    spec = CORE_MODEL

    def __init__(self, model: CoreModel, resolution: int = 0) -> None:
        self._model = model
        taken = not resolution or _takes_a_size(model)
        self._size = {"image_size": resolution} if resolution and taken else {}
        self._notes = () if taken else (_OWN_SIZE,)
        self.options = {"resolution": resolution if taken else 0}

    def work(self, frame: Frame) -> str | None:
        return None

    def at(self, resolution: int) -> CoreModelBackend:
        """Return the same model on squares of this side; 0 is its own."""
        return CoreModelBackend(self._model, resolution)

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        return one_by_one(frames, job, self._answer)

    def close(self) -> None:
        """Leave the model to ComfyUI's memory management."""

    def _answer(self, frame: Frame) -> Matte:
        started = time.perf_counter()
        answer = self._model.encode_image(frame.pixels[None], **self._size)
        alpha = answer[0].float().clamp(0, 1)
        facts = Facts(
            backend=self.spec.id,
            model="core background removal model",
            licence=self.spec.licence,
            device=str(alpha.device),
            seconds=time.perf_counter() - started,
            notes=self._notes,
        )
        return Matte(alpha, "alpha", facts)
