"""What took long to fail is not tried again before as long has passed.

A file that another program holds costs every caller seconds of waiting. With thousands of pictures
that want it, they would wait for hours to be told the same.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pause:
    """Between the attempts at one thing. Any thread may use it."""

    def __init__(self) -> None:
        self._until = 0.0
        self._reason = ""

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Inside it the thing is tried. Raises sqlite3.OperationalError at once, with the reason of
        the last failure, while it is too early; a failure inside is a sqlite3.Error."""
        began = time.monotonic()
        if began < self._until:
            raise sqlite3.OperationalError(self._reason)
        try:
            yield
        except sqlite3.Error as error:
            now = time.monotonic()
            self._until, self._reason = now + (now - began), str(error)
            raise
