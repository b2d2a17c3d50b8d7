"""The journal of paid jobs and the cache of their results.

One place for every program of this user: two journals would pay for the same picture twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

from .core.errors import PictureError, ResultWaiting
from .core.types import Backend, Claim, Job, Resumable
from .host import PlainHost
from .records.journal import OpenJob
from .records.paid import PaidJob
from .records.store import Records, open_records
from .settings import Settings, read_settings


def open_books(settings: Settings | None = None) -> Records:
    """The records in the user's data folder (RMBG_DATA), with the cache that RMBG_CACHE allows."""
    current = settings or read_settings()
    folder = PlainHost().data_folder() / "records"
    return _opened(folder, current.cache_bytes, os.getpid())


@lru_cache(maxsize=8)
def _opened(folder: Path, cache_bytes: int, process: int) -> Records:
    """Once a process: a forked child must not write under its parent's name."""
    del process  # only a part of the cache's key
    return open_records(folder, cache_bytes)


def resume(
    jobs: Sequence[OpenJob], backend: Backend, books: Records, job: Job
) -> Iterator[tuple[OpenJob, PictureError | None]]:
    """Fetch paid results into the cache, without their pictures; each job with what went wrong.

    All jobs are of this backend and have an id. Raises what the backend refuses, and Cancelled.
    """
    paid = PaidJob(job, books.journal, books.cache)
    claims = []
    for index, open_job in enumerate(jobs):
        paid.expect(open_job.work, open_job.size)
        claims.append(Claim(index, open_job.work, open_job.ticket, open_job.size))
    try:
        for outcome in cast("Resumable", backend).resume(claims, paid):
            fetched = jobs[outcome.index]
            error: PictureError | None = getattr(outcome.result, "error", None)
            if error is None and not books.cache.has(fetched.work):
                error = ResultWaiting(
                    f"The result of request {fetched.request_id} came and could not be kept: "
                    f"{books.cache.info().folder} cannot be written. Make room, then resume again."
                )
            yield fetched, error
    finally:
        paid.close()
