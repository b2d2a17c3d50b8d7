"""Once, strictly: at a host that takes idempotency keys a lost answer is asked for again.

Comfy's loopback server keeps its keys by a clock of its own, and bills every job.
"""

# Pins the inside of backends.hosted.backend
# Pins the inside of backends.hosted.http.retry
# Pins the inside of backends.hosted.http.runtime
# Pins the inside of backends.hosted.http.transport
# Pins the inside of backends.hosted.jobs.repeats
# Pins the inside of records.job_rows

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from rmbg_nodes.backends.hosted import backend as hosted_backend
from rmbg_nodes.backends.hosted.http import runtime as hosted_runtime
from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.transport import Transport
from rmbg_nodes.backends.hosted.jobs import repeats
from rmbg_nodes.core.errors import (
    AccountRefused,
    BackendFailed,
    BadPicture,
    Cancelled,
    MayBeBilled,
    PictureError,
    ResultWaiting,
)
from rmbg_nodes.core.types import Frame, Job
from rmbg_nodes.pipeline.context import resume
from rmbg_nodes.pipeline.finishing import Done
from rmbg_nodes.pipeline.inputs import Failed
from rmbg_nodes.records.job_rows import OpenJob
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.hosted.comfy import DAY, MODEL, Comfy
from rmbg_nodes.tests.support.hosted.faults import Fault, Kind
from rmbg_nodes.tests.support.hosted.opening import Shop, loopback, opened
from rmbg_nodes.tests.support.hosted.server import HostedServer

LOST: tuple[int | Kind, ...] = (
    *("reset before work", "reset after work", "truncate", "not json", "empty", "no id"),
    *("500 after work", 408, 500, 502, 503, 504),
)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = partial(Transport, backoff=Backoff(0.005, 0.02), again_seconds=0.4)
    monkeypatch.setattr(hosted_backend, "Transport", quick)
    monkeypatch.setattr(repeats, "_PAUSES", (0.02, 0.02))


@pytest.fixture(params=["queue", "held"])
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HostedServer]:
    with loopback(monkeypatch, "comfy") as server:
        speech(server).queue = request.param == "queue"
        yield server
        assert server.complaints == []


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    with loopback(monkeypatch, "comfy") as server:
        speech(server).queue = False
        yield server
        assert server.complaints == []


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, "comfy/rmbg-2.0")


def speech(server: HostedServer) -> Comfy:
    return cast("Comfy", server.speech)


def small(*indices: int) -> list[Frame]:
    return [disc_frame(index, (24, 32)) for index in indices]


def one(shop: Shop, **options: Any) -> Done | PictureError:
    (result,) = shop.run(small(0), **options).values()
    return result if isinstance(result, Done) else result.failure.error


def rows(shop: Shop) -> list[OpenJob]:
    records = shop.records()
    jobs = records.journal.pending()
    records.close()
    return jobs


def keys(server: HostedServer) -> set[str]:
    return {r.headers["Idempotency-Key"] for r in server.requests if r.step == "submit"}


def kept_pictures(shop: Shop) -> list[str]:
    return [path.read_text() for path in (shop.folder / "unanswered").glob("*")]


def lost(server: HostedServer, shop: Shop, kind: int | Kind = "reset after work") -> OpenJob:
    """A run of one picture whose answer never came."""
    server.plan(Fault("submit", kind, times=999, skip=int(not speech(server).queue)))
    error = one(shop)
    server.mend()
    assert isinstance(error, ResultWaiting)
    (row,) = rows(shop)
    return row


