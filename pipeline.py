"""The product in one function: gate -> cache -> backend -> finish -> cut-out -> receipt -> report.

With gate.py the only module that joins core, backends and records; nodes, the command line and the
Python interface call it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import TypeGuard, cast

import torch
from torch import Tensor

from .bookkeeping import circumstances, open_books
from .core.checks import check_share
from .core.cutout import cutout
from .core.errors import OverBudget, PictureError, Refusal
from .core.finish import settle, to_size, upsample_mask
from .core.inspect import quality_flags
from .core.intake import check_matte
from .core.report import Report
from .core.types import (
    Backend,
    Failure,
    Frame,
    Job,
    Matte,
    Outcome,
    Usage,
)
from .estimate import Estimate, estimate, look
from .feed import Failed, Feed, Input, Prepared
from .gate import allow
from .records.clerk import Clerk
from .records.purse import Purse
from .records.store import Records
from .settings import Settings, read_settings

_log = logging.getLogger("rmbg_nodes.hosted")


@dataclass(frozen=True)
class Treatment:
    """What happens to a matte after the backend.

    refine: sharpen an upsampled edge by the picture's own colours, and make what is as good as 0
    or 1 exactly that. decontaminate: 0..1, how far the old background's colour leaves the edge.
    background: an sRGB colour in 0..1, None = transparent.
    """

    refine: bool = False
    decontaminate: float = 1.0
    background: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        check_share(self.decontaminate, "decontamination")


@dataclass(frozen=True)
class Done:
    """image: (H, W, 4) straight alpha, or (H, W, 3) on a colour. mask: (H, W), 1 = subject. Both in
    the input's dtype, on its device."""

    index: int
    name: str
    image: Tensor
    mask: Tensor
    report: Report


def remove(
    inputs: Iterable[Input],
    backend: Backend,
    treatment: Treatment,
    *,
    usage: Usage | None = None,
    settings: Settings | None = None,
    job: Job | None = None,
    books: Records | None = None,
    max_cost: Decimal | None = None,
) -> Iterator[Done | Failed]:
    """Cut the subject out of every input; results come as they complete, in any order.

    usage: None keeps the one that the backend was opened for. books: where paid work and receipts
    are kept, the user's own by default. max_cost: USD that this run may cost; None = no limit.

    A picture that cannot be read, used or delivered is a Failed and never ends the run of the
    others. Delivered or not, each leaves a receipt; one that cannot be written is a warning in the
    report. Raises LicenceRefused or Offline before anything is loaded; OverBudget before anything
    is sent where `inputs` is a sequence, else when the next picture would pass `max_cost` or the
    budget; Cancelled and the backend's refusals later. At most the backend's window of pictures is
    in memory, and as many again that were paid for earlier.
    """
    current = settings or read_settings()
    opened_for: Usage | None = getattr(backend, "usage", None)
    asked = usage or opened_for
    in_force, ground = allow(backend.spec, asked, current)
    kept = books or open_books(current)
    purse = Purse(kept.spending, current.budget, max_cost)
    expected = _afforded(inputs, backend, kept, purse)
    run = Feed(inputs, backend, job or Job(), kept if backend.spec.price else None, purse)
    about = circumstances(backend, asdict(treatment), asked, current, (in_force, ground))
    clerk = Clerk(kept.receipts, about)

    def finished(outcome: Outcome) -> Done | Failed:
        prepared = run.in_flight.pop(outcome.index)
        result = _finish(prepared, outcome, treatment, in_force, ground, run.job)
        if expected is not None and isinstance(result, Done):
            result = replace(result, report=replace(result.report, estimate=str(expected)))
        return _receipted(result, prepared, clerk, run.paid.warnings if run.paid else ())

    def without_backend() -> Iterator[Done | Failed]:
        for unusable in run.unusable():
            yield replace(unusable, receipt=clerk.failed(unusable.failure, None))
        yield from map(finished, run.hits())

    try:
        while run.goes_on:
            for outcome in backend.run(run.frames(), run.job):
                yield from without_backend()
                work = run.in_flight[outcome.index].work
                yield finished(run.delivered_elsewhere(outcome))
                run.handed_over(work)
            yield from without_backend()
    except Refusal:
        # What went wrong or was paid for before is told before the run ends.
        yield from without_backend()
        raise
    finally:
        run.close()


