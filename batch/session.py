"""A recipe at work in one process: the backend opened once, and a run that pictures join.

Who hands over pictures in small batches would let the model stand still at both ends of each one:
while the first is decoded, and while the last is encoded. Here batches that come side by side, from
several threads, are pictures of one run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from ..config.settings import Settings
from ..core.errors import Cancelled
from ..core.types import Backend, Job
from ..pipeline.finishing import Done
from ..pipeline.gate import open_backend
from ..pipeline.hand_over import Settle, at_once
from ..pipeline.inputs import Failed, Input, Loaded
from ..pipeline.remove import remove
from .produce import load
from .recipe.model import Recipe
from .recipe.post_process import open_treatment

R = TypeVar("R")

#: What opens a backend. It is called in the process that computes, so it must be possible to send
#: it there: a function or class of a module, or `functools.partial` of one.
Opener: TypeAlias = "Callable[[], Backend]"


@dataclass(frozen=True)
class Request(Generic[R]):
    """One picture."""

    name: str
    """What messages call it."""
    content: Path | bytes
    """A file, or its bytes."""
    finish: Callable[[Done | Failed], R]
    """Makes of the result what the caller gets; called by a worker."""
    hand_over: Callable[[R, Settle], None] = at_once
    """See `remove`; called before the caller gets the result."""
    check: Callable[[], None] = lambda: None
    """Raises PictureError before the picture is read."""


class Session(Generic[R]):
    """Any thread may call it. Nothing is opened before the first request.

    A run ends when nothing is left to be pulled, so that no backend waits for pictures that do not
    come; what is handed over later begins the next one. To keep it going, hand over more than the
    run holds at a time: twice the workers and twice the backend's window.

    opener: instead of the recipe's backend; called once. workers: threads that decode and encode
    beside the model. job: is told of paid work, and may refuse it.
    """

    def __init__(
        self,
        recipe: Recipe,
        opener: Opener | None,
        settings: Settings,
        *,
        workers: int,
        job: Job | None = None,
    ) -> None:
        self._recipe = recipe
        self._opener = opener or partial(open_for, recipe, settings)
        self.settings = settings
        self._workers = workers
        self._job = job or Job()
        self._opening = threading.Lock()
        self._backend: Backend | None = None
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="rmbg-session")
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Request[R], Future[R]]] = deque()
        self._pulled: dict[int, tuple[Request[R], Future[R]]] = {}
        self._runs = False

    @property
    def backend(self) -> Backend:
        """The open backend. Raises what it refuses."""
        with self._opening:
            if self._backend is None:
                self._finishing = open_treatment(self._recipe)
                self._backend = self._opener()
            return self._backend

    def work(self, requests: Sequence[Request[R]]) -> list[Future[R]]:
        """Return what becomes of each request, in their order.

        A future raises what ended its run: a Refusal, Cancelled. What the same run finished before
        has its result, and what is handed over later begins a new run. Raises LicenceRefused,
        WeightsMissing and whatever else keeps the backend from being opened.
        """
        backend = self.backend
        entries = [(request, Future[R]()) for request in requests]
        with self._lock:
            self._waiting.extend(entries)
            if not self._runs:
                self._runs = True
                self._runner.submit(self._run, backend).add_done_callback(self._ended)
        return [future for _, future in entries]

    def drop(self) -> None:
        """Begin nothing more of what no run has pulled yet: its futures raise Cancelled."""
        with self._lock:
            left = [future for _, future in self._waiting]
            self._waiting.clear()
        for future in left:
            future.set_exception(Cancelled("It was not begun."))

    def close(self) -> None:
        """Let go of the backend, when everything under way is finished."""
        self._runner.shutdown(wait=True)
        if self._backend is not None:
            self._backend.close()

    def _run(self, backend: Backend) -> None:
        while self._goes_on():
            results = remove(
                self._inputs(),
                backend,
                self._finishing,
                self._finish,
                workers=self._workers,
                usage=self._recipe.usage,
                settings=self.settings,
                job=self._job,
                hand_over=self._hand_over,
            )
            deque(results, maxlen=0)  # none is kept until the next one is there

    def _goes_on(self) -> bool:
        with self._lock:
            self._runs = bool(self._waiting)
            return self._runs

    def _inputs(self) -> Iterator[Input]:
        index = 0
        while True:
            with self._lock:
                if not self._waiting:
                    return
                entry = self._waiting.popleft()
            self._pulled[index] = entry
            request, _ = entry
            yield Input(index, request.name, partial(self._load, request))
            index += 1

    def _load(self, request: Request[R]) -> Loaded:
        request.check()
        return load(request.content, request.name, self._recipe)

    def _finish(self, result: Done | Failed) -> tuple[int, R]:
        request, _ = self._pulled[result.index]
        return result.index, request.finish(result)

    def _hand_over(self, ended: tuple[int, R], settle: Settle) -> None:
        index, result = ended
        request, future = self._pulled.pop(index)
        request.hand_over(result, settle)
        future.set_result(result)

    def _ended(self, run: Future[None]) -> None:
        """Tell whoever waits for a picture of a run that broke why."""
        error = run.exception()
        if error is None:
            return
        with self._lock:
            left = [*self._pulled.values(), *self._waiting]
            self._pulled.clear()
            self._waiting.clear()
            self._runs = False
        for _, future in left:
            future.set_exception(error)


def open_for(recipe: Recipe, settings: Settings) -> Backend:
    """Open the backend of a recipe. Raises what `gate.open_backend` does."""
    return open_backend(
        recipe.backend, usage=recipe.usage, settings=settings, options=recipe.options
    )