def a_day_later(server: HostedServer, shop: Shop, hours: float) -> None:
    """By the server's clock and by ours: the row was written so many hours ago."""
    speech(server).clock = lambda: time.time() + hours * 3600
    records = shop.records()
    with records.journal._database.changing() as connection:
        for id, *dates in connection.execute("SELECT id, created, repeat_until FROM jobs"):
            earlier = [
                (datetime.fromisoformat(date) - timedelta(hours=hours)).isoformat()
                for date in dates
            ]
            connection.execute(
                "UPDATE jobs SET created = ?, repeat_until = ? WHERE id = ?", (*earlier, id)
            )
    records.close()


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_is_asked_for_again_at_once(
    server: HostedServer, shop: Shop, kind: int | Kind
) -> None:
    server.plan(Fault("submit", kind, skip=int(not speech(server).queue)))
    assert isinstance(one(shop), Done)
    assert server.bills == len(keys(server)) == 1
    assert rows(shop) == []
    assert kept_pictures(shop) == []


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_is_asked_for_again_by_the_next_run(
    server: HostedServer, shop: Shop, kind: int | Kind
) -> None:
    if kind == "no id" and not speech(server).queue:
        pytest.skip("the answer has the result, and no id is needed")
    row = lost(server, shop, kind)
    assert row.repeatable
    assert not row.resumable
    assert kept_pictures(shop)
    assert isinstance(one(shop), Done)
    assert server.bills == len(keys(server)) == 1
    assert rows(shop) == []
    assert kept_pictures(shop) == []


def test_it_is_fetched_without_the_picture(server: HostedServer, shop: Shop) -> None:
    row = lost(server, shop)
    records = shop.records()
    ((_, error),) = resume([row], opened(shop.backend_id), records, Job())
    records.close()
    assert error is None
    requests = len(server.requests)
    assert isinstance(one(shop), Done)
    assert len(server.requests) == requests
    assert server.bills == len(keys(server)) == 1


def test_without_what_was_sent_the_picture_itself_is_needed(
    server: HostedServer, shop: Shop
) -> None:
    row = lost(server, shop)
    for path in (shop.folder / "unanswered").glob("*"):
        path.unlink()
    records = shop.records()
    ((_, error),) = resume([row], opened(shop.backend_id), records, Job())
    records.close()
    assert isinstance(error, ResultWaiting)
    assert "run the picture itself" in str(error)
    assert isinstance(one(shop), Done)
    assert server.bills == 1


@pytest.mark.parametrize("hours", [1.0, 23.4])
def test_inside_the_day_it_is_not_paid_twice(
    server: HostedServer, shop: Shop, hours: float
) -> None:
    lost(server, shop)
    a_day_later(server, shop, hours)
    (row,) = rows(shop)
    assert row.repeatable
    assert isinstance(one(shop), Done)
    assert server.bills == 1


@pytest.mark.parametrize("hours", [23.6, 25.0])
def test_after_the_day_it_may_have_been_billed(
    server: HostedServer, shop: Shop, hours: float
) -> None:
    lost(server, shop)
    a_day_later(server, shop, hours)
    requests = len(server.requests)
    assert isinstance(one(shop), MayBeBilled)
    assert len(server.requests) == requests
    assert isinstance(one(shop, resubmit=True), Done)
    assert server.bills == len(keys(server)) == 2


def test_a_clock_that_was_set_back_proves_nothing(server: HostedServer, shop: Shop) -> None:
    lost(server, shop)
    a_day_later(server, shop, -2.0)
    assert isinstance(one(shop), MayBeBilled)
    assert server.bills == 1


def test_resubmit_asks_before_it_pays(server: HostedServer, shop: Shop) -> None:
    lost(server, shop)
    assert isinstance(one(shop, resubmit=True), Done)
    assert server.bills == len(keys(server)) == 1


def test_a_key_that_is_spent_is_lost_for_good(held: HostedServer, shop: Shop) -> None:
    """A call that was cut off, and that Comfy kept no handle of."""
    held.seconds = 5
    speech(held).hold, speech(held).collects = 0.05, False
    error = one(shop)
    assert isinstance(error, MayBeBilled)
    assert "409" in str(error)
    (row,) = rows(shop)
    assert not row.repeatable
    requests = len(held.requests)
    assert isinstance(one(shop), MayBeBilled)
    assert len(held.requests) == requests
    held.seconds = 0
    assert isinstance(one(shop, resubmit=True), Done)
    assert held.bills == 2


