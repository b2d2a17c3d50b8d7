"""The product in one short function: pictures in, cut-outs with reports and receipts out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import TypeVar, overload

from ..config.settings import Settings
from ..core.types import Backend, Job, Outcome, Usage
from ..records.store import Records
from .executor import executor_for
from .finishing import Done, Finishing, finish
from .hand_over import Settle, at_once
from .inputs import Failed, Input, Prepared
from .matte_memory import MatteMemory
from .one_run import Run

R = TypeVar("R")


@overload
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
    kept: MatteMemory | None = None,
    hand_over: Callable[[Done | Failed, Settle], None] = at_once,
) -> Iterator[Done | Failed]: ...
@overload
def remove(
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
    kept: MatteMemory | None = None,
    hand_over: Callable[[R, Settle], None] = at_once,
    ending: Callable[[], None] = lambda: None,
) -> Iterator[R]: ...
def remove(
    inputs: Iterable[Input],
    backend: Backend,
    finishing: Finishing,
    deliver: Callable[[Done | Failed], object] = lambda result: result,
    *,
    workers: int = 0,
    usage: Usage | None = None,
    settings: Settings | None = None,
    job: Job | None = None,
    records: Records | None = None,
    max_cost: Decimal | None = None,
    kept: MatteMemory | None = None,
    hand_over: Callable[..., None] = at_once,
    ending: Callable[[], None] = lambda: None,
) -> Iterator[object]:
    """Cut the subject out of every input; results come as they complete, in any order.

    deliver: what is made of each result before it is yielded; by default it is yielded as it is.
    workers: threads that load pictures before the model needs them, and finish and deliver results
        while it works on the next; `deliver`, `Input.load` and `job.check` are then called in them.
        0: everything happens in the caller's thread.
    usage: None keeps the one that the backend was opened for.
    records: where paid work and receipts are kept, the user's own by default.
    max_cost: USD that this run may cost; None = no limit.
    kept: answers of a model on this machine, to be used again; None = none are.
    hand_over: told of each result when the caller asks for the next one; it calls `Settle` when the
        result is where it belongs: at once, by default, or later. What is never settled, and is not
        in the cache, stays in the journal, and the next run fetches it free.
    ending: lets go the threads that wait in `Input.load`, before the run waits for them.

    A picture that cannot be read, used or delivered is a Failed and never ends the run of the
    others. Delivered or not, each leaves a receipt, but for files that are not there; a receipt
    that cannot be written is a warning in the report. Raises LicenceRefused or Offline before
    anything is loaded; OverBudget before anything is sent where `inputs` is a sequence, else when
    the next picture would pass `max_cost` or the budget; Cancelled and the backend's refusals
    later. In memory are at most the backend's window of pictures, as many again that were paid for
    earlier, and as many as the workers work on.
    """
    run = Run(
        backend, finishing, usage, settings, job, records, max_cost, kept
    )  # or refused, for good
    run.afford(inputs)
    try:
        made = partial(_delivered, run, deliver)
        yield from carry(run, inputs, made, workers, hand_over=hand_over, ending=ending)
    finally:
        run.close()


def carry(
    run: Run,
    inputs: Iterable[Input],
    made: Callable[[Prepared | Input, Outcome], tuple[R, str | None]],
    workers: int,
    *,
    hand_over: Callable[[R, Settle], None],
    ending: Callable[[], None] = lambda: None,
    room: Callable[[], bool] = lambda: True,
) -> Iterator[R]:
    """Take every input through the backend; yield what is made of each, in any order.

    made: called with a picture and its outcome, by a worker where there are some; it returns what
        is yielded and the identity of the paid work. room: whether whoever takes the results has
        room for more than those under way; where not, these come first. The rest: see `remove`.
    """
    executor = executor_for(workers, run.spec)
    try:
        for result, work in executor.each(made, run.outcomes(inputs, executor, room)):
            yield result
            hand_over(result, partial(run.handed_over, work))
    finally:
        ending()
        executor.close()


def _delivered(
    run: Run, deliver: Callable[[Done | Failed], R], picture: Prepared | Input, outcome: Outcome
) -> tuple[R, str | None]:
    """Return what was delivered of one picture, and the identity of its paid work."""
    result = run.receipted(finish(picture, outcome, run.finishing, run.allowed, run.job), picture)
    return deliver(result), None if isinstance(result, Failed) else getattr(picture, "work", None)
