"""Every fault at every step of every provider, through the whole pipeline: nobody pays twice.

One picture of three meets the fault (or all but the first meet it again and again). Our books are
compared with the provider's own after that run, and once more after a second run without faults and
with nothing remembered but the data folder, as after a restart.
"""

# Pins the inside of backends.hosted.backend
# Pins the inside of backends.hosted.codec
# Pins the inside of backends.hosted.http.retry
# Pins the inside of backends.hosted.http.transport
# Pins the inside of backends.hosted.jobs.repeats
# Pins the inside of backends.hosted.jobs.wait

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

from rmbg_nodes.backends.hosted import backend as hosted_backend
from rmbg_nodes.backends.hosted import codec
from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.transport import Transport
from rmbg_nodes.backends.hosted.jobs import repeats, wait
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import Refusal
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.inputs import Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.hosted.faults import Fault, Kind, Step
from rmbg_nodes.tests.support.hosted.opening import KEYED, PROVIDERS, Shop, loopback, opened
from rmbg_nodes.tests.support.hosted.pictures import picture_digest
from rmbg_nodes.tests.support.hosted.records import Request
from rmbg_nodes.tests.support.hosted.server import HostedServer

# What becomes of a struck picture in the first run: it is delivered all the same; the whole run is
# refused; or it fails, and its Failure says this of the money.
Fate: TypeAlias = Literal["done", "refusal", "no", "fetchable", "perhaps"]
Fates: TypeAlias = "tuple[Fate, Fate]"
Kinds: TypeAlias = "tuple[int | Kind, ...]"

# When the fault strikes once, and when it stays.
UNHARMED: Fates = ("done", "done")
HELD_UP: Fates = ("done", "fetchable")
KEPT: Fates = ("fetchable", "fetchable")
LOST: Fates = ("perhaps", "perhaps")
FREE: Fates = ("no", "no")
REFUSED: Fates = ("refusal", "refusal")
HELD_UP_FREE: Fates = ("done", "no")
# At hosts that take idempotency keys a lost answer is asked for again.
ASKED_AGAIN: Fates = ("done", "fetchable")

CUT: Kinds = (
    "reset before work",
    "reset after work",
    "hang before",
    "hang after",
    "truncate",
    "drip",
)
OVERLOAD: Kinds = (408, 500, 502, 503, 504, 506)
ACCOUNT: Kinds = (401, 402, 403, "expired")
ASKED: Mapping[Fates, Kinds] = {
    UNHARMED: ("late", "no id"),
    HELD_UP: (*CUT, "not json", "empty", "500 after work", "expired 404", "gone")
    + (404, 429, *OVERLOAD),
    KEPT: ("unknown state", "redirect", "huge", 400, 413, 415, 422, 460),
    FREE: ("failed", "moderation"),
    REFUSED: ACCOUNT,
}
# fal's own words for a machine that failed: of a job that was said to be done they prove nothing.
MACHINE: Kinds = (503, 504)
TABLE: Mapping[Step, Mapping[Fates, Kinds]] = {
    "submit": {
        UNHARMED: ("late", "unknown state"),
        HELD_UP_FREE: (429,),
        LOST: (*CUT, "not json", "empty", "no id", "huge", *OVERLOAD),
        KEPT: ("500 after work",),
        FREE: ("failed", "moderation", "expired 404", "gone", "redirect")
        + (400, 404, 413, 415, 422, 460),
        REFUSED: ACCOUNT,
    },
    "upload": {
        HELD_UP_FREE: (*CUT, 429, *OVERLOAD),
        FREE: ("expired 404", "gone", "redirect", "huge", 400, 404, 413, 415, 422, 460),
        REFUSED: (401, 402, 403),
    },
    "status": ASKED,
    "result": {
        **ASKED,
        HELD_UP: tuple(kind for kind in ASKED[HELD_UP] if kind not in MACHINE),
        KEPT: (*ASKED[KEPT][1:], *MACHINE),
        FREE: ("moderation",),
    },
    "download": {
        UNHARMED: ("late",),
        HELD_UP: (*CUT, 429, *OVERLOAD, "expired", "expired 404", "gone", 403, 404),
        KEPT: ("not json", "empty", "redirect", "huge", 400, 401, 402, 413, 415, 422, 460),
        FREE: ("failed", "moderation"),
    },
}
STEPS: Mapping[str, tuple[Step, ...]] = {name: HostedServer(name).steps() for name in PROVIDERS}

