"""The coroutines of one run, seen from the thread that waits for them."""

from __future__ import annotations

import queue
from concurrent.futures import Future

from ...core.errors import Refusal
from ...core.types import Outcome
from .http.runtime import runtime
from .jobs.job_runner import JobRunner
from .jobs.run_context import BlockingPool, HostedRequest

# Cancel returns within half a second: what may be waited for after it is asked.
_PATIENCE = 0.2
_JOINING = 0.15


class Running:
    """The coroutines of one run, seen from the caller's thread."""

    def __init__(self, job_runner: JobRunner, pool: BlockingPool) -> None:
        self._job_runner = job_runner
        self._pool = pool
        self._runtime = runtime()
        self._ended: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self.open = 0

    def start(self, request: HostedRequest) -> None:
        self.open += 1
        self._runtime.start(self._job_runner.carry(request)).add_done_callback(self._ended.put)

    def idle(self) -> bool:
        """Say whether nothing waits to be handed out, so that more pictures can be pulled."""
        return self._ended.empty()

    def next(self, seconds: float) -> Outcome | Refusal | None:
        """Return the next outcome, a refusal instead of one, or None when nothing came in time.

        Anything else that a request raised is a fault of ours and is raised.
        """
        try:
            ended = self._ended.get(timeout=seconds)
        except queue.Empty:
            return None
        self.open -= 1
        if ended.cancelled():
            return None
        error = ended.exception()
        if isinstance(error, Refusal):
            return error
        return ended.result()

    def send_no_more(self) -> None:
        """End the requests of which nothing was sent, without an outcome; the others go on."""
        self._runtime.start(self._job_runner.send_no_more())

    def stop(self) -> None:
        """End everything that is still under way; at once when nothing is."""
        self._pool.stop()
        self._runtime.start(self._job_runner.stop(_PATIENCE)).result()
        self._pool.join(_JOINING)
