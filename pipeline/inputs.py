"""What stands between the inputs and the backend.

Pictures that cannot be used, and results that were paid for earlier, never reach it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from ..core.checks import split_pixels
from ..core.errors import PictureError, Refusal
from ..core.report import Remark
from ..core.types import Backend, Failure, Frame, Job, Matte, Outcome
from ..pictures.fields import Origin
from ..records.paid_job import PaidJob
from ..records.run_budget import RunBudget
from ..records.store import Records
from .executor import Executor
from .matte_memory import MatteMemory

R = TypeVar("R")


class Loaded(NamedTuple):
    """A picture that was read from a file."""

    image: Tensor
    warnings: tuple[str, ...] = ()
    """What its report is to say of the file."""
    origin: Origin = Origin()
    """What the result's file takes over from it."""


@dataclass(frozen=True)
class Input:
    """One picture to work on, loaded when its turn comes.

    load returns (H, W, C) float 0..1, C = 1, 3 or 4, alone or Loaded, and may raise PictureError;
    where there are workers, it is one of them that calls it. index is unique
    within one run; name is what messages call the picture. at_hand: it is in memory, so loading
    costs nothing. only_once: it cannot be loaded a second time.
    """

    index: int
    name: str
    load: Callable[[], Tensor | Loaded]
    at_hand: bool = False
    only_once: bool = False


@dataclass(frozen=True)
class Failed:
    """A picture that could not be delivered, and why. receipt: the id of its receipt, if one was
    kept."""

    index: int
    name: str
    failure: Failure
    receipt: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A picture as the backend takes it.

    alpha: (H, W) float32, the picture's own; None where it has none. dtype: of its pixels as they
    were given, and of the result. work: the identity of what would be paid for; None where nothing
    costs anything.
    """

    frame: Frame
    alpha: Tensor | None
    dtype: torch.dtype
    warnings: tuple[str, ...]
    origin: Origin
    work: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.frame.name


class InputStream:
    """The pictures of one run, on their way to the backend and back.

    executor: loads them. records: where paid work is kept; None where nothing costs anything.
    budget: the money of this run. kept: earlier answers of a model on this machine.
    """

    def __init__(
        self,
        inputs: Iterable[Input],
        backend: Backend,
        job: Job,
        records: Records | None,
        executor: Executor,
        budget: RunBudget | None = None,
        kept: MatteMemory | None = None,
    ) -> None:
        # What was paid for has its cache on disk, and needs no other.
        self._kept = None if records else kept
        work_of = partial(self._kept.work, backend) if self._kept else _no_work
        prepare = partial(_prepare, work_of=backend.work if records else work_of)
        self._prepared = executor.ahead(inputs, prepare)
        self._backend = backend
        self._records = records
        self._ready: deque[tuple[Prepared | Input, Outcome]] = deque()
        self.paid = PaidJob(job, records.journal, records.cache, budget) if records else None
        #: What the backend is given.
        self.job: Job = self.paid or job
        self._in_flight: dict[int, Prepared] = {}
        self._counting = threading.Lock()
        self._copies: Counter[str] = Counter()  # results of a work that have no place yet
        self._goes_on = True

    def outcomes(self) -> Iterator[tuple[Prepared | Input, Outcome]]:
        """Every picture with its outcome, as they complete, in any order.

        An Input stands for a picture that could not be loaded. Raises what the backend refuses;
        what went wrong, or was paid for earlier, is yielded before.
        """
        try:
            while self._goes_on:
                for outcome in self._backend.run(self._frames(), self.job):
                    yield from self._without_backend()
                    picture = self._in_flight.pop(outcome.index)
                    self._keep(picture, outcome)
                    yield picture, self._delivered_elsewhere(picture, outcome)
                    del picture
                yield from self._without_backend()
        except Refusal:
            yield from self._without_backend()
            raise

    def _frames(self) -> Iterator[Frame]:
        """What the backend has to work on.

        Ends early when results that were paid for earlier wait to be handed out: they come from
        this iterator and so would pile up behind the backend. It is then run again.
        """
        self._goes_on = False
        for item, ready in self._prepared:
            try:
                prepared = ready()
            except PictureError as error:
                self._ready.append((item, Outcome(item.index, Failure(error))))
                self.job.step(1)
                continue
            busy = bool(self._in_flight)
            if self.paid is not None and prepared.work is not None:
                with self._counting:
                    self._copies[prepared.work] += 1
            hit = self._earlier(prepared)
            if hit is None:
                self._in_flight[item.index] = prepared
                yield prepared.frame
                continue
            self._ready.append((prepared, Outcome(item.index, hit)))
            self.job.step(1)
            if not busy or len(self._ready) >= self._backend.spec.window:
                self._goes_on = True
                return

    def _without_backend(self) -> Iterator[tuple[Prepared | Input, Outcome]]:
        """Pictures that could not be loaded, and results that were paid for earlier, each once."""
        while self._ready:
            yield self._ready.popleft()

    def _delivered_elsewhere(self, picture: Prepared, outcome: Outcome) -> Outcome:
        """For a failure, what another run has paid for since this one looked into the cache."""
        if outcome.error is None or self._records is None or picture.work is None:
            return outcome
        return Outcome(outcome.index, self._records.cache.get(picture.work) or outcome.result)

    def _keep(self, picture: Prepared, outcome: Outcome) -> None:
        if self._kept is not None and picture.work is not None and outcome.error is None:
            self._kept.put(picture.work, cast("Matte", outcome.result))

    def handed_over(self, work: str | None) -> None:
        """One result has reached its place. When all pictures in hand that are the same have, it
        need not be kept to be fetched again. Any thread may say so, also when the run is over."""
        if self.paid is None or work is None:
            return
        with self._counting:
            self._copies[work] -= 1
            last = not self._copies[work]
        if last:
            self.paid.handed_over(work)

    def close(self) -> None:
        """What is still at the provider may be fetched by any other run."""
        if self.paid:
            self.paid.close()

    def _earlier(self, prepared: Prepared) -> Matte | None:
        if prepared.work is None:
            return None
        if self._kept is not None:
            return self._kept.get(prepared.work)
        if self.paid is None or self._records is None:
            return None
        height, width, _ = prepared.frame.pixels.shape
        self.paid.expect(prepared.work, (width, height), prepared.frame.name)
        hit = self._records.cache.get(prepared.work)
        if hit is not None:
            self.paid.found(prepared.work)
        return hit


def load(item: Input) -> Loaded:
    """Load a picture. Raises PictureError.

    By what it is made of, not by class: the input may come from this package's other identity.
    """
    loaded = item.load()
    return Loaded(*loaded) if isinstance(loaded, tuple) else Loaded(loaded)


def _no_work(_frame: Frame) -> None:
    """The identity of what nobody keeps."""


def _prepare(item: Input, work_of: Callable[[Frame], str | None]) -> Prepared:
    image, said, origin = load(item)
    pixels, alpha, warnings = split_pixels(image, item.name)
    frame = Frame(item.index, pixels, item.name)
    of_file = (Remark(words, "file") for words in said)
    return Prepared(frame, alpha, image.dtype, (*of_file, *warnings), origin, work_of(frame))
