"""A file of records that fails: when it is tried again, and what the user can do about it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: A word of the system's or SQLite's reason -> what to do.
_REMEDIES = {
    "locked": "End the program that holds it",
    "full": "Make room on its disk",
    "No space": "Make room on its disk",
    "too large": "Make room on its disk",
    "disk I/O": "Make room on its disk, or mend it",
    "readonly": "Give yourself the right to write there",
    "ermi": "Give yourself the right to write there",  # permission denied, not permitted
    "Read-only": "Give yourself the right to write there",
    "unable to open": "Give yourself the right to write there",
    "Not a directory": "Make it a folder that can be written",
    "File exists": "Make it a folder that can be written",
}


class Pause:
    """Between the attempts at one thing: after a failure, as long as it took. For any thread.

    A file that another program holds costs every caller seconds of waiting, and thousands of
    pictures would wait for hours to hear the same.
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._reason = ""

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Try the thing inside, where a failure is a sqlite3.Error. Raises sqlite3.OperationalError
        at once, with the reason of the last failure, while it is too early."""
        began = time.monotonic()
        if began < self._until:
            raise sqlite3.OperationalError(self._reason)
        try:
            yield
        except sqlite3.Error as error:
            now = time.monotonic()
            self._until, self._reason = now + (now - began), str(error)
            raise


def remedy(error: Exception) -> str:
    """Return what the user can do next, as a sentence."""
    said = str(error)
    first = next((what for word, what in _REMEDIES.items() if word in said), "Mend it or its disk")
    return f"{first}, or set RMBG_DATA to another folder, which knows nothing of earlier jobs."
