"""A result that is not there at this moment is waited for; only an old one is called expired."""

# Pins the inside of backends.hosted.jobs.wait

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from rmbg_nodes.backends.hosted.jobs import wait
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.config.hosted import hosting_of
from rmbg_nodes.core.errors import Cancelled, PictureError, ResultWaiting, UnusableResult
from rmbg_nodes.core.types import Job
from rmbg_nodes.pipeline.finishing import Done
from rmbg_nodes.pipeline.inputs import Failed
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.hosted.faults import Fault, Kind, Step
from rmbg_nodes.tests.support.hosted.opening import PROVIDERS, Shop, loopback
from rmbg_nodes.tests.support.hosted.server import HostedServer

FRAMES = [disc_frame(0, (24, 32))]
FOR_GOOD = 999
ABSENT: tuple[tuple[Step, int | Kind], ...] = (
    ("download", 404),
    ("download", 410),
    ("status", "gone"),
)


@pytest.fixture(params=PROVIDERS)
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HostedServer]:
    monkeypatch.setattr(wait, "_UNKNOWN_PAUSE", 0.01)
    with loopback(monkeypatch, request.param) as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def shop(server: HostedServer, tmp_path: Path) -> Shop:
    return Shop(tmp_path, f"{server.provider}/rmbg-2.0")


def error_of(result: Done | Failed) -> PictureError:
    assert isinstance(result, Failed)
    return result.failure.error


def pending(shop: Shop) -> list[str | None]:
    records = shop.records()
    jobs = records.journal.pending()
    records.close()
    return [job.request_id for job in jobs]


def age(shop: Shop, hours: float) -> None:
    """Let the open job have been sent so long ago."""
    then = datetime.now(timezone.utc) - timedelta(hours=hours)
    with sqlite3.connect(shop.folder / "records.sqlite") as connection:
        changed = connection.execute("UPDATE jobs SET created = ?", (then.isoformat(),))
        assert changed.rowcount == 1
    connection.close()


def kept_for(shop: Shop) -> int:
    return hosting_of(BACKENDS[shop.backend_id]).retention.hours


@pytest.mark.parametrize(("step", "kind"), ABSENT)
def test_what_is_not_there_for_a_moment(
    server: HostedServer, shop: Shop, step: Step, kind: int | Kind
) -> None:
    server.plan(Fault(step, kind, times=4))
    assert isinstance(shop.run(FRAMES)[0], Done)
    assert server.bills == 1


@pytest.mark.parametrize(("step", "kind"), ABSENT)
def test_a_young_result_waits_and_an_old_one_has_expired(
    server: HostedServer, shop: Shop, step: Step, kind: int | Kind
) -> None:
    server.plan(Fault(step, kind, times=FOR_GOOD))
    assert isinstance(error_of(shop.run(FRAMES)[0]), ResultWaiting)
    for hours in (0, kept_for(shop) - 0.1):
        age(shop, hours)
        error = error_of(shop.run(FRAMES)[0])
        assert isinstance(error, ResultWaiting)
        words = str(error)
        assert "not there yet" in words
        assert words.index("not paid again") < words.index("resubmit")
        assert not any(word in words for word in ("expired", "any more"))
    before = len(server.requests)
    age(shop, kept_for(shop) + 0.1)
    error = error_of(shop.run(FRAMES)[0])
    assert len(server.requests) - before <= 6
    assert isinstance(error, UnusableResult)
    words = str(error)
    assert ("expired" if step == "download" else "any more") in words
    assert words.index("pays nothing") < words.index("resubmit")
    assert pending(shop) == list(server.jobs)
    server.mend()
    assert isinstance(shop.run(FRAMES)[0], Done)
    assert server.bills == 1


@pytest.mark.parametrize(("step", "kind"), ABSENT)
def test_resubmit_pays_for_one_that_never_comes(
    server: HostedServer, shop: Shop, step: Step, kind: int | Kind
) -> None:
    server.plan(Fault(step, kind, times=30))
    assert isinstance(error_of(shop.run(FRAMES)[0]), ResultWaiting)
    while isinstance(shop.run(FRAMES, resubmit=True)[0], Failed):
        assert server.bills < 6
    assert server.bills > 1
    assert pending(shop) == []


@pytest.mark.parametrize(("step", "kind"), ABSENT)
def test_waiting_ends_with_the_jobs_time(
    server: HostedServer,
    shop: Shop,
    step: Step,
    kind: int | Kind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wait, "_UNKNOWN_PAUSE", 1000.0)
    monkeypatch.setenv("RMBG_JOB_TIMEOUT", "0.5")
    server.plan(Fault(step, kind, times=FOR_GOOD))
    assert isinstance(error_of(shop.run(FRAMES)[0]), ResultWaiting)
    assert pending(shop) == list(server.jobs)


@pytest.mark.parametrize(("step", "kind"), ABSENT)
def test_waiting_can_be_cancelled(
    server: HostedServer,
    shop: Shop,
    step: Step,
    kind: int | Kind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wait, "_UNKNOWN_PAUSE", 100.0)
    server.plan(Fault(step, kind, times=FOR_GOOD))
    enough = {"download": 4, "status": 2}[step]  # the submit, polls, and what was not there

    class WhileItWaits(Job):
        def check(self) -> None:
            if len(server.requests) >= enough:
                raise Cancelled("Stopped by the test.")

    with pytest.raises(Cancelled):
        shop.run(FRAMES, WhileItWaits())
    assert pending(shop) == list(server.jobs)
    monkeypatch.setattr(wait, "_UNKNOWN_PAUSE", 0.01)
    server.mend()
    assert isinstance(shop.run(FRAMES)[0], Done)
    assert server.bills == 1
