"""One list of IMAGE batches through the pipeline, with ComfyUI's progress bar and Cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..core.report import Report, render
from ..core.types import Backend, Usage
from ..pipeline import Failed, Treatment, raise_failures, remove
from .comfy_host import comfy_job
from .tensors import Collector, check_batch, inputs_of


@dataclass(frozen=True)
class Batch:
    """What became of one IMAGE batch. image: (B, H, W, 3 | 4); mask: (B, H, W)."""

    image: Tensor
    mask: Tensor
    report: str


def run_batches(
    backend: Backend, usage: Usage | None, images: Sequence[Tensor], treatment: Treatment
) -> list[Batch]:
    """The same list out, in the same order.

    When pictures fail the others are finished first; then the error names the failed ones, and
    nothing is returned: a failed picture never becomes a blank one. Cancel ends the prompt the way
    ComfyUI does it.
    """
    for number, batch in enumerate(images, 1):
        check_batch(batch, f"image {number}")
    inputs = inputs_of(images)
    collector = Collector(images, 4 if treatment.background is None else 3)
    reports: dict[int, Report] = {}
    failed: list[Failed] = []
    with comfy_job(len(inputs)) as job:
        for result in remove(inputs, backend, treatment, usage=usage, job=job):
            if isinstance(result, Failed):
                failed.append(result)
            else:
                collector.place(result)
                reports[result.index] = result.report
    raise_failures(failed, len(inputs))
    ordered = iter([reports[index] for index in sorted(reports)])
    return [
        Batch(image, mask, render([next(ordered) for _ in range(len(image))]))
        for image, mask in zip(collector.images, collector.masks, strict=True)
    ]
