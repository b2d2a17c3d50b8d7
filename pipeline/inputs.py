"""What stands between the inputs and the backend.

Pictures that cannot be used, and results that were paid for earlier, never reach it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from ..core.errors import PictureError
from ..core.intake import split_pixels
from ..core.remarks import Remark
from ..core.types import Backend, Failure, Frame, Job, Matte, Outcome
from ..records.paid_job import PaidJob
from ..records.run_budget import RunBudget
from ..records.store import Records
from .executor import Executor

R = TypeVar("R")


class Loaded(NamedTuple):
    """A picture, and what its report is to say of the file that it was read from."""

    image: Tensor
    warnings: tuple[str, ...] = ()


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
    """work: the identity of what would be paid for; None where nothing costs anything."""

    frame: Frame
    alpha: Tensor | None
    dtype: torch.dtype
    warnings: tuple[str, ...]
    work: str | None = None


class InputStream:
    """The pictures of one run. lane: who loads them. job: what the backend is given. in_flight: by
    index, what has been pulled and has no result yet. goes_on: the backend has to be run (again).
    purse: the money of a run that costs something."""

    def __init__(
        self,
        inputs: Iterable[Input],
        backend: Backend,
        job: Job,
        records: Records | None,
        executor: Executor[R],
        run_budget: RunBudget | None = None,
    ) -> None:
        prepare = partial(_prepare, priced=backend if records else None)
        self._prepared = executor.ahead(inputs, prepare)
        self._backend = backend
        self._records = records
        self._unusable: deque[Failed] = deque()
        self._hits: deque[Outcome] = deque()
        self.paid = PaidJob(job, records.journal, records.cache, run_budget) if records else None
        self.job: Job = self.paid or job
        self.in_flight: dict[int, Prepared] = {}
        self._counting = threading.Lock()
        self._copies: Counter[str] = Counter()  # results of a work that have no place yet
        self.goes_on = True

    def frames(self) -> Iterator[Frame]:
        """What the backend has to work on.

        Ends early when results that were paid for earlier wait to be handed out: they come from
        this iterator and so would pile up behind the backend. The caller then runs it again.
        """
        self.goes_on = False
        for item, ready in self._prepared:
            try:
                prepared = ready()
            except PictureError as error:
                self._unusable.append(Failed(item.index, item.name, Failure(error)))
                self.job.step(1)
                continue
            busy = len(self.in_flight) - len(self._hits)
            self.in_flight[item.index] = prepared
            if prepared.work is not None:
                with self._counting:
                    self._copies[prepared.work] += 1
            hit = self._earlier(prepared)
            if hit is None:
                yield prepared.frame
                continue
            self._hits.append(Outcome(item.index, hit))
            self.job.step(1)
            if not busy or len(self._hits) >= self._backend.spec.window:
                self.goes_on = True
                return

    def unusable(self) -> Iterator[Failed]:
        """Pictures that could not be loaded, each once."""
        while self._unusable:
            yield self._unusable.popleft()

    def hits(self) -> Iterator[Outcome]:
        """Results that were paid for earlier, each once."""
        while self._hits:
            yield self._hits.popleft()

    def delivered_elsewhere(self, outcome: Outcome) -> Outcome:
        """For a failure, what another run has paid for since this one looked into the cache."""
        work = self.in_flight[outcome.index].work
        if not hasattr(outcome.result, "error") or self._records is None or work is None:
            return outcome
        return Outcome(outcome.index, self._records.cache.get(work) or outcome.result)

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
        if self.paid is None or self._records is None or prepared.work is None:
            return None
        height, width, _ = prepared.frame.pixels.shape
        self.paid.expect(prepared.work, (width, height), prepared.frame.name)
        hit = self._records.cache.get(prepared.work)
        if hit is not None:
            self.paid.found(prepared.work)
        return hit


def load(item: Input) -> Loaded:
    """Load a picture. Raises PictureError. (By what it is made of, not by class: the input may come
    from this package's other identity.)"""
    loaded = item.load()
    return Loaded(*loaded) if isinstance(loaded, tuple) else Loaded(loaded)


def _prepare(item: Input, priced: Backend | None) -> Prepared:
    loaded, said = load(item)
    pixels, alpha, warnings = split_pixels(loaded, item.name)
    frame = Frame(item.index, pixels, item.name)
    work = priced.work(frame) if priced else None
    of_file = (Remark(words, "file") for words in said)
    return Prepared(frame, alpha, loaded.dtype, (*of_file, *warnings), work)
