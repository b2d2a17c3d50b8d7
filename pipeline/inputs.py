"""What stands between the inputs and the backend.

Pictures that cannot be used, and results that were paid for earlier, never reach it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor

from ..core.alpha import match_mask
from ..core.checks import split_pixels
from ..core.errors import PictureError, Refusal
from ..core.report import Remark
from ..core.types import Backend, Failure, Frame, Job, Matte, Outcome
from ..pictures.fields import Origin
from ..records.paid_job import PaidJob
from .executor import Executor
from .matte_memory import MatteMemory


class Loaded(NamedTuple):
    """A picture that was read from a file."""

    image: Tensor
    warnings: tuple[str, ...] = ()
    """What its report is to say of the file."""
    origin: Origin = Origin()
    """What the result's file takes over from it."""
    subject: Tensor | None = None
    """(H, W) in 0..1, 1 = what is meant, roughly; None: all that the backend finds."""


@dataclass(frozen=True)
class Input:
    """One picture to work on, loaded when its turn comes."""

    index: int
    """Unique within one run."""
    name: str
    """What messages call it."""
    load: Callable[[], Tensor | Loaded]
    """Returns (H, W, C) float 0..1, C = 1, 3 or 4, alone or Loaded; may raise PictureError. Called
    by a worker where there are some."""
    at_hand: bool = False
    """It is in memory, so loading costs nothing."""
    only_once: bool = False
    """It cannot be loaded a second time."""


@dataclass(frozen=True)
class Failed:
    """A picture that could not be delivered, and why."""

    index: int
    name: str
    failure: Failure
    receipt: str | None = None
    """The id of its receipt, if one was kept."""


@dataclass(frozen=True)
class Prepared:
    """A picture as the backend takes it."""

    frame: Frame
    alpha: Tensor | None
    """(H, W) float32, the picture's own; None where it has none."""
    subject: Tensor | None
    """(H, W) float32, what is meant, for a backend that finds more; None: all of its answer."""
    dtype: torch.dtype
    """Of its pixels as they were given, and of the result."""
    warnings: tuple[str, ...]
    origin: Origin
    work: str | None = None
    """The identity of a result that is kept or paid for; None where neither is."""

    @property
    def name(self) -> str:
        """Return what messages call it."""
        return self.frame.name


class InputStream:
    """The pictures of one run, on their way to the backend and back."""

    def __init__(
        self,
        inputs: Iterable[Input],
        backend: Backend,
        job: Job,
        executor: Executor,
        paid: PaidJob | None,
        kept: MatteMemory | None,
        room: Callable[[], bool] = lambda: True,
    ) -> None:
        """executor: loads them. paid: the job as it remembers paid work; None where nothing
        costs anything. kept: earlier answers of a model on this machine. room: see `carry`."""
        self._backend = backend
        self._room = room
        self._job = job
        self._paid = paid
        # What was paid for has its cache on disk, and needs no other.
        self._kept = None if paid else kept
        work_of = partial(self._kept.work, backend) if self._kept else None
        prepare = partial(
            _prepare,
            work_of=backend.work if paid else work_of,
            for_backend=backend.spec.needs_subject,
        )
        self._prepared = executor.ahead(inputs, prepare)
        self._ready: deque[tuple[Prepared | Input, Outcome]] = deque()
        self._in_flight: dict[int, Prepared] = {}
        self._goes_on = True

    def outcomes(self) -> Iterator[tuple[Prepared | Input, Outcome]]:
        """Yield every picture with its outcome, as they complete, in any order.

        An Input stands for a picture that could not be loaded. Raises what the backend refuses;
        what went wrong, or was paid for earlier, is yielded before.
        """
        try:
            while self._goes_on:
                for outcome in self._backend.run(self._frames(), self._job):
                    yield from self._without_backend()
                    picture = self._in_flight.pop(outcome.index)
                    if picture.work is not None:
                        outcome = self._remembered(picture.work, outcome)
                    yield picture, outcome
                    del picture, outcome
                yield from self._without_backend()
        except Refusal:
            yield from self._without_backend()
            raise

    def _frames(self) -> Iterator[Frame]:
        """Yield what the backend has to work on.

        Ends early when results that were paid for earlier wait to be handed out: they come from
        this iterator and so would pile up behind the backend. And when whoever takes the results
        has no room for more: the backend then finishes what it has. It is then run again.
        """
        self._goes_on = False
        for item, ready in self._prepared:
            try:
                prepared = ready()
            except PictureError as error:
                self._ready.append((item, Outcome(item.index, Failure(error))))
                self._job.step(1)
                continue
            busy = bool(self._in_flight)
            hit = None if prepared.work is None else self._earlier(prepared, prepared.work)
            if hit is None:
                self._in_flight[item.index] = prepared
                yield prepared.frame
                if not self._room():
                    self._goes_on = True
                    return
                continue
            self._ready.append((prepared, Outcome(item.index, hit)))
            self._job.step(1)
            if not busy or len(self._ready) >= self._backend.spec.window:
                self._goes_on = True
                return

    def _without_backend(self) -> Iterator[tuple[Prepared | Input, Outcome]]:
        """Yield pictures that could not be loaded, and earlier results, each once."""
        while self._ready:
            yield self._ready.popleft()

    def _earlier(self, prepared: Prepared, work: str) -> Matte | None:
        """Return the result of an earlier run, or of an earlier picture of this one."""
        if self._paid is None:
            return self._kept.get(work) if self._kept else None
        height, width, _ = prepared.frame.pixels.shape
        self._paid.expect(work, (width, height), prepared.name)
        return self._paid.earlier(work)

    def _remembered(self, work: str, outcome: Outcome) -> Outcome:
        """Keep a local answer. Return, for a paid picture that failed, what another run has paid
        for since this one looked into the cache."""
        if outcome.error is None and self._kept is not None:
            self._kept.put(work, cast("Matte", outcome.result))
        if outcome.error is None or self._paid is None:
            return outcome
        return Outcome(outcome.index, self._paid.cache.get(work) or outcome.result)


def load(item: Input) -> Loaded:
    """Load a picture. Raises PictureError.

    By what it is made of, not by class: the input may come from this package's other identity.
    """
    loaded = item.load()
    return Loaded(*loaded) if isinstance(loaded, tuple) else Loaded(loaded)


def _prepare(
    item: Input, work_of: Callable[[Frame], str | None] | None, for_backend: bool
) -> Prepared:
    """for_backend: the backend takes the subject mask itself."""
    image, said, origin, subject = load(item)
    pixels, alpha, warnings = split_pixels(image, item.name)
    if subject is not None:
        height, width, _ = pixels.shape
        subject = match_mask(subject.to(pixels), height, width, 1, "subject mask")[0]
    frame = Frame(item.index, pixels, item.name, subject if for_backend else None)
    of_file = (Remark(words, "file") for words in said)
    return Prepared(
        frame,
        alpha,
        None if for_backend else subject,
        image.dtype,
        (*of_file, *warnings),
        origin,
        work_of(frame) if work_of else None,
    )
