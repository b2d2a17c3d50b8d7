"""What was sent in submits whose answer is not in: with it they are repeated, byte for byte.

A host that takes idempotency keys refuses another request under the same key. So the text that
stood for the picture is kept, for this user alone, from before the first byte leaves until the
answer is in, or a day later. Only for such hosts: see `core.types.Repeat`.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path

from ..config.private_files import sync_names, write_private

FOLDER = "unanswered"

_OLD = 26 * 3600.0  # seconds; no host keeps a key for longer than a day


class Unanswered:
    """Texts in one folder, by their work. Any number of threads and processes may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def put(self, work: str, text: str) -> None:
        """Keep a text durably, in place of an earlier one of this work. Raises OSError."""
        self._clear_away()
        there = self._folder.exists()
        write_private(self._path(work), text.encode())
        sync_names([self._folder] if there else [self._folder, self._folder.parent])

    def get(self, work: str) -> str | None:
        """Return the text of this work; None where there is none that can be read."""
        try:
            return self._path(work).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def drop(self, work: str) -> None:
        """Remove the text of this work; one that cannot be removed goes with the old ones."""
        with suppress(OSError):
            self._path(work).unlink(missing_ok=True)

    def _clear_away(self) -> None:
        """Remove what is of no use any more: texts of given up work, and unfinished files."""
        with suppress(OSError):
            for path in self._folder.iterdir():
                if time.time() - path.stat().st_mtime > _OLD:
                    path.unlink(missing_ok=True)

    def _path(self, work: str) -> Path:
        return self._folder / hashlib.sha256(work.encode()).hexdigest()
