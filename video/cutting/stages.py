"""The stages of a video side by side, with so few frames between them that memory stays flat.

The backend stays in the caller's thread, where a host that owns the device expects it. Decoding is
in a thread before it, colours in a few threads behind it, and encoding in one at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")

_TICK = 0.1


class Stages:
    """The threads of one run."""

    def __init__(self, workers: int, check: Callable[[], None]) -> None:
        """workers: of the stage for colours. check: called in every wait; it raises what ends the
        run."""
        self._check = check
        self._threads_before = torch.get_num_threads()
        self._reading = _pool(1, "rmbg-video-read")
        self._between = _pool(workers, "rmbg-video-colours")
        self._writing = _pool(1, "rmbg-video-write")
        self._workers = workers

    def ahead(self, items: Iterator[A], depth: int) -> Iterator[A]:
        """Yield the items, which a thread asks for up to `depth` of them ahead."""
        waiting = deque(self._reading.submit(next, items, None) for _ in range(depth))
        while (item := self._result(waiting.popleft())) is not None:
            waiting.append(self._reading.submit(next, items, None))
            yield item
            del item  # or the picture would stay until the next one is there

    def side_by_side(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """Yield what `work` makes of every item, in order; each thread works on one."""
        return self._through(self._between, work, items, self._workers)

    def behind(self, work: Callable[[A], B], items: Iterable[A], depth: int) -> Iterator[B]:
        """Yield what `work` makes of every item, in order; one thread works, with up to `depth`
        items before it."""
        return self._through(self._writing, work, items, depth)

    def close(self) -> None:
        """Begin nothing more; return when nothing is under way."""
        for pool in (self._reading, self._between, self._writing):
            pool.shutdown(wait=True, cancel_futures=True)
        # What a worker sets for itself is also what threads that begin later would compute with.
        torch.set_num_threads(self._threads_before)

    def _through(
        self, pool: ThreadPoolExecutor, work: Callable[[A], B], items: Iterable[A], depth: int
    ) -> Iterator[B]:
        under_way: deque[Future[B]] = deque()
        for item in items:
            under_way.append(pool.submit(work, item))
            del item
            while len(under_way) > depth or (under_way and under_way[0].done()):
                yield self._result(under_way.popleft())
        while under_way:
            yield self._result(under_way.popleft())

    def _result(self, future: Future[B]) -> B:
        self._check()
        while not wait((future,), _TICK).done:
            self._check()
        return future.result()


class InOrder(Generic[A]):
    """Items that come in any order, given out by their number."""

    def __init__(self, first: int, number_of: Callable[[A], int], most: int) -> None:
        """most: items that may wait for an earlier one; see `has_room`."""
        self._next = first
        self._number_of = number_of
        self._most = most
        self._waiting: dict[int, A] = {}

    def has_room(self) -> bool:
        """Tell whether more may be begun before the one that the others wait for is there."""
        return len(self._waiting) < self._most

    def sort(self, items: Iterable[A]) -> Iterator[A]:
        """Yield the items in the order of their numbers, which have no gaps."""
        for item in items:
            self._waiting[self._number_of(item)] = item
            del item
            while self._next in self._waiting:
                yield self._waiting.pop(self._next)
                self._next += 1


def _pool(count: int, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(
        count, thread_name_prefix=name, initializer=torch.set_num_threads, initargs=(1,)
    )
