"""The few threads of one run, for what would block the event loop: PNG, SQLite, official clients.

They end with the run, so that nothing but the one loop thread outlives it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_THREADS = 3


class BlockingPool:
    """`await blocking_pool.run(function)` from the loop; `close` from the run's own thread."""

    def __init__(self, threads: int = _THREADS) -> None:
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pool = ThreadPoolExecutor(
            threads,
            thread_name_prefix="rmbg-hosted-run",
            initializer=lambda: self._threads.append(threading.current_thread()),
        )

    async def run(self, function: Callable[[], T]) -> T:
        """The function's result, computed beside the loop; on the loop once the run is over."""
        if self.stopping.is_set():
            return function()
        try:
            result = asyncio.get_running_loop().run_in_executor(self._pool, function)
        except RuntimeError:  # the run ended in this very moment
            return function()
        return await result

    def stop(self) -> None:
        """Long work that asks `stopping` ends early; what is queued (an id on its way into the
        journal) is still done."""
        self.stopping.set()
        self._pool.shutdown(wait=False)

    def join(self, seconds: float) -> None:
        """Wait for the threads to end, but no longer than this."""
        until = time.monotonic() + seconds
        for thread in list(self._threads):
            thread.join(max(0.0, until - time.monotonic()))
