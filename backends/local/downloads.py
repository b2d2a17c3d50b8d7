"""Downloads of weights, started, watched and stopped from any thread.

One for each file in a process: whoever asks for a file that is on its way gets that download.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ...core.errors import Cancelled, RmbgError, WeightsMissing
from .released import Released
from .weights import fetch

State: TypeAlias = Literal["running", "done", "stopped", "failed"]

#: The speed is that of the last seconds.
_WINDOW = 5.0


@dataclass(frozen=True)
class Progress:
    """How far a download is."""

    model: str
    """The part of the backend's id after "local/"."""
    state: State
    """stopped: by the user; what arrived is kept."""
    arrived: int
    """Bytes that are here."""
    size: int
    """Bytes of the whole file."""
    speed: int
    """Bytes a second, lately."""
    words: str = ""
    """Why it failed, for people."""


class Download:
    """One file on its way, in a thread of its own."""

    def __init__(self, row: Released, begin: Callable[[Download], Path]) -> None:
        self._row = row
        self._state: State = "running"
        self._words = ""
        self._error: RmbgError | None = None
        self._arrived = 0
        self._stop = threading.Event()
        self._recent: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()
        # A daemon, so that a program can end: what has arrived stays.
        self._thread = threading.Thread(
            target=self._run, args=(begin,), name=f"download {row.name}", daemon=True
        )
        self._thread.start()

    def check(self) -> None:
        """Raise Cancelled once it is to stop."""
        if self._stop.is_set():
            raise Cancelled("Stopped by the user.")

    def note(self, arrived: int) -> None:
        """Take down how many bytes are here now."""
        now = time.monotonic()
        with self._lock:
            self._arrived = arrived
            self._recent.append((now, arrived))
            while self._recent[0][0] < now - _WINDOW:
                self._recent.popleft()

    def stop(self) -> None:
        """Let it end with the next piece that arrives."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait for its end at most so long; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def check_end(self) -> None:
        """Raise why it has ended without the file: Cancelled where it was stopped, else an error of
        ours."""
        with self._lock:
            state, words, error = self._state, self._words, self._error
        if state == "stopped":
            raise Cancelled("The download was stopped; what has arrived is kept.")
        if state == "failed":
            raise (type(error) if error else WeightsMissing)(words) from error

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        with self._lock:
            speed = 0
            if self._state == "running" and len(self._recent) > 1:
                (began, before), (last, now) = self._recent[0], self._recent[-1]
                speed = round((now - before) / max(last - began, 0.001))
            return Progress(
                self._row.model, self._state, self._arrived, self._row.size, speed, self._words
            )

    def _run(self, begin: Callable[[Download], Path]) -> None:
        state: State = "failed"
        words = "The download broke off; the log says why."
        kept: RmbgError | None = None
        try:
            begin(self)
            state, words = "done", ""
        except Cancelled:
            state, words = "stopped", ""
        except RmbgError as error:
            words, kept = str(error), error
        finally:  # nothing else says that a thread has ended
            with self._lock:
                self._state, self._words, self._error = state, words, kept


class Downloads:
    """The downloads of this process, by what they become."""

    def __init__(self) -> None:
        self._all: dict[Path, Download] = {}
        self._lock = threading.Lock()

    def start(
        self,
        row: Released,
        folder: Path,
        data_folder: Path,
        *,
        offline: bool = False,
        endpoint: str | None = None,
    ) -> Download:
        """Begin to fetch a released file whose licence the user has accepted, or join the download
        that is under way. Arguments: see `fetch`."""

        def begin(download: Download) -> Path:
            return fetch(
                row,
                folder,
                data_folder,
                accepted=True,
                offline=offline,
                endpoint=endpoint,
                check=download.check,
                arrived=download.note,
            )

        with self._lock:
            known = self._all.get(folder / row.name)
            if known is None or known.progress.state != "running":
                known = self._all[folder / row.name] = Download(row, begin)
            return known

    def of(self, model: str) -> list[Download]:
        """Return the downloads of one model, the latest last."""
        with self._lock:
            return [one for one in self._all.values() if one.progress.model == model]
