"""The job of a backend that works for a video: what its frames cost is noted when it is owed."""

from __future__ import annotations

import threading
from typing import cast

from ...core.types import Failure, Job, Matte, Outcome
from .segments import WorkFolder


class FramesJob(Job):
    """The caller's job without its steps: those are taken when a frame is written."""

    def __init__(self, job: Job) -> None:
        """work: see `WorkFolder.paid`; set once there is one."""
        self._job = job
        self._noting = threading.Lock()
        self.work: WorkFolder | None = None
        self.check = job.check  # type: ignore[method-assign]
        self.reserve = job.reserve  # type: ignore[method-assign]
        self.known = job.known  # type: ignore[method-assign]
        self.signed_in = job.signed_in  # type: ignore[method-assign]

    def settled(self, work: str, outcome: Outcome) -> None:
        """See `Job.settled`. Called by any thread."""
        result = outcome.result
        failed = outcome.error is not None
        cost = cast("Failure", result).cost if failed else cast("Matte", result).facts.cost
        self._job.settled(work, outcome)
        with self._noting:
            if self.work is not None:
                self.work.paid(cost)
