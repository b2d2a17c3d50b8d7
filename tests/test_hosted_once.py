"""Paid once, whatever is run again, at the same time, without a cache, or stopped in between."""

# Pins the inside of backends.hosted.http.runtime
# Pins the inside of backends.hosted.http.wire

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch

from rmbg_nodes.backends.hosted.http import runtime as hosted_runtime
from rmbg_nodes.backends.hosted.http.wire import SendState
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import Cancelled, MayBeBilled, OverBudget
from rmbg_nodes.core.specs import Price
from rmbg_nodes.core.types import Frame, Job, Ticket
from rmbg_nodes.pipeline.context import resume
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.inputs import Failed, Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.records.store import Records
from rmbg_nodes.tests.conformance import Recorder, disc_frame, money
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import PROVIDERS, UNKEYED, Shop, loopback, opened
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.records import matte


@pytest.fixture(params=PROVIDERS)
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HostedServer]:
    with loopback(monkeypatch, request.param) as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def shop(server: HostedServer, tmp_path: Path) -> Shop:
    return Shop(tmp_path, f"{server.provider}/rmbg-2.0")


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    """Where nothing depends on the provider's words."""
    with loopback(monkeypatch, "fal") as server:
        yield server


@pytest.fixture
def fal_shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, "fal/rmbg-2.0")


def small(*indices: int) -> list[Frame]:
    return [disc_frame(index, (24, 32)) for index in indices]


def begun(
    shop: Shop,
    records: Records,
    frames: Sequence[Frame],
    finishing: Finishing | None = None,
    job: Job | None = None,
) -> Iterator[Done | Failed]:
    inputs = [Input(i, f.name, partial(getattr, f, "pixels")) for i, f in enumerate(frames)]
    return remove(
        inputs,
        opened(shop.backend_id),
        finishing or Finishing(),
        settings=Settings(),
        job=job,
        records=records,
    )


def submits(server: HostedServer) -> int:
    return len([r for r in server.requests if r.method == "POST" and "cancel" not in r.path])


def pending(shop: Shop) -> dict[str, str | None]:
    """Work -> id of what is open, as after a restart."""
    records = shop.records()
    jobs = records.journal.pending()
    records.close()
    assert not any(job.running for job in jobs)
    return {job.work: job.request_id for job in jobs}


@pytest.mark.parametrize(
    "finishing",
    [
        Finishing(refine=True),
        Finishing(decontaminate=0.3),
        Finishing(background=(1.0, 0.5, 0.0)),
        Finishing(refine=True, decontaminate=0.0, background=(0.0, 0.0, 0.0)),
    ],
    ids=("refine", "decontaminate", "background", "all"),
)
def test_a_local_option_sends_nothing(server: HostedServer, shop: Shop, finishing) -> None:
    shop.run(small(0, 1))
    requests = len(server.requests)
    records = shop.records()
    assert all(isinstance(r, Done) for r in begun(shop, records, small(0, 1), finishing))
    records.close()
    assert len(server.requests) == requests


def test_equal_pictures_of_two_runs_at_once_are_sent_once(server: HostedServer, shop: Shop) -> None:
    server.seconds = 0.05
    records = shop.records()
    start = threading.Barrier(2)

    def one_run(_: int) -> list[Done | Failed]:
        start.wait()
        return list(begun(shop, records, small(0, 1, 2, 0, 1, 2, 3, 0)))

    with ThreadPoolExecutor(2) as both:
        results = [result for run in both.map(one_run, range(2)) for result in run]
    assert len(results) == 16
    assert all(isinstance(result, Done) for result in results)
    assert sum(r.report.facts.cost or 0 for r in results if isinstance(r, Done)) == 4 * price()
    assert server.bills == submits(server) == 4
    assert records.journal.pending() == []
    records.close()


def test_what_another_program_delivered_meanwhile_is_no_failure(
    fal: HostedServer, fal_shop: Shop, tmp_path: Path
) -> None:
    """Both looked into the cache before either had a result."""
    fal_shop.run(small(0))
    results, away = tmp_path / "results", tmp_path / "away"
    results.rename(away)

    class Meanwhile(Job):
        def reserve(self, work: str, price: Price) -> None:
            away.rename(results)

    (result,) = fal_shop.run(small(0), Meanwhile()).values()
    assert isinstance(result, Done)
    assert fal.bills == submits(fal) == 1
    assert pending(fal_shop) == {}


