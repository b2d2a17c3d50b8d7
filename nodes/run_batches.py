"""One list of IMAGE batches through the pipeline, with ComfyUI's progress bar and Cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from torch import Tensor

from ..core.report import FailureReport, OnFailure, Report, check_on_failure, render
from ..core.types import Backend, Usage
from ..pipeline.collect import raise_failures
from ..pipeline.finishing import Finishing
from ..pipeline.hand_over import Held
from ..pipeline.inputs import Failed
from ..pipeline.remove import remove
from .comfy_host import comfy_job
from .tensors import Collector, check_batch, inputs_of


@dataclass(frozen=True)
class Batch:
    """What became of one IMAGE batch. image: (B, H, W, 3 | 4); mask: (B, H, W). report: on every
    picture that went in, and in the first batch on those of batches that were left out whole."""

    image: Tensor
    mask: Tensor
    report: str


def run_batches(
    backend: Backend,
    usage: Usage | None,
    images: Sequence[Tensor],
    finishing: Finishing,
    on_failure: OnFailure = "stop",
    max_cost: Decimal | None = None,
) -> list[Batch]:
    """The same list out, in the same order, without batches of which nothing is left.

    When pictures fail the others are finished first. Then `on_failure` decides: an error that names
    the failed ones, or a result without them, or with them as they were. A failed picture never
    becomes a blank one, and nothing at all is an error. max_cost: USD for the whole list. Cancel
    ends the prompt the way ComfyUI does it.
    """
    check_on_failure(on_failure)
    for number, batch in enumerate(images, 1):
        check_batch(batch, f"image {number}")
    inputs = inputs_of(images)
    collector = Collector(images, 4 if finishing.background is None else 3)
    reports: dict[int, Report | FailureReport] = {}
    failed: list[Failed] = []
    held = Held()
    with comfy_job(len(inputs)) as job:
        results = remove(
            inputs,
            backend,
            finishing,
            usage=usage,
            job=job,
            max_cost=max_cost,
            hand_over=held,
        )
        for result in results:
            if isinstance(result, Failed):
                failed.append(result)
                reports[result.index] = FailureReport(
                    result.name, result.failure, on_failure, result.receipt
                )
            else:
                collector.place(result)
                reports[result.index] = result.report
    for lost in failed:
        if on_failure == "pass through":
            collector.pass_through(lost.index)
        else:
            collector.leave_out(lost.index)
    made = collector.results()
    if on_failure == "stop" or not made:
        raise_failures(failed, len(inputs))
    held.settle()
    ordered = iter([reports[index] for index in sorted(reports)])
    told = [[next(ordered) for _ in range(len(batch))] for batch in images]
    kept = [number for number, _, _ in made]
    told[kept[0]] = [
        *(report for number, group in enumerate(told) if number not in kept for report in group),
        *told[kept[0]],
    ]
    return [Batch(image, mask, render(told[number])) for number, image, mask in made]
