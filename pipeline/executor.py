"""Who does the work before and after the model: the caller's thread, or workers beside it.

A model that is asked, decoded for and encoded for by one thread stands still most of the time. Its
picture files are work of the processor that gives Python's lock back, so threads are enough, and
nothing has to be sent to another process.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import starmap
from typing import Protocol, TypeVar

import torch

from ..core.errors import Refusal
from ..core.specs import BackendSpec

A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")

_MOST_WORKERS = 8


class Executor(Protocol):
    """The work around one run of a backend. Used by one thread."""

    def ahead(
        self, items: Iterable[A], work: Callable[[A], B]
    ) -> Iterator[tuple[A, Callable[[], B]]]:
        """Yield every item in order, with a call that returns or raises what `work` made of it."""

    def each(self, work: Callable[[A, B], R], items: Iterable[tuple[A, B]]) -> Iterator[R]:
        """Yield what `work` makes of every item, in any order; an item is taken from `items` when
        there is room for it. Before a Refusal of theirs is raised, what is under way is yielded."""

    def close(self) -> None:
        """Begin nothing more; return when nothing is under way."""


class SerialExecutor:
    """Everything at the moment when it is asked for, by the thread that asks."""

    def ahead(
        self, items: Iterable[A], work: Callable[[A], B]
    ) -> Iterator[tuple[A, Callable[[], B]]]:
        return ((item, partial(work, item)) for item in items)

    def each(self, work: Callable[[A, B], R], items: Iterable[tuple[A, B]]) -> Iterator[R]:
        return starmap(work, items)

    def close(self) -> None:
        pass


class ThreadedExecutor:
    """`count` threads. At most `reach` items are prepared ahead, and as many results as there are
    threads wait behind those in work: a model that is faster than they are waits for them, so that
    memory does not grow. Each computes with one thread: there are enough pictures for all cores."""

    def __init__(self, count: int, reach: int) -> None:
        self._reach = max(1, reach)
        self._most = 2 * count
        self._pool = ThreadPoolExecutor(
            count,
            thread_name_prefix="rmbg-worker",
            initializer=torch.set_num_threads,
            initargs=(1,),
        )
        self._threads_before = torch.get_num_threads()

    def ahead(
        self, items: Iterable[A], work: Callable[[A], B]
    ) -> Iterator[tuple[A, Callable[[], B]]]:
        source = iter(items)
        waiting: deque[tuple[A, Future[B]]] = deque()
        more = True
        while True:
            while more and len(waiting) < self._reach:
                try:
                    item = next(source)
                except StopIteration:
                    more = False
                else:
                    waiting.append((item, self._pool.submit(work, item)))
            if not waiting:
                return
            item, future = waiting.popleft()
            yield item, future.result
            del future  # or the picture would stay until the next one is asked for

    def each(self, work: Callable[[A, B], R], items: Iterable[tuple[A, B]]) -> Iterator[R]:
        under_way: set[Future[R]] = set()
        try:
            for item in items:
                under_way.add(self._pool.submit(work, *item))
                del item  # or the picture would stay until the next one is there
                yield from _finished(under_way, at_most=self._most)
        except Refusal:
            yield from _finished(under_way, at_most=0)
            raise
        yield from _finished(under_way, at_most=0)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        # What a worker sets for itself is also what threads that begin later would compute with.
        torch.set_num_threads(self._threads_before)


def usual_workers(processors: int | None = None) -> int:
    """Return how many workers there are where the caller names none: one for each of these
    processors, by default the machine's, at most 8."""
    return min(_MOST_WORKERS, processors or os.cpu_count() or 1)


def executor_for(workers: int, spec: BackendSpec) -> Executor:
    """Return the executor of a run with so many workers; 0: the caller's thread does everything."""
    if not workers:
        return SerialExecutor()
    # A hosted model takes its pictures one by one, however many are with the provider.
    at_a_time = spec.window if spec.location == "local" else 1
    return ThreadedExecutor(workers, reach=max(workers, at_a_time))


def _finished(under_way: set[Future[R]], at_most: int) -> Iterator[R]:
    """Yield what is done, taken out of the set, until no more than so many are under way."""
    while under_way:
        patient = len(under_way) > at_most
        done, _ = wait(under_way, None if patient else 0, return_when=FIRST_COMPLETED)
        if not done:
            return
        under_way -= done
        for future in done:
            yield future.result()
