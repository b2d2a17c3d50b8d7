"""`rmbg pending`: paid jobs that are not settled, and what to do about each."""

from __future__ import annotations

import argparse
import json
import sqlite3
from dataclasses import asdict

from ..catalogue.backends import BACKENDS
from ..catalogue.hosted_videos import VIDEO_MODELS
from ..config.invocation import command
from ..core.errors import BadOption
from ..pipeline.context import open_user_records
from ..records.journal import Journal, OpenJob
from ..records.trouble import remedy
from .terminal import say, table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="go on without the jobs that a lost journal listed (see your provider first)",
    )


def run(arguments: argparse.Namespace) -> int:
    journal = open_user_records().journal
    if arguments.adopt:
        _adopt(journal)
    jobs = listed(journal)
    if jobs is None:
        return 1
    if arguments.json:
        print(json.dumps([_facts(job) for job in jobs], indent=2))
    elif jobs:
        print("\n".join(_lines(jobs)))
    elif not journal.warnings:
        print("Nothing is open: every paid job was delivered or settled.")
    return 1 if journal.warnings else 0  # there may be more than is listed


def listed(journal: Journal) -> list[OpenJob] | None:
    """Return what is open, with the journal's warnings on stderr; None, and why, when it cannot be
    read."""
    warnings = journal.warnings
    say(*warnings)
    try:
        return journal.pending()
    except sqlite3.Error as error:
        if not warnings:
            where = f"The journal of paid work, {journal.path},"
            say(f"{where} cannot be read ({error}). {remedy(error)}")
        return None


def _adopt(journal: Journal) -> None:
    try:
        happened = journal.adopt()
    except OSError as error:
        raise BadOption(f"{journal.path.parent} cannot be written ({error.strerror}).") from error
    adopted = f"Adopted: pictures are sent again. What had happened: {happened}"
    nothing = "There is nothing to adopt: no journal was lost."
    say(adopted if happened else nothing)


def _facts(job: OpenJob) -> dict[str, object]:
    price = None if job.price is None else str(job.price)
    more = {
        "price": price,
        "resumable": job.resumable,
        "repeatable": job.repeatable,
        "next": _next(job),
    }
    return {**asdict(job), **more}


def _lines(jobs: list[OpenJob]) -> list[str]:
    rows = [("backend", "request", "when (UTC)", "price", "state")]
    rows += [
        (job.backend, _request(job), job.created[:16].replace("T", " "), _price(job), _state(job))
        for job in jobs
    ]
    hints = ["", *(f"    {_next(job)}" for job in jobs)]
    troubles = ["", *(f"    {job.trouble}" if job.trouble else "" for job in jobs)]
    return [
        text
        for line, trouble, hint in zip(table(rows), troubles, hints, strict=True)
        for text in (line, trouble, hint)
        if text
    ]


def _request(job: OpenJob) -> str:
    if job.request_id is not None:
        return job.request_id
    if job.running:
        return "no id yet"
    return str(job.repeat_key) if job.repeatable else "id lost"


def _price(job: OpenJob) -> str:
    return "not known" if job.price is None else f"{job.price} {job.currency}"


def _state(job: OpenJob) -> str:
    if job.running:
        return "under way"
    if job.resumable:
        return "can be fetched"
    return "can be asked for again" if job.repeatable else "may have been billed"


def _next(job: OpenJob) -> str:
    if job.running:
        return "Nothing to do: the run that sent it is still at it."
    if job.resumable:
        fetch = command("resume", str(job.request_id))
        return f"Run the picture again, or `{fetch}`; it is not paid again."
    if job.repeatable:
        again = command("resume", str(job.repeat_key))
        until = str(job.repeat_until)[:16].replace("T", " ")
        return (
            f"Run the picture again, or `{again}`, before {until} UTC: the same answer is asked "
            "for, and nothing is paid twice."
        )
    spec = BACKENDS.get(job.backend) or VIDEO_MODELS.get(job.backend)
    page = f" ({spec.hosting.jobs_page})" if spec and spec.hosting else ""
    return (
        f"Look at your jobs with the provider{page}, then run the picture with --resubmit if you "
        "want to pay for it again."
    )
