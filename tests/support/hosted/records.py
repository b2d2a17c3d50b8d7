"""What a provider remembers: jobs, what it billed, and what clients did wrong."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from .faults import Step
from .pictures import Levels, picture_digest

State = Literal["queued", "working", "done", "failed", "moderated", "aborted", "canceled"]


class Request(NamedTuple):
    """One request as it came in."""

    time: float
    method: str
    path: str
    headers: Mapping[str, str]
    size: int
    body: bytes
    step: Step


@dataclass
class Job:
    """One job. bills: how often it was charged. prompt: what a guided model was told. model: whose
    job it is, in the provider's words. fate: an end that was decided from outside."""

    id: str
    digest: str
    created: float
    begins: float
    ends: float
    levels: Levels = field(repr=False)
    flags: frozenset[str] = frozenset()
    prompt: str = ""
    model: str = ""
    bills: int = 1
    fate: State | None = None
    file: tuple[bytes, str] | None = field(default=None, repr=False)

    @property
    def state(self) -> State:
        now = time.time()
        if self.fate:
            return self.fate
        return "queued" if now < self.begins else "working" if now < self.ends else "done"

    @property
    def unfinished(self) -> bool:
        return self.state in ("queued", "working")

    def end_as(self, fate: State) -> None:
        """Decide how it ends. Only a job that was cancelled after it began is charged."""
        self.fate = fate
        if fate != "canceled":
            self.bills = 0


class Books:
    """seconds: how long a job takes; queue_seconds: how long it waits before it begins."""

    def __init__(self, seconds: float, queue_seconds: float) -> None:
        self.seconds = seconds
        self.queue_seconds = queue_seconds
        self.jobs: dict[str, Job] = {}
        self.kept: dict[str, list[str]] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.notes: list[str] = []
        self.in_flight_peak = 0

    def accept(
        self,
        key: str,
        levels: Levels,
        flags: frozenset[str] = frozenset(),
        prompt: str = "",
        model: str = "",
    ) -> Job:
        """Make a job and bill it to the account with this key."""
        now = time.time()
        begins = now + self.queue_seconds
        job = Job(
            uuid.uuid4().hex,
            picture_digest(levels),
            now,
            begins,
            begins + self.seconds,
            levels,
            flags,
            prompt,
            model,
        )
        self.jobs[job.id] = job
        self.kept.setdefault(key, []).append(job.id)
        unfinished = sum(other.unfinished for other in list(self.jobs.values()))
        self.in_flight_peak = max(self.in_flight_peak, unfinished)
        return job

    def accept_video(self, key: str, data: bytes, answer: tuple[bytes, str]) -> Job:
        """Make the job of a video, whose result is known. Raises nothing."""
        job = self.accept(key, np.zeros((1, 1, 3), np.uint8))
        job.digest = hashlib.sha256(data).hexdigest()
        job.file = answer
        return job

    @property
    def bills(self) -> int:
        return sum(job.bills for job in list(self.jobs.values()))

    def summary(self) -> dict[str, object]:
        """What another process may know: no key, no header."""
        return {
            "jobs": {
                job.id: {
                    "digest": job.digest,
                    "bills": job.bills,
                    "state": job.state,
                    "created": job.created,
                }
                for job in list(self.jobs.values())
            },
            "bills": self.bills,
            "requests": [[r.time, r.method, r.path, r.size] for r in list(self.requests)],
            "complaints": list(self.complaints),
            "in_flight_peak": self.in_flight_peak,
        }
