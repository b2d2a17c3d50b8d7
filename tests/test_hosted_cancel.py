"""Cancel: at once in every phase, nothing left behind, nothing paid for lost."""

# Pins the inside of backends.hosted.jobs.job_runner

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from rmbg_nodes.backends.hosted.jobs import job_runner
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.config.hosted import hosting_of
from rmbg_nodes.core.errors import Cancelled
from rmbg_nodes.core.types import Backend, Frame, Matte
from rmbg_nodes.tests.conformance import Recorder, disc_frame
from rmbg_nodes.tests.support.hosted.faults import Fault, Kind, Step
from rmbg_nodes.tests.support.hosted.opening import PROVIDERS, loopback, opened, outcomes
from rmbg_nodes.tests.support.hosted.server import HostedServer

WITHIN = 0.5


class Stopping(Recorder):
    """A job that the test stops; it notes when."""

    stopped_at: float | None = None

    def check(self) -> None:
        if self.stopped_at is not None:
            raise Cancelled("Stopped by the test.")

    def stop(self) -> None:
        self.stopped_at = time.monotonic()


@pytest.fixture(params=PROVIDERS)
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HostedServer]:
    with loopback(monkeypatch, request.param) as server:
        outcomes(backend_on(server), [disc_frame(99)])  # the loop thread is there from now on
        server.records.jobs.clear()
        yield server


def backend_on(server: HostedServer) -> Backend:
    return opened(f"{server.provider}/rmbg-2.0")


def stopped_run(backend: Backend, job: Stopping, frames: list[Frame], when) -> float:
    """Start a run, stop it when the time has come; seconds from the stop to the return."""

    def watch() -> None:
        until = time.monotonic() + 10
        while not when() and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.02)
        job.stop()

    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(Cancelled):
        list(backend.run(frames, job))
    ended = time.monotonic()
    watcher.join()
    assert job.stopped_at is not None
    return ended - job.stopped_at


def at(server: HostedServer, *parts: str):
    """When the server has seen a request of which the path or method holds one of these."""
    seen = len(server.requests)
    return lambda: any(
        part in f"{request.method} {request.path}"
        for request in server.requests[seen:]
        for part in parts
    )


PHASES: dict[str, tuple[Step, Kind, tuple[str, ...]]] = {
    "submit, before the work": ("submit", "hang before", ("POST",)),
    "submit, after the work": ("submit", "hang after", ("POST",)),
    "poll": ("status", "hang before", ("status", "GET /v1/predictions")),
    "download": ("download", "hang before", ("/files/",)),
    "slow download": ("download", "drip", ("/files/",)),
}


@pytest.mark.parametrize("phase", PHASES)
def test_cancel_is_quick_in_every_phase(server: HostedServer, phase: str) -> None:
    step, kind, parts = PHASES[phase]
    server.plan(Fault(step, kind, times=99))
    before = set(threading.enumerate())
    backend = backend_on(server)
    seconds = stopped_run(
        backend, Stopping(), [disc_frame(i) for i in range(4)], at(server, *parts)
    )
    assert seconds < WITHIN
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before


def test_cancel_while_waiting_for_the_accounts_limit(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"RMBG_{server.provider.upper()}_REQUESTS_A_MINUTE", "1")
    job = Stopping()
    frames = [disc_frame(i) for i in range(4)]
    seconds = stopped_run(backend_on(server), job, frames, lambda: bool(job.named("sending")))
    assert seconds < WITHIN
    assert server.bills <= 1


def test_cancel_after_a_429_sends_nothing(server: HostedServer) -> None:
    server.plan(Fault("submit", 429, times=99, seconds=30))
    job = Stopping()
    seconds = stopped_run(backend_on(server), job, [disc_frame(0)], at(server, "POST"))
    assert seconds < WITHIN
    assert server.bills == 0
    assert job.tickets == {}
    assert len(job.named("settled")) == 1  # what was reserved is free again


def test_cancel_while_a_large_picture_is_packed(server: HostedServer) -> None:
    job = Stopping()
    noise = torch.rand(3000, 3000, 3, generator=torch.Generator().manual_seed(0))
    began = time.monotonic()
    seconds = stopped_run(
        backend_on(server), job, [Frame(0, noise, "noise")], lambda: time.monotonic() > began + 0.5
    )
    assert seconds < 4 * WITHIN  # it computes, and shares the processor
    assert server.bills == 0


def test_a_submit_on_its_way_still_brings_its_id(server: HostedServer) -> None:
    """Cancel does not interrupt it: the answer comes after the run, and is kept."""
    server.plan(Fault("submit", "late", seconds=0.8))
    job = Stopping()
    stopped_run(backend_on(server), job, [disc_frame(0)], at(server, "POST"))
    assert job.tickets == {}
    until = time.monotonic() + 10
    while not job.named("submitted") and time.monotonic() < until:
        time.sleep(0.05)
    (ticket,) = job.tickets.values()
    assert ticket.request_id in server.jobs
    later = Recorder(tickets=dict(job.tickets))
    (result,) = outcomes(backend_on(server), [disc_frame(0)], later).values()
    assert isinstance(result, Matte)
    assert server.bills == 1


def test_jobs_in_the_providers_queue_are_called_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("fal", "replicate"):
        with loopback(monkeypatch, provider, queue_seconds=20) as server:
            job = Stopping()
            seconds = stopped_run(
                backend_on(server),
                job,
                [disc_frame(0)],
                lambda server=server: len([r for r in server.requests if r.method == "GET"]) > 0,
            )
            assert seconds < WITHIN
            assert server.bills == 0
            assert job.tickets == {}


def test_a_cancelled_run_does_not_hold_up_the_next(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runner, "_MAY_MEET", 0.5)
    server.plan(Fault("submit", "hang before", times=2))
    job = Stopping()
    stopped_run(backend_on(server), job, [disc_frame(0), disc_frame(1)], at(server, "POST"))
    in_flight = hosting_of(BACKENDS[f"{server.provider}/rmbg-2.0"]).in_flight
    results = outcomes(backend_on(server), [disc_frame(i) for i in range(2, 2 + in_flight)])
    assert all(isinstance(result, Matte) for result in results.values())


def test_a_submit_that_hangs_holds_up_no_other_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_runner, "_MAY_MEET", 60.0)
    with loopback(monkeypatch, "fal") as hanging, loopback(monkeypatch, "bria") as other:
        hanging.plan(Fault("submit", "hang before"))
        stopped_run(backend_on(hanging), Stopping(), [disc_frame(0)], at(hanging, "POST"))
        began = time.monotonic()
        (result,) = outcomes(backend_on(other), [disc_frame(1)]).values()
        assert isinstance(result, Matte)
        assert time.monotonic() - began < 30