def _afforded(
    inputs: Iterable[Input], backend: Backend, books: Records, purse: Purse
) -> Estimate | None:
    """What the run will cost at most; None where it costs nothing, or the pictures are not known.

    Raises OverBudget. Pictures that are not in memory are read beforehand only when it would
    otherwise be refused: what was paid for earlier may make the difference.
    """
    if not isinstance(inputs, Sequence):
        return None
    expected = estimate(inputs, backend, books)
    if expected is None:
        return None
    try:
        purse.afford(expected.price, expected.paid)
    except OverBudget:
        if expected.looked:
            raise
        expected = look(inputs, backend, books) or expected
        purse.afford(expected.price, expected.paid)
    _log.info("%s", expected)
    return expected


def raise_failures(failed: Sequence[Failed], total: int) -> None:
    """Raise one PictureError that names every failed picture; nothing when none failed."""
    if not failed:
        return
    first = failed[0].failure.error
    if total == 1:
        raise first
    reasons = " ".join(
        f"{item.name}: {_without_name(str(item.failure.error), item.name)}"
        for item in sorted(failed, key=lambda item: item.index)
    )
    raise type(first)(f"{len(failed)} of {total} pictures failed. {reasons}") from first


def _without_name(message: str, name: str) -> str:
    return message.removeprefix(f"{name}: ").removeprefix(f"{name} ")


@torch.no_grad()
def _finish(
    prepared: Prepared,
    outcome: Outcome,
    treatment: Treatment,
    usage: Usage,
    ground: str,
    job: Job,
) -> Done | Failed:
    frame, result = prepared.frame, outcome.result
    if _failed(result):
        return Failed(frame.index, frame.name, result)
    matte = cast("Matte", result)
    try:
        alpha = _alpha(matte, frame, treatment)
    except PictureError as error:
        return Failed(frame.index, frame.name, Failure(error, matte.facts.request_id))
    if prepared.alpha is not None:
        alpha = alpha * prepared.alpha
    job.check()
    image = cutout(
        frame.pixels[None],
        alpha[None],
        decontaminate=treatment.decontaminate,
        background=treatment.background,
    )[0]
    height, width = alpha.shape
    flags = quality_flags(alpha)
    report = Report(
        name=frame.name,
        width=width,
        height=height,
        usage=usage,
        ground=ground,
        facts=matte.facts,
        warnings=(*prepared.warnings, *matte.facts.notes, *flags.warnings),
        flags=flags.data(),
    )
    return Done(frame.index, frame.name, image.to(prepared.dtype), alpha.to(prepared.dtype), report)


def _receipted(
    result: Done | Failed, prepared: Prepared, clerk: Clerk, warnings: Sequence[str]
) -> Done | Failed:
    """The result with its receipt. warnings: of our own records; no business of the receipt."""
    source = prepared.frame.pixels
    if prepared.alpha is not None:
        source = torch.cat([source, prepared.alpha[..., None]], dim=-1)
    if isinstance(result, Failed):
        return replace(result, receipt=clerk.failed(result.failure, source))
    report = clerk.delivered(result.report, source, result.image, result.mask)
    told = dict.fromkeys((*report.warnings, *warnings))
    return replace(result, report=replace(report, warnings=tuple(told)))


def _failed(result: Matte | Failure) -> TypeGuard[Failure]:
    """By what it has, not by class: the backend may come from this package's other identity."""
    return hasattr(result, "error")


def _alpha(matte: Matte, frame: Frame, treatment: Treatment) -> Tensor:
    values = check_matte(matte, frame.name).to(frame.pixels.device)[None]
    if treatment.refine:
        return settle(upsample_mask(values, frame.pixels[None], kind=matte.kind)[0])
    height, width, _ = frame.pixels.shape
    return to_size(values, matte.kind, height, width)[0]
