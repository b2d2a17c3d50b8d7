"""The product in one function: gate -> cache -> backend -> finish -> cut-out -> receipt -> report.

With pipeline/gate.py the only module that joins core, backends and records; nodes, the command line and the
Python interface call it.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TypeAlias, TypeVar

import torch

from ..catalogue.licences import licence_of
from ..config.settings import Settings, read_settings
from ..core.errors import OverBudget, Refusal
from ..core.remarks import Remark
from ..core.types import Backend, Job, Outcome, Usage
from ..records.receipt_writer import ReceiptWriter
from ..records.run_budget import RunBudget
from ..records.store import Records
from .context import circumstances, open_user_records
from .estimate import Estimate, estimate, look
from .executor import Executor, SerialExecutor, ThreadedExecutor

# What a caller needs beside the function comes from here, too.
from .finishing import Done as Done
from .finishing import Finishing as Finishing
from .finishing import finish
from .gate import allow
from .inputs import Failed, Input, InputStream, Prepared

R = TypeVar("R")
#: Says that a result has reached its place. Any thread may call it, also when the run is over.
Settle: TypeAlias = "Callable[[], None]"
#: What was delivered, and the identity of the paid work that is handed over with it.
_Handed: TypeAlias = "tuple[R, str | None]"

# Of a path that leads to no file: nothing of the name, a file in the place of a folder, links in a
# circle, and what can be no name.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)

_log = logging.getLogger("rmbg_nodes.hosted")


def at_once(result: object, settle: Settle) -> None:
    """Who asks for the next result has this one."""
    settle()


class Held:
    """Results that are worth something only all together, as `hand_over`: whoever gets an error, or
    stops the run, has none of them."""

    def __init__(self) -> None:
        self._open: list[Settle] = []

    def __call__(self, result: object, settle: Settle) -> None:
        self._open.append(settle)

    def settle(self) -> None:
        """They are with the caller."""
        for settle in self._open:
            settle()


def remove(
    inputs: Iterable[Input],
    backend: Backend,
    finishing: Finishing,
    *,
    usage: Usage | None = None,
    settings: Settings | None = None,
    job: Job | None = None,
    records: Records | None = None,
    max_cost: Decimal | None = None,
    hand_over: Callable[[Done | Failed, Settle], None] = at_once,
) -> Iterator[Done | Failed]:
    """Cut the subject out of every input; results come as they complete, in any order.

    usage: None keeps the one that the backend was opened for. books: where paid work and receipts
    are kept, the user's own by default. max_cost: USD that this run may cost; None = no limit.
    hand_over: see `carry_out`.

    A picture that cannot be read, used or delivered is a Failed and never ends the run of the
    others. Delivered or not, each leaves a receipt, but for files that are not there; a receipt
    that cannot be written is a warning in the report. Raises LicenceRefused or Offline before
    anything is loaded; OverBudget before anything is sent where `inputs` is a sequence, else when
    the next picture would pass `max_cost` or the budget; Cancelled and the backend's refusals
    later. At most the backend's window of pictures is in memory, and as many again that were paid
    for earlier.
    """
    return carry_out(
        inputs,
        backend,
        finishing,
        _as_it_is,
        usage=usage,
        settings=settings,
        job=job,
        records=records,
        max_cost=max_cost,
        hand_over=hand_over,
    )


def carry_out(
    inputs: Iterable[Input],
    backend: Backend,
    finishing: Finishing,
    deliver: Callable[[Done | Failed], R],
    *,
    workers: int = 0,
    usage: Usage | None = None,
    settings: Settings | None = None,
    job: Job | None = None,
    records: Records | None = None,
    max_cost: Decimal | None = None,
    hand_over: Callable[[R, Settle], None] = at_once,
    ending: Callable[[], None] = lambda: None,
) -> Iterator[R]:
    """`remove`, with the rest of the work on each picture: yields what `deliver` made of results.

    workers: threads that load pictures before the model needs them, and finish and deliver results
    while it works on the next; `deliver`, `Input.load` and `job.check` are then called in them. 0:
    everything happens in the caller's thread. As many pictures more are in memory as the threads
    work on, and as the backend takes at a time.

    hand_over: told of each result when the caller asks for the next one; it calls `Settle` when the
    result is where it belongs: at once, by default, or later. What is never settled, and is not in
    the cache, stays in the journal, and the next run fetches it free. ending: lets go the threads
    that wait in `Input.load`, before the run waits for them.
    """
    current = settings or read_settings()
    opened_for: Usage | None = getattr(backend, "usage", None)
    asked = usage or opened_for
    in_force, ground = allow(backend.spec, asked, current)
    kept = records or open_user_records(current)
    run_budget = RunBudget(kept.spending, current.budget, max_cost)
    expected = _afforded(inputs, backend, kept, run_budget)
    executor: Executor[_Handed[R]] = _executor(workers, backend)
    paid = kept if backend.spec.price else None
    run = InputStream(inputs, backend, job or Job(), paid, executor, run_budget)
    about = circumstances(backend, finishing.data(), asked, current, (in_force, ground))
    receipt_writer = ReceiptWriter(kept.receipts, about)

    def unusable(failed: Failed) -> _Handed[R]:
        if not _was_there(failed.failure.error):
            return deliver(failed), None
        return deliver(replace(failed, receipt=receipt_writer.failed(failed.failure, None))), None

    def finished(outcome: Outcome, prepared: Prepared) -> _Handed[R]:
        result = finish(prepared, outcome, finishing, in_force, ground, run.job)
        if expected is not None and isinstance(result, Done):
            result = replace(result, report=replace(result.report, estimate=str(expected)))
        if isinstance(result, Done):
            result = _with_licence(result, current)
        said = run.paid.warnings if run.paid else ()
        warnings = [Remark(words, "records") for words in said]
        work = None if isinstance(result, Failed) else prepared.work
        return deliver(_receipted(result, prepared, receipt_writer, warnings)), work

    def taken(outcome: Outcome) -> Callable[[], _Handed[R]]:
        return partial(finished, outcome, run.in_flight.pop(outcome.index))

    def without_backend() -> Iterator[_Handed[R]]:
        for failed in run.unusable():
            yield from executor.after(partial(unusable, failed))
        for outcome in run.hits():
            yield from executor.after(taken(outcome))

    def results() -> Iterator[_Handed[R]]:
        try:
            while run.goes_on:
                for outcome in backend.run(run.frames(), run.job):
                    yield from without_backend()
                    yield from executor.after(taken(run.delivered_elsewhere(outcome)))
                yield from without_backend()
        except Refusal:
            # What went wrong or was paid for before is told before the run ends.
            yield from without_backend()
            yield from executor.rest()
            raise
        yield from executor.rest()

    try:
        for result, work in results():
            yield result
            hand_over(result, partial(run.handed_over, work))
    finally:
        ending()
        executor.close()
        run.close()


def _was_there(error: BaseException) -> bool:
    """Whether there was a file, by what its reading failed with."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NOT_THERE:
            return False
        cause = cause.__cause__
    return True