def test_a_call_that_is_cut_off_is_collected(
    held: HostedServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.seconds = 0.6
    speech(held).hold = 0.05
    unhurried = partial(Transport, backoff=Backoff(0.02, 0.05), again_seconds=20.0)
    monkeypatch.setattr(hosted_backend, "Transport", unhurried)
    assert isinstance(one(shop), Done)
    assert held.bills == len(keys(held)) == 1
    assert len([r for r in held.requests if r.step == "submit"]) > 3


def test_what_is_still_running_is_waited_for(
    held: HostedServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke; Comfy answers 409 until the first call has its result."""
    held.seconds = 0.5
    impatient = partial(
        Transport, backoff=Backoff(0.02, 0.05), again_seconds=20.0, read_seconds=0.2
    )
    monkeypatch.setattr(hosted_backend, "Transport", impatient)
    held.plan(Fault("submit", "reset after work", skip=1))
    assert isinstance(one(shop), Done)
    assert held.bills == len(keys(held)) == 1


def test_the_way_is_found_out_once(held: HostedServer, shop: Shop) -> None:
    results = shop.run(small(*range(6)))
    assert all(isinstance(result, Done) for result in results.values())
    asked = [r for r in held.requests if r.path == f"{MODEL}/requests"]
    assert len(asked) == 1
    shop.run(small(7, 8))
    assert len([r for r in held.requests if r.path == f"{MODEL}/requests"]) == 1
    assert held.bills == 8


def test_a_queue_that_was_opened_meanwhile_changes_nothing(held: HostedServer, shop: Shop) -> None:
    """What was sent to the held call is asked for there."""
    lost(held, shop)
    speech(held).queue = True
    hosted_runtime.runtime().close()  # as after a restart
    assert isinstance(one(shop), Done)
    assert held.bills == 1


def test_a_queue_that_was_closed_meanwhile_is_not_paid_twice(
    monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    with loopback(monkeypatch, "comfy") as server:
        lost(server, shop)
        speech(server).queue = False
        assert isinstance(one(shop), MayBeBilled)  # the key is another request's, says Comfy
        assert server.bills == 1


def test_another_account_does_not_ask(
    server: HostedServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost(server, shop)
    requests = len(server.requests)
    monkeypatch.setenv("COMFY_API_KEY", "comfyui-of-somebody-else")
    error = one(shop)
    assert isinstance(error, ResultWaiting)
    assert "another key" in str(error)
    assert len(server.requests) == requests
    monkeypatch.setenv("COMFY_API_KEY", server.key)
    assert isinstance(one(shop), Done)
    assert server.bills == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
def test_a_refusal_does_not_forget_what_was_lost(
    server: HostedServer, shop: Shop, status: int, html: bool
) -> None:
    """Of a picture that is paid for; a refusal in Comfy's own words of what the request says could
    not have come after it, and ends it."""
    lost(server, shop)
    speech(server).html = html
    server.plan(Fault("submit", status, times=99))
    error = one(shop)
    assert isinstance(error, PictureError)
    if status in (400, 413, 422) and not html:
        assert error.paid == "no"
        return
    assert error.paid == "fetchable"
    server.mend()
    speech(server).html = False
    assert isinstance(one(shop), Done)
    assert server.bills == len(keys(server)) == 1


@pytest.mark.parametrize("status", [402, 403])
def test_a_page_of_a_proxy_refuses_the_account(
    server: HostedServer, shop: Shop, status: int
) -> None:
    speech(server).html = True
    server.plan(Fault("submit", status, times=9))
    with pytest.raises(AccountRefused, match="web page"):
        one(shop)
    assert server.bills == 0
    assert rows(shop) == []


def test_credit_that_is_used_up_says_where_to_buy(server: HostedServer, shop: Shop) -> None:
    server.plan(Fault("submit", 402))
    with pytest.raises(AccountRefused, match=r"platform\.comfy\.org"):
        one(shop)
    assert rows(shop) == []


def test_committed_spend_is_told(server: HostedServer, shop: Shop) -> None:
    speech(server).spend_limit = 1
    error = one(shop)
    assert isinstance(error, BackendFailed)
    assert "x-committed-spend-limit: 1" in str(error)
    assert rows(shop) == []
    assert server.bills == 0
    speech(server).spend_limit = 2
    assert isinstance(one(shop), Done)


def test_a_bad_picture_costs_nothing(server: HostedServer, shop: Shop) -> None:
    server.plan(Fault("submit", 422))
    assert isinstance(one(shop), BadPicture)
    assert rows(shop) == []
    assert kept_pictures(shop) == []


def test_a_program_that_ends_while_a_submit_hangs(
    server: HostedServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan(Fault("submit", "hang after", skip=int(not speech(server).queue)))
    monkeypatch.setattr(hosted_runtime, "_PATIENCE", 0.1)

    class UntilBilled(Job):
        def check(self) -> None:
            if server.bills:
                raise Cancelled("Stopped by the test.")

    with pytest.raises(Cancelled):
        shop.run(small(0), UntilBilled())
    hosted_runtime.runtime().close()
    (row,) = rows(shop)
    assert row.repeatable
    assert not row.running
    assert isinstance(one(shop), Done)
    assert server.bills == len(keys(server)) == 1


def test_what_is_kept_is_what_was_sent_and_private(server: HostedServer, shop: Shop) -> None:
    row = lost(server, shop)
    (text,) = kept_pictures(shop)
    sent = [r for r in server.requests if r.step == "submit"]
    assert all(json.loads(request.body)["image"] == text for request in sent)
    assert base64.b64decode(text).startswith(b"\x89PNG")
    (path,) = (shop.folder / "unanswered").glob("*")
    assert path.stat().st_mode & 0o077 == 0
    assert server.key not in text
    everything = b"".join(p.read_bytes() for p in shop.folder.rglob("*") if p.is_file())
    assert server.key.encode() not in everything
    assert row.repeat_key in keys(server)


def test_two_runs_that_ask_again_are_one_job(server: HostedServer, shop: Shop) -> None:
    """Two programs that were started after the same loss."""
    lost(server, shop)
    server.seconds = 0.1

    async def both() -> list[Done | PictureError]:
        return list(await asyncio.gather(*(asyncio.to_thread(one, shop) for _ in range(2))))

    results = asyncio.run(both())
    assert all(isinstance(result, Done) for result in results)
    assert server.bills == len(keys(server)) == 1


def test_old_texts_are_cleared_away(
    server: HostedServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost(server, shop)
    records = shop.records()
    later = time.time() + DAY + 3 * 3600
    monkeypatch.setattr("rmbg_nodes.records.unanswered.time.time", lambda: later)
    records.journal.unanswered.put("another", "text")
    records.close()
    assert kept_pictures(shop) == ["text"]


def test_the_journal_knows_until_when(server: HostedServer, shop: Shop) -> None:
    row = lost(server, shop)
    assert row.repeat_until is not None
    left = datetime.fromisoformat(row.repeat_until) - datetime.now(timezone.utc)
    assert timedelta(hours=23) < left < timedelta(hours=24)
    assert "not paid twice" in row.trouble
    assert isinstance(one(shop), Done)


def test_a_failed_run_names_what_to_do(server: HostedServer, shop: Shop) -> None:
    server.plan(Fault("submit", 503, times=999, skip=int(not speech(server).queue)))
    (result,) = shop.run(small(0)).values()
    assert isinstance(result, Failed)
    assert "rmbg resume" in str(result.failure.error)
    assert "not paid twice" in str(result.failure.error)