FRAMES = [disc_frame(index, (24, 32)) for index in range(3)]
LEVELS = [codec.levels_of(frame) for frame in FRAMES]
DIGESTS = [picture_digest(levels) for levels in LEVELS]
PNGS = [codec.encode_png(levels, lambda: False) for levels in LEVELS]
FOR_GOOD = 999


@dataclass(frozen=True)
class Case:
    provider: str
    step: Step
    kind: int | Kind
    for_good: bool
    first: Fate
    model: str = "rmbg-2.0"

    def __str__(self) -> str:
        name = self.provider + self.model.removeprefix("rmbg").removesuffix("-2.0")
        return f"{name}-{self.step}-{self.kind}-{'for good' if self.for_good else 'once'}"

    @property
    def backend_id(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def second(self) -> Fate:
        """A picture that may have been billed waits for the user's word."""
        if self.first == "perhaps" or (self.step == "submit" and self._names_a_foreign_id):
            return self.first
        return "done"

    @property
    def _names_a_foreign_id(self) -> bool:
        """Every error of Bria has an id: it may be the job's, and there may be no such job."""
        return self.provider == "bria" and self.kind in OVERLOAD


def cases() -> Iterator[Case]:
    for provider, steps in STEPS.items():
        for step in steps:
            for fates, kinds in TABLE[step].items():
                for kind in kinds:
                    for for_good in (False, True):
                        case = Case(provider, step, kind, for_good, fates[for_good])
                        if step == "submit" and provider in KEYED:
                            case = _of_keyed(case, fates)
                        if step == "submit" and case._names_a_foreign_id:
                            case = replace(case, first="fetchable")
                        if step == "result" and kind in MACHINE and provider != "fal":
                            case = replace(case, first=HELD_UP[for_good])
                        yield case


def _of_keyed(case: Case, fates: Fates) -> Case:
    """What was lost is asked for again; an id in an error of the host itself is not needed."""
    if fates == LOST or case.kind == "500 after work":
        return replace(case, first=ASKED_AGAIN[case.for_good])
    return case


EVERY = list(cases())
# The same of the models that are guided by words: their requests say more.
GUIDED = [
    guided
    for guided in (replace(case, model="rmbg-guided") for case in EVERY)
    if guided.backend_id in BACKENDS
]
# A sample has these at every provider; with the others they take turns.
ANSWERS: Kinds = ("reset after work", "hang after", "truncate", "not json", "no id") + (
    "500 after work",
    "failed",
    "moderation",
)
TURNS: tuple[tuple[Step, ...], ...] = (
    ("submit",),
    ("status", "result"),
    ("download",),
    ("upload",),
)


def _in_sample(case: Case) -> bool:
    (group,) = (steps for steps in TURNS if case.step in steps)
    places = [(name, step) for name, steps in STEPS.items() for step in steps if step in group]
    kinds = [kind for kinds in TABLE[group[0]].values() for kind in kinds]
    turn = places[kinds.index(case.kind) % len(places)] == (case.provider, case.step)
    if case.step == "submit":
        turn = turn or case.kind in ANSWERS
        return turn and case.for_good == (case.kind in (429, "late"))
    return turn and case.for_good


SAMPLE = list(filter(_in_sample, EVERY))


@pytest.mark.whole
@pytest.mark.parametrize("case", SAMPLE, ids=str)
def test_a_sample(case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _prove(case, monkeypatch, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("case", [*EVERY, *GUIDED], ids=str)
def test_every_fault(case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _prove(case, monkeypatch, tmp_path)


def _prove(case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _hurry(case, monkeypatch)
    with loopback(monkeypatch, case.provider) as server:
        skip = 2 if (case.provider, case.step) == ("fal", "upload") else 1  # two requests each
        times = FOR_GOOD if case.for_good else 1
        server.plan(Fault(case.step, case.kind, times, skip, retry_after="none", seconds=0.1))
        shop = Shop(tmp_path, case.backend_id)
        first = _run(shop)
        struck = _struck(server, case, skip, first)
        server.mend()
        assert struck
        assert len(struck) == 1 or case.for_good or case.first == "refusal"
        asked_again = case.provider in KEYED and case.step == "submit"
        _compare(shop, server, first, struck if case.step == "submit" else set())
        assert {first.get(index, "refusal") for index in struck} == {case.first}
        for index in set(range(3)) - struck:
            assert first.get(index, "unsent") == "done" or case.first == "refusal"

        submits = _submits(server)
        second = _run(shop)
        _compare(shop, server, second, struck if case.step == "submit" else set())
        for index in range(3):
            assert second[index] == (case.second if index in struck else "done")
            may_send = first.get(index) == "no" or (index not in first and not submits[index])
            may_send |= index in struck and case.first == "refusal" and case.step == "submit"
            may_send |= index in struck and asked_again and first.get(index) == "fetchable"
            assert _submits(server)[index] - submits[index] == int(may_send)
        assert server.complaints == []


def _hurry(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Impatient where something hangs, and nowhere else: this machine may be busy."""
    hangs = case.kind in ("hang before", "hang after", "drip")
    quick = partial(Transport, backoff=Backoff(0.005, 0.02), again_seconds=0.4)
    if hangs:
        quick = partial(quick, submit_seconds=0.6, read_seconds=0.3, again_seconds=0.6)
    monkeypatch.setattr(hosted_backend, "Transport", quick)
    monkeypatch.setattr(wait, "_UNKNOWN_PAUSE", 0.02)
    monkeypatch.setattr(repeats, "_PAUSES", (0.02, 0.02))
    monkeypatch.setenv("RMBG_JOB_TIMEOUT", "0.9" if hangs else "20")
    if case.for_good or case.step == "upload":  # one after the other, so that the first one passes
        monkeypatch.setenv(f"RMBG_{case.provider.upper()}_IN_FLIGHT", "1")
    if case.step == "upload":
        spec = BACKENDS[case.backend_id]
        assert spec.hosting is not None
        uploading = replace(spec, hosting=replace(spec.hosting, inline_bytes=100))
        monkeypatch.setitem(BACKENDS, spec.id, uploading)


def _run(shop: Shop) -> dict[int, Fate]:
    """Index -> what became of it; a refused run leaves some out."""
    records = shop.records()
    inputs = [Input(f.index, f.name, partial(getattr, f, "pixels")) for f in FRAMES]
    results = remove(
        inputs, opened(shop.backend_id), Finishing(), settings=Settings(), records=records
    )
    fates: dict[int, Fate] = {}
    try:
        for result in results:
            fates[result.index] = "done" if isinstance(result, Done) else result.failure.error.paid
    except Refusal:
        assert len(fates) < len(FRAMES)
    finally:
        records.close()
    return fates


def _compare(
    shop: Shop, server: HostedServer, fates: Mapping[int, Fate], submit_struck: set[int]
) -> None:
    """Billed = delivered + resumable by id + may have been billed, each in one of the three."""
    records, backend = shop.records(), opened(shop.backend_id)
    open_jobs = {job.work: job for job in records.journal.pending()}
    assert server.bills <= len(FRAMES)
    for frame, digest in zip(FRAMES, DIGESTS, strict=True):
        work = backend.work(frame)
        assert work is not None
        billed = [job.id for job in server.jobs.values() if job.digest == digest and job.bills]
        assert len(billed) <= 1
        kept = open_jobs.get(work)
        lost = kept is not None and not kept.resumable
        keyed = kept is not None and kept.repeatable
        assert keyed == (lost and shop.backend_id.partition("/")[0] in KEYED)
        places = [records.cache.has(work), kept is not None and kept.request_id in billed, lost]
        assert sum(places) == 1 if billed else not places[0]
        assert records.cache.has(work) or fates.get(frame.index) != "done"
        assert frame.index in submit_struck or not lost
        assert kept is None or not kept.running
    records.close()


def _struck(server: HostedServer, case: Case, skip: int, fates: Mapping[int, Fate]) -> set[int]:
    """The pictures that met the fault."""
    met = [request for request in server.requests if request.step == case.step][skip:]
    if case.step == "upload":  # a first request says nothing of the picture
        return {index for index in range(3) if fates.get(index) != "done"} or {0}
    return {_picture(server, request) for request in (met if case.for_good else met[:1])}


def _submits(server: HostedServer) -> list[int]:
    """How often each picture was sent."""
    sent = [_picture(server, r) for r in server.requests if r.step == "submit"]
    return [sent.count(index) for index in range(3)]


def _picture(server: HostedServer, request: Request) -> int:
    """Which of FRAMES a request is about."""
    for index, png in enumerate(PNGS):
        ids = [job.id for job in server.jobs.values() if job.digest == DIGESTS[index]]
        urls = [url.encode() for url, content in server.records.uploads.items() if content == png]
        words = (base64.b64encode(png), *urls)
        if any(w in request.body for w in words) or any(name in request.path for name in ids):
            return index
    raise AssertionError(f"{request.method} {request.path} is about none of the pictures")
