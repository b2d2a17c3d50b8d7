"""The journal and the cache of one data folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .cache import ResultCache
from .journal import Journal


@dataclass(frozen=True)
class Records:
    """What is remembered of paid work. One per folder and process, for all its threads."""

    journal: Journal
    cache: ResultCache

    def close(self) -> None:
        """Let go of the journal's file."""
        self.journal.close()


def open_records(folder: Path, cache_bytes: int) -> Records:
    """Never fails: see `Journal.open`. cache_bytes: what results may take on disk; 0 keeps none."""
    return Records(Journal.open(folder), ResultCache(folder / "results", cache_bytes))
