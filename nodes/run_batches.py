"""One list of IMAGE batches through the pipeline, with ComfyUI's progress bar and Cancel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from torch import Tensor

from ..core.report import OnFailure, check_on_failure
from ..core.types import Backend, Usage
from ..pipeline.collect import Batch, remove_batches
from ..pipeline.finishing import Finishing
from ..pipeline.matte_memory import MatteMemory
from .comfy_host import comfy_job
from .tensors import check_batch


def run_batches(
    backend: Backend,
    usage: Usage | None,
    images: Sequence[Tensor],
    finishing: Finishing,
    on_failure: OnFailure = "stop",
    max_cost: Decimal | None = None,
    kept: MatteMemory | None = None,
    subjects: Sequence[Tensor | None] = (),
    signed_in: Callable[[], str] = str,
) -> list[Batch]:
    """Call `remove_batches` on ComfyUI's tensors; Cancel ends the prompt the way ComfyUI does
    it. signed_in: see ComfyJob."""
    check_on_failure(on_failure)
    for number, batch in enumerate(images, 1):
        check_batch(batch, f"image {number}")
    with comfy_job(sum(map(len, images)), signed_in) as job:
        return remove_batches(
            images,
            "image",
            backend,
            finishing,
            on_failure,
            usage=usage,
            job=job,
            max_cost=max_cost,
            kept=kept,
            subjects=subjects,
        )