def _as_it_is(result: Done | Failed) -> Done | Failed:
    return result


def _with_licence(done: Done, settings: Settings) -> Done:
    """The result, its licence named as the gate saw it: for a file of the user's, by them."""
    facts = done.report.facts
    name = licence_of(facts.licence, facts.weights_sha256, settings.weights).name
    return replace(done, report=replace(done.report, licence_name=name))


def _executor(workers: int, backend: Backend) -> Executor[_Handed[R]]:
    if not workers:
        return SerialExecutor()
    # A hosted model takes its pictures one by one, however many are with the provider.
    at_a_time = backend.spec.window if backend.spec.location == "local" else 1
    return ThreadedExecutor(workers, reach=max(workers, at_a_time))


def _afforded(
    inputs: Iterable[Input], backend: Backend, records: Records, run_budget: RunBudget
) -> Estimate | None:
    """What the run will cost at most; None where it costs nothing, or the pictures are not known.

    Raises OverBudget. Pictures that are not in memory are read beforehand only when it would
    otherwise be refused: what was paid for earlier may make the difference.
    """
    if not isinstance(inputs, Sequence):
        return None
    expected = estimate(inputs, backend, records)
    if expected is None:
        return None
    try:
        run_budget.afford(expected.price, expected.paid)
    except OverBudget:
        if expected.looked:
            raise
        expected = look(inputs, backend, records) or expected
        run_budget.afford(expected.price, expected.paid)
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


def _receipted(
    result: Done | Failed,
    prepared: Prepared,
    receipt_writer: ReceiptWriter,
    warnings: Sequence[str],
) -> Done | Failed:
    """The result with its receipt. warnings: of our own records; no business of the receipt."""
    source = prepared.frame.pixels
    if prepared.alpha is not None:
        source = torch.cat([source, prepared.alpha[..., None]], dim=-1)
    if isinstance(result, Failed):
        return replace(result, receipt=receipt_writer.failed(result.failure, source))
    report = receipt_writer.delivered(result.report, source, result.image, result.mask)
    told = dict.fromkeys((*report.warnings, *warnings))
    return replace(result, report=replace(report, warnings=tuple(told)))
