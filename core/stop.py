"""Cancel from another thread."""

from __future__ import annotations

import threading

from .errors import Cancelled
from .types import Job


class StopSwitch(Job):
    """A run that another thread can stop. said: the sentence of its Cancelled."""

    def __init__(self, said: str) -> None:
        self.pressed = threading.Event()
        self._said = said

    def check(self) -> None:
        """See `Job.check`."""
        if self.pressed.is_set():
            raise Cancelled(self._said)
