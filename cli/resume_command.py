"""`rmbg resume`: fetch what was paid for, so that the next run of those pictures costs nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from ..catalogue.hosted_videos import VIDEO_MODELS
from ..config.settings import Settings, read_settings
from ..core.errors import BadOption
from ..core.types import Job
from ..pipeline.context import open_user_records, resume
from ..pipeline.gate import OpenBackend, open_backend, open_video_model
from ..records.journal import OpenJob
from .pending_command import listed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "requests",
        nargs="*",
        metavar="REQUEST",
        help="ids as `rmbg pending` lists them (default: all that can be fetched)",
    )
    parser.add_argument("--profile", default="", metavar="NAME", help="the set of keys to use")
    parser.add_argument(
        "--usage", choices=("non-commercial", "commercial"), help="what the pictures are for"
    )


def run(arguments: argparse.Namespace) -> int:
    # The provider that has the job is the one to ask, whatever RMBG_BACKEND pins for pictures.
    settings = replace(read_settings(), backend=None)
    records = open_user_records(settings)
    if not settings.cache_bytes:
        raise BadOption(
            "RMBG_CACHE is 0, so there is no place to keep a result. Run the pictures again "
            "instead: that fetches them too."
        )
    pending = listed(records.journal)
    if pending is None:
        return 1
    jobs = _chosen(pending, arguments.requests)
    if not jobs:
        if records.journal.warnings:
            return 1
        print("Nothing waits to be fetched.")
        return 0
    failed = 0
    for backend_id in sorted({job.backend for job in jobs}):
        backend = _opened(backend_id, arguments, settings)
        these = [job for job in jobs if job.backend == backend_id]
        try:
            for job, error in resume(these, backend, records, Job()):
                if error is None:
                    print(f"{job.backend} {_name(job)}: fetched")
                else:
                    failed += 1
                    print(error, file=sys.stderr)
        finally:
            backend.close()
    print(f"{len(jobs) - failed} of {len(jobs)} fetched. Run their pictures again to use them.")
    return 1 if failed else 0


def _opened(backend_id: str, arguments: argparse.Namespace, settings: Settings) -> OpenBackend:
    usage, options = arguments.usage, {"profile": arguments.profile}
    if backend_id in VIDEO_MODELS:
        return open_video_model(backend_id, usage=usage, settings=settings, options=options)
    return open_backend(
        backend_id, usage=usage, settings=settings, options=options, only_to_fetch=True
    )


def _name(job: OpenJob) -> str:
    """Return what `rmbg pending` lists it as: the host's id, or the key to ask for it again."""
    return str(job.request_id or job.repeat_key)


def _chosen(pending: Sequence[OpenJob], requests: Sequence[str]) -> list[OpenJob]:
    there = (job for job in pending if not job.running and (job.resumable or job.repeatable))
    fetchable = {_name(job): job for job in there}
    unknown = [request for request in requests if request not in fetchable]
    if unknown:
        raise BadOption(
            f"No paid job is waiting under {', '.join(unknown)}. `rmbg pending` lists them."
        )
    return [fetchable[request] for request in dict.fromkeys(requests)] or [*fetchable.values()]