@pytest.mark.whole
def test_hits_and_misses_stream_in_flat_memory(fal: HostedServer, fal_shop: Shop) -> None:
    count, side = 300, 96
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(count, 3, generator=generator)
    waiting, most, memory = 0, 0, []

    def load(index: int) -> torch.Tensor:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        picture = torch.full((side, side, 3), 0.9)
        picture[: side // 2] = pixels[index] / 2
        return picture

    def flow(indices: Sequence[int]) -> None:
        nonlocal waiting
        waiting = 0
        records = fal_shop.records()
        inputs = (Input(index, f"picture {index}", partial(load, index)) for index in indices)
        backend = opened(fal_shop.backend_id)
        for number, result in enumerate(
            remove(inputs, backend, Finishing(), settings=Settings(), records=records)
        ):
            waiting -= 1
            assert isinstance(result, Done)
            if number % 50 == 49:
                fal.requests.clear()  # the server's memory is not what is looked at
                gc.collect()
                memory.append(psutil.Process(os.getpid()).memory_info().rss)
        records.close()

    flow([index for index in range(count) if index % 3 or 100 < index < 200])
    billed = fal.bills
    memory.clear()
    flow(range(count))
    assert fal.bills == count > billed
    assert most <= 2 * BACKENDS[fal_shop.backend_id].window
    assert memory[-1] - memory[1] < 12_000_000


def test_without_a_cache_what_was_taken_is_delivered(server: HostedServer, tmp_path: Path) -> None:
    shop = Shop(tmp_path, f"{server.provider}/rmbg-2.0", cache_bytes=0)
    assert all(isinstance(result, Done) for result in shop.run(small(0, 1, 2)).values())
    assert pending(shop) == {}
    shop.run(small(0))
    assert server.bills == 4  # nothing was to be kept


def test_without_a_cache_what_was_not_taken_can_be_fetched(
    server: HostedServer, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, f"{server.provider}/rmbg-2.0", cache_bytes=0)
    records = shop.records()
    results = begun(shop, records, small(*range(5)))
    taken = [next(results), next(results)]
    until = time.monotonic() + 10
    while len([r for r in server.requests if "/files/" in r.path]) < 5:
        assert time.monotonic() < until
        time.sleep(0.01)
    results.close()  # type: ignore[attr-defined]
    records.close()
    # The caller came back for more after the first only: the second may not have been used.
    fetchable = pending(shop)
    assert set(fetchable.values()) < set(server.jobs)
    assert len(fetchable) == 4
    rest = shop.run([f for f in small(*range(5)) if f.index != taken[0].index])
    assert all(isinstance(result, Done) for result in rest.values())
    assert server.bills == submits(server) == 5
    assert pending(shop) == {}


@pytest.mark.whole
def test_two_hundred_cached_pictures_need_neither_key_nor_network(
    fal_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBG_FAL_QUEUE_URL", "http://127.0.0.1:9")
    records, backend = fal_shop.records(), opened(fal_shop.backend_id)
    frames = [Frame(i, torch.full((4, 4, 3), i / 255), f"picture {i}") for i in range(200)]
    for frame in frames:
        work = backend.work(frame)
        assert work is not None
        records.cache.put(work, matte(torch.full((4, 4), frame.index / 255)))
    results = list(begun(fal_shop, records, frames))
    records.close()
    assert len(results) == 200
    for result in results:
        assert isinstance(result, Done)
        assert result.report.facts.cost == 0
        torch.testing.assert_close(result.mask, torch.full((4, 4), result.index / 255))


@pytest.mark.parametrize("server", UNKEYED, indirect=True)
def test_resubmit_pays_for_the_lost_ones_alone(server: HostedServer, shop: Shop) -> None:
    server.plan(Fault("submit", "reset after work"), Fault("status", "unknown state"))
    first = shop.run(small(0, 1, 2))
    assert sorted(r.failure.error.paid for r in first.values() if isinstance(r, Failed)) == [
        "fetchable",
        "perhaps",
    ]
    records = shop.records()
    (lost,) = [job for job in records.journal.pending() if not job.resumable]
    assert "lost" in lost.trouble
    records.close()
    assert all(isinstance(r, Done) for r in shop.run(small(0, 1, 2), resubmit=True).values())
    assert server.bills == submits(server) == 4
    assert pending(shop) == {}


def test_what_was_resumed_is_in_the_cache(server: HostedServer, shop: Shop) -> None:
    server.plan(Fault("status", "unknown state", times=2))
    shop.run(small(0, 1, 2))
    records = shop.records()
    fetched = list(resume(records.journal.pending(), opened(shop.backend_id), records, Job()))
    records.close()
    assert [error for _, error in fetched] == [None, None]
    requests = len(server.requests)
    assert all(isinstance(result, Done) for result in shop.run(small(0, 1, 2)).values())
    assert len(server.requests) == requests
    assert server.bills == 3
    assert pending(shop) == {}


def test_over_budget_delivers_and_frees(server: HostedServer, shop: Shop) -> None:
    records = shop.records()
    delivered: list[Done | Failed] = []
    results = begun(shop, records, small(*range(6)), job=Recorder(limit=2 * price()))
    with pytest.raises(OverBudget):
        delivered.extend(results)
    records.close()
    assert len(delivered) == server.bills == submits(server) == 2
    assert pending(shop) == {}
    assert len(shop.run(small(*range(6)))) == 6
    assert server.bills == 6


def test_killed_between_the_cache_and_the_journal(fal: HostedServer, fal_shop: Shop) -> None:
    """The result is on the disk, its row still open: delivered, and not to be fetched again."""
    fal_shop.run(small(0))
    work = opened(fal_shop.backend_id).work(small(0)[0])
    assert work is not None
    records = fal_shop.records()
    records.journal.sending(work, fal_shop.backend_id, None, (32, 24))
    records.journal.submitted(work, Ticket(fal_shop.backend_id, next(iter(fal.jobs))))
    records.close()
    assert list(pending(fal_shop)) == [work]
    fal_shop.run(small(0))
    assert pending(fal_shop) == {}
    assert fal.bills == 1


def test_cancelled_in_the_moment_in_which_the_submit_ends(
    server: HostedServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id is noted, and the errand that waits for it has not heard of it yet."""
    detach = hosted_runtime.Runtime.detach

    def cancelling(
        self: hosted_runtime.Runtime, task: asyncio.Task[object], departure: SendState
    ) -> None:
        detach(self, task, departure)
        errands = [t for t in asyncio.all_tasks() if "carry" in repr(t.get_coro())]
        assert len(errands) == 1
        task.add_done_callback(lambda _: errands[0].cancel())

    with monkeypatch.context() as patched:
        patched.setattr(hosted_runtime.Runtime, "detach", cancelling)
        assert shop.run(small(0)) == {}
    assert list(pending(shop).values()) == list(server.jobs)
    (result,) = shop.run(small(0)).values()
    assert isinstance(result, Done)
    assert server.bills == submits(server) == 1


@pytest.mark.parametrize("server", UNKEYED, indirect=True)
def test_a_program_that_ends_while_a_submit_hangs(
    server: HostedServer, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end interrupts the submit: what may have been billed is listed."""
    server.plan(Fault("submit", "hang after"))
    monkeypatch.setattr(hosted_runtime, "_PATIENCE", 0.1)

    class UntilBilled(Job):
        def check(self) -> None:
            if server.bills:
                raise Cancelled("Stopped by the test.")

    records = shop.records()
    with pytest.raises(Cancelled):
        list(begun(shop, records, small(0), job=UntilBilled()))
    hosted_runtime.runtime().close()
    records.close()
    assert list(pending(shop).values()) == [None]
    (result,) = shop.run(small(0)).values()
    assert isinstance(result, Failed)
    assert isinstance(result.failure.error, MayBeBilled)
    assert server.bills == submits(server) == 1


def price() -> Decimal:
    return money(BACKENDS["fal/rmbg-2.0"].price)
