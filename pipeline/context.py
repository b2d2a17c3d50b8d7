"""The user's records, opened once a process, and paid results fetched into them.

One place for every program of this user: two journals would pay for the same picture twice.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

from ..config.host import PlainHost
from ..config.settings import Settings, read_settings
from ..core.errors import PictureError, ResultWaiting
from ..core.money import CURRENCY
from ..core.specs import Price
from ..core.types import Backend, Claim, Job, Resumable
from ..records.journal import OpenJob
from ..records.paid_job import PaidJob
from ..records.paid_video import PaidVideo
from ..records.store import Records, open_records


def open_user_records(settings: Settings | None = None) -> Records:
    """Open the records in the user's data folder (RMBG_DATA), with the cache of RMBG_CACHE."""
    current = settings or read_settings()
    folder = PlainHost().data_folder() / "records"
    return _opened(folder, current.cache_bytes, os.getpid())


@lru_cache(maxsize=8)
def _opened(folder: Path, cache_bytes: int, process: int) -> Records:
    """Open them once a process: a forked child must not write under its parent's name."""
    del process  # only a part of the cache's key
    records = open_records(folder, cache_bytes)
    # Of many folders the first are let go again, and a file is not left to the garbage collector.
    weakref.finalize(records, records.journal.close).atexit = False
    return records


def resume(
    jobs: Sequence[OpenJob], backend: Backend, records: Records, job: Job
) -> Iterator[tuple[OpenJob, PictureError | None]]:
    """Fetch paid results into the cache, without their pictures; each job with what went wrong.

    All jobs are of this backend, and have an id or can be asked for again. Raises what the backend
    refuses, and Cancelled.
    """
    kind = PaidVideo if backend.spec.media == "video" else PaidJob
    paid = kind(job, records.journal, records.cache)
    claims = []
    for index, open_job in enumerate(jobs):
        paid.expect(open_job.work, open_job.size)
        claims.append(
            Claim(index, open_job.work, open_job.ticket, open_job.size, _price_of(open_job))
        )
    try:
        for outcome in cast("Resumable", backend).resume(claims, paid):
            fetched = jobs[outcome.index]
            error = outcome.error
            if error is None and not records.cache.has(fetched.work):
                which = fetched.request_id or "a request whose answer was lost"
                error = ResultWaiting(
                    f"The result of {which} came and could not be kept in "
                    f"{records.cache.info().folder}. Make room on that disk, or raise RMBG_CACHE "
                    "if it is less than this one result, then resume again."
                )
            yield fetched, error
    finally:
        paid.close()


def _price_of(open_job: OpenJob) -> Price | None:
    """Return what was set aside for it, where the journal knows."""
    if open_job.price is None:
        return None
    currency = open_job.currency or CURRENCY
    return Price(open_job.price, currency, open_job.created[:10], "the journal of paid work")
