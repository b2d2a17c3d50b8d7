"""A run of the pipeline that pictures join while it goes on.

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
from typing import Generic, TypeVar

from torch import Tensor

from ..config.settings import Settings
from ..core.errors import Cancelled
from ..core.types import Backend, Job, Usage
from ..pipeline.finishing import Done, Finishing
from ..pipeline.hand_over import Settle, at_once
from ..pipeline.inputs import Failed, Input, Loaded
from ..pipeline.remove import remove

R = TypeVar("R")


@dataclass(frozen=True)
class Piece(Generic[R]):
    """One picture. name: what messages call it. load: as `Input.load`. finish: makes of the result
    what the caller gets; both are called by the workers. hand_over: see `remove`; it is called
    before the caller gets the result."""

    name: str
    load: Callable[[], Tensor | Loaded]
    finish: Callable[[Done | Failed], R]
    hand_over: Callable[[R, Settle], None] = at_once


@dataclass(frozen=True)
class Terms:
    """What all pictures have in common; see `pipeline.remove`."""

    finishing: Finishing
    workers: int
    usage: Usage | None
    settings: Settings
    job: Job


class Stream(Generic[R]):
    """One backend at work. Any thread may call it.

    A run ends when nothing is left to be pulled, so that no backend waits for pictures that do not
    come; what is handed over later begins the next one. To keep it going, hand over more than the
    run holds at a time: twice the workers and twice the backend's window.
    """

    def __init__(self, backend: Backend, terms: Terms) -> None:
        self._backend = backend
        self._terms = terms
        self._runner = ThreadPoolExecutor(1, thread_name_prefix="rmbg-stream")
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Piece[R], Future[R]]] = deque()
        self._pulled: dict[int, tuple[Piece[R], Future[R]]] = {}
        self._runs = False

    def work(self, pieces: Sequence[Piece[R]]) -> list[Future[R]]:
        """What becomes of each, in their order.

        A future raises what ended its run: a Refusal, Cancelled. What the same run finished before
        has its result, and what is handed over later begins a new run.
        """
        entries = [(piece, Future[R]()) for piece in pieces]
        with self._lock:
            self._waiting.extend(entries)
            if not self._runs:
                self._runs = True
                self._runner.submit(self._run).add_done_callback(self._ended)
        return [future for _, future in entries]

    def drop(self) -> None:
        """What no run has pulled yet is not begun any more: its futures raise Cancelled."""
        with self._lock:
            left = [future for _, future in self._waiting]
            self._waiting.clear()
        for future in left:
            future.set_exception(Cancelled("It was not begun."))

    def close(self) -> None:
        """Returns when nothing is under way. The backend stays open."""
        self._runner.shutdown(wait=True)

    def _run(self) -> None:
        terms = self._terms
        while self._goes_on():
            results = remove(
                self._inputs(),
                self._backend,
                terms.finishing,
                self._finish,
                workers=terms.workers,
                usage=terms.usage,
                settings=terms.settings,
                job=terms.job,
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
            piece, _ = entry
            yield Input(index, piece.name, piece.load)
            index += 1

    def _finish(self, result: Done | Failed) -> tuple[int, R]:
        piece, _ = self._pulled[result.index]
        return result.index, piece.finish(result)

    def _hand_over(self, ended: tuple[int, R], settle: Settle) -> None:
        index, result = ended
        piece, future = self._pulled.pop(index)
        piece.hand_over(result, settle)
        future.set_result(result)

    def _ended(self, run: Future[None]) -> None:
        """Whoever waits for a picture of a run that broke hears why."""
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
