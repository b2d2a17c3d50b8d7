"""The journal of paid jobs, the cache of their results, and the receipt of every picture.

One place for every program of this user: two journals would pay for the same picture twice.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

from ..catalogue.licences import LICENCES, licence_of
from ..config.host import PlainHost
from ..config.settings import Settings, read_settings
from ..core.errors import PictureError, ResultWaiting
from ..core.report import JsonValue
from ..core.specs import BackendSpec, OptionValue
from ..core.types import Backend, Claim, Job, Resumable, Usage
from ..records.journal import OpenJob
from ..records.paid_job import PaidJob
from ..records.receipt_writer import Circumstances
from ..records.store import Records, open_records
from ..version import __version__


def open_user_records(settings: Settings | None = None) -> Records:
    """The records in the user's data folder (RMBG_DATA), with the cache that RMBG_CACHE allows."""
    current = settings or read_settings()
    folder = PlainHost().data_folder() / "records"
    return _opened(folder, current.cache_bytes, os.getpid())


@lru_cache(maxsize=8)
def _opened(folder: Path, cache_bytes: int, process: int) -> Records:
    """Once a process: a forked child must not write under its parent's name."""
    del process  # only a part of the cache's key
    records = open_records(folder, cache_bytes)
    # Of many folders the first are let go again, and a file is not left to the garbage collector.
    weakref.finalize(records, records.journal.close).atexit = False
    return records


def circumstances(
    backend: Backend,
    finishing: Mapping[str, JsonValue],
    asked: Usage | None,
    settings: Settings,
    allowed: tuple[Usage, str],
) -> Circumstances:
    """What the receipts of a run have in common. asked: the use that the caller stated, if any.
    allowed: the gate's answer."""
    usage, ground = allowed
    options: Mapping[str, OptionValue] | None = getattr(backend, "options", None)
    return Circumstances(
        software=f"rmbg-nodes {__version__}",
        spec=backend.spec,
        usage=usage,
        ground=ground,
        accepted_by=_accepted_by(backend.spec, usage, asked, settings),
        own_weights=settings.weights,
        finishing=finishing,
        options=options,
    )


def _accepted_by(
    spec: BackendSpec, usage: Usage, asked: Usage | None, settings: Settings
) -> tuple[str, ...]:
    """The settings that decided which use this is and that it may be, in the order of the gate."""
    licence = LICENCES[spec.licence]
    in_force = licence_of(spec.licence, spec.weights_sha256, settings.weights)
    named = "RMBG_USAGE" if settings.usage else "the usage given" if asked else "the default usage"
    decided = {
        named: True,
        licence.grant_variable: usage == "commercial" and licence.id in settings.grants,
        "[[weights]] in settings.toml": (
            licence.commercial == "unknown" and (spec.weights_sha256 or "") in settings.weights
        ),
        settings.data_terms: usage == "commercial" and in_force.data_terms == "restricted",
    }
    return tuple(name for name, holds in decided.items() if name and holds)


def resume(
    jobs: Sequence[OpenJob], backend: Backend, records: Records, job: Job
) -> Iterator[tuple[OpenJob, PictureError | None]]:
    """Fetch paid results into the cache, without their pictures; each job with what went wrong.

    All jobs are of this backend and have an id. Raises what the backend refuses, and Cancelled.
    """
    paid = PaidJob(job, records.journal, records.cache)
    claims = []
    for index, open_job in enumerate(jobs):
        paid.expect(open_job.work, open_job.size)
        claims.append(Claim(index, open_job.work, open_job.ticket, open_job.size))
    try:
        for outcome in cast("Resumable", backend).resume(claims, paid):
            fetched = jobs[outcome.index]
            error = outcome.error
            if error is None and not records.cache.has(fetched.work):
                error = ResultWaiting(
                    f"The result of request {fetched.request_id} came and could not be kept in "
                    f"{records.cache.info().folder}. Make room on that disk, or raise RMBG_CACHE "
                    "if it is less than this one result, then resume again."
                )
            yield fetched, error
    finally:
        paid.close()
