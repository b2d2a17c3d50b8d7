"""The journal, the cache, the receipts, the spending and the files' hashes of one data folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .cache import ResultCache
from .database import Database
from .delivered import DeliveredFiles
from .journal import Journal
from .receipts import Receipts
from .spending import Spending


@dataclass(frozen=True)
class Records:
    """What is remembered of paid work and of every picture; one per folder and process."""

    journal: Journal
    cache: ResultCache
    receipts: Receipts
    spending: Spending
    files: DeliveredFiles

    def close(self) -> None:
        """Close the file of journal, receipts and spending."""
        self.journal.close()


def open_records(folder: Path, cache_bytes: int) -> Records:
    """Open a data folder; never fails, see `Database`. cache_bytes: of results; 0 keeps none."""
    database = Database(folder)
    cache = ResultCache(folder / "results", cache_bytes)
    return Records(
        Journal(database),
        cache,
        Receipts(database),
        Spending(database),
        DeliveredFiles(database),
    )
