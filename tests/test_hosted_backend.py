"""Every hosted backend behind the contract, on real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.config.hosted import hosting_of
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import (
    AccountRefused,
    BackendFailed,
    BadOption,
    KeyMissing,
    MayBeBilled,
    Offline,
    OverBudget,
    ResultWaiting,
    UnusableResult,
)
from rmbg_nodes.core.types import Backend, Claim, Failure, Frame, Job, Matte, Outcome
from rmbg_nodes.pipeline.gate import open_backend
from rmbg_nodes.tests.conformance import (
    BackendContract,
    PaidContract,
    Recorder,
    disc_frame,
    money,
)
from rmbg_nodes.tests.support.hosted.faults import Fault, Kind, Step
from rmbg_nodes.tests.support.hosted.opening import (
    HOSTED_IDS,
    PROVIDERS,
    UNKEYED,
    loopback,
    opened,
    outcomes,
    words_for,
)
from rmbg_nodes.tests.support.hosted.server import HostedServer


class TestHosted(BackendContract, PaidContract):
    @pytest.fixture(params=HOSTED_IDS)
    def make(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Callable[[], Backend]]:
        # Long enough for Cancel to come before the result.
        with loopback(monkeypatch, request.param.partition("/")[0], seconds=0.15) as server:
            yield lambda: opened(request.param)
            assert server.complaints == []


@pytest.fixture(params=PROVIDERS)
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HostedServer]:
    with loopback(monkeypatch, request.param) as server:
        yield server


def backend_on(server: HostedServer, **options: bool) -> Backend:
    return opened(f"{server.provider}/rmbg-2.0", **options)


def only(results: dict[int, Matte | Failure]) -> Matte | Failure:
    (result,) = results.values()
    return result


def failure(results: dict[int, Matte | Failure]) -> Failure:
    result = only(results)
    assert isinstance(result, Failure)
    return result


def test_the_alpha_is_the_providers_own(server: HostedServer) -> None:
    frame = disc_frame(0, (57, 61))
    result = only(outcomes(backend_on(server), [frame]))
    assert isinstance(result, Matte)
    assert result.values.shape == (57, 61)
    assert result.kind == "alpha"
    assert result.original is None
    levels = result.values * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


def test_equal_pictures_are_sent_once(server: HostedServer) -> None:
    frames = [Frame(i, disc_frame(0).pixels.clone(), f"copy {i}") for i in range(5)]
    job = Recorder()
    results = outcomes(backend_on(server), frames, job)
    assert len(results) == 5
    assert server.bills == 1
    mattes = [r for r in results.values() if isinstance(r, Matte)]
    price = money(BACKENDS[f"{server.provider}/rmbg-2.0"].price)
    assert sum(matte.facts.cost or 0 for matte in mattes) == price
    assert job.steps == 5
    assert len(job.named("sending")) == 1


def test_a_refused_key_ends_the_run_and_costs_nothing(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = BACKENDS[f"{server.provider}/rmbg-2.0"]
    monkeypatch.setenv(spec.key_variables[0], "not-the-right-one")
    with pytest.raises(KeyMissing, match=spec.key_variables[0]) as refusal:
        outcomes(backend_on(server), [disc_frame(i) for i in range(4)])
    assert "not-the-right-one" not in str(refusal.value)
    assert server.bills == 0


def test_no_key_is_said_before_anything_is_sent(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    spec = BACKENDS[f"{server.provider}/rmbg-2.0"]
    for variable in spec.key_variables:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(KeyMissing, match=hosting_of(spec).key_page):
        outcomes(backend_on(server), [disc_frame(0)])
    assert server.requests == []


def test_an_empty_account_ends_the_run(server: HostedServer) -> None:
    server.plan(Fault("submit", 402, times=99))
    with pytest.raises(AccountRefused):
        outcomes(backend_on(server), [disc_frame(i) for i in range(3)])
    assert server.bills == 0


def test_offline_opens_no_socket(server: HostedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = backend_on(server)
    monkeypatch.setenv("RMBG_OFFLINE", "1")
    with pytest.raises(Offline):
        outcomes(backend, [disc_frame(0)])
    assert server.requests == []


@pytest.mark.parametrize("server", UNKEYED, indirect=True)
@pytest.mark.parametrize("kind", ["reset after work", "truncate", "not json", "empty", "no id"])
def test_a_lost_answer_to_a_submit(server: HostedServer, kind: Kind) -> None:
    server.plan(Fault("submit", kind))
    job = Recorder()
    lost = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert isinstance(lost.error, MayBeBilled)
    assert "resubmit" in str(lost.error)
    (ticket,) = job.tickets.values()
    assert ticket.request_id is None
    again = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert isinstance(again.error, MayBeBilled)
    assert server.bills <= 1
    assert len([r for r in server.requests if r.method == "POST"]) == 1


@pytest.mark.parametrize("server", UNKEYED, indirect=True)
@pytest.mark.parametrize("kind", [408, 500, 502, 503, 504, 506])
def test_a_server_error_may_have_been_billed(server: HostedServer, kind: int) -> None:
    server.plan(Fault("submit", kind))
    job = Recorder()
    lost = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert lost.error.paid != "no"
    assert len(job.tickets) == 1
    assert len([r for r in server.requests if r.method == "POST"]) == 1


@pytest.mark.parametrize("server", UNKEYED, indirect=True)
def test_resubmit_pays_for_a_lost_one(server: HostedServer) -> None:
    server.plan(Fault("submit", "reset after work"))
    job = Recorder()
    failure(outcomes(backend_on(server), [disc_frame(0)], job))
    result = only(outcomes(backend_on(server, resubmit=True), [disc_frame(0)], job))
    assert isinstance(result, Matte)
    assert server.bills == 2


@pytest.mark.parametrize("server", UNKEYED, indirect=True)
def test_a_broken_answer_that_names_the_id_is_resumed(server: HostedServer) -> None:
    server.plan(Fault("submit", "500 after work"))
    job = Recorder()
    lost = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert lost.request_id in server.jobs
    assert isinstance(lost.error, ResultWaiting)
    result = only(outcomes(backend_on(server), [disc_frame(0)], job))
    assert isinstance(result, Matte)
    assert result.facts.request_id == lost.request_id
    assert "resumed" in " ".join(result.facts.notes)
    assert server.bills == 1


@pytest.mark.parametrize(
    "kind", [408, 429, 500, 502, 503, "reset before work", "truncate", "not json"]
)
@pytest.mark.parametrize("step", ["status", "download"])
def test_polls_and_downloads_are_repeated(
    server: HostedServer, step: Step, kind: int | Kind
) -> None:
    if (step, kind) == ("download", "not json"):
        pytest.skip("a web page instead of a picture is an unusable answer")
    server.plan(Fault(step, kind, retry_after="none"))
    result = only(outcomes(backend_on(server), [disc_frame(0)]))
    assert isinstance(result, Matte)
    assert server.bills == 1


def test_a_429_on_submit_is_repeated(server: HostedServer) -> None:
    server.plan(Fault("submit", 429, times=2, retry_after="float", seconds=0.05))
    assert isinstance(only(outcomes(backend_on(server), [disc_frame(0)])), Matte)
    assert server.bills == 1


@pytest.mark.parametrize("variant", ["wrong size", "opaque", "corrupt", "html"])
def test_an_answer_that_is_no_mask(server: HostedServer, variant: str) -> None:
    server.variant = variant  # type: ignore[assignment]
    job = Recorder()
    lost = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert isinstance(lost.error, UnusableResult)
    assert lost.request_id in server.jobs
    assert lost.request_id in str(lost.error)
    again = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert isinstance(again.error, UnusableResult)
    assert server.bills == 1


@pytest.mark.parametrize("variant", ["la", "l", "palette", "rgba16", "la16"])
def test_every_form_of_alpha_is_understood(server: HostedServer, variant: str) -> None:
    plain = only(outcomes(backend_on(server), [disc_frame(0)]))
    server.variant = variant  # type: ignore[assignment]
    other = only(outcomes(backend_on(server), [disc_frame(0)]))
    assert isinstance(plain, Matte)
    assert isinstance(other, Matte)
    torch.testing.assert_close(plain.values, other.values, atol=1.5 / 255, rtol=0)


def test_a_failed_job_is_a_failure_and_may_be_sent_again(server: HostedServer) -> None:
    server.plan(Fault("submit", "failed"))
    job = Recorder()
    lost = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert isinstance(lost.error, BackendFailed)
    assert job.tickets == {}
    assert isinstance(only(outcomes(backend_on(server), [disc_frame(0)], job)), Matte)


def test_a_moderation_refusal_is_readable(server: HostedServer) -> None:
    server.plan(Fault("submit", "moderation"))
    lost = failure(outcomes(backend_on(server), [disc_frame(0)]))
    assert "refused what the picture shows" in str(lost.error)


def test_an_unknown_state_keeps_the_id(server: HostedServer) -> None:
    server.plan(Fault("status", "unknown state"))
    job = Recorder()
    lost = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert isinstance(lost.error, ResultWaiting)
    assert isinstance(only(outcomes(backend_on(server), [disc_frame(0)], job)), Matte)
    assert server.bills == 1


def test_a_job_that_takes_too_long_is_left_to_be_resumed(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBG_JOB_TIMEOUT", "0.3")
    server.seconds = 1.0
    job = Recorder()
    lost = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert isinstance(lost.error, ResultWaiting)
    monkeypatch.setenv("RMBG_JOB_TIMEOUT", "30")
    assert isinstance(only(outcomes(backend_on(server), [disc_frame(0)], job)), Matte)
    assert server.bills == 1


def test_an_expired_result_is_kept_under_its_id(server: HostedServer) -> None:
    server.plan(Fault("download", "expired", times=99))
    job = Recorder()
    lost = failure(outcomes(backend_on(server), [disc_frame(0)], job))
    assert isinstance(lost.error, UnusableResult)
    assert "expired" in str(lost.error)
    assert server.bills == 1
    assert [ticket.request_id for ticket in job.tickets.values()] == list(server.jobs)


@pytest.mark.parametrize("server", UNKEYED, indirect=True)
def test_after_several_lost_answers_nothing_more_is_sent(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"RMBG_{server.provider.upper()}_IN_FLIGHT", "1")
    server.plan(Fault("submit", "reset after work", times=99))
    results = outcomes(backend_on(server), [disc_frame(i) for i in range(8)])
    lost = [r for r in results.values() if isinstance(r, Failure) and r.error.paid == "perhaps"]
    assert len(lost) == server.bills == 3
    assert len(results) == 8


def test_over_budget_frees_nothing_that_was_sent(server: HostedServer) -> None:
    backend = backend_on(server)
    job = Recorder(limit=3 * money(backend.spec.price))
    delivered: list[Outcome] = []
    with pytest.raises(OverBudget):
        delivered.extend(backend.run((disc_frame(i) for i in range(9)), job))
    assert len(delivered) == server.bills == 3


def test_a_picture_over_the_limit_is_refused_or_sent_smaller(
    server: HostedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = BACKENDS[f"{server.provider}/rmbg-2.0"]
    small = replace(spec, hosting=replace(hosting_of(spec), most_bytes=4000))
    monkeypatch.setitem(BACKENDS, spec.id, small)
    noise = torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(0))
    frame = Frame(0, noise, "noise")
    refused = failure(outcomes(backend_on(server), [frame]))
    assert "downscale" in str(refused.error)
    assert server.bills == 0
    matte = only(outcomes(backend_on(server, downscale=True), [frame]))
    assert isinstance(matte, Matte)
    assert matte.values.shape[0] < 96
    assert any("sent at" in note for note in matte.facts.notes)


def test_large_pictures_are_uploaded_first(server: HostedServer, monkeypatch) -> None:
    spec = BACKENDS[f"{server.provider}/rmbg-2.0"]
    hosting = replace(hosting_of(spec), inline_bytes=100)
    monkeypatch.setitem(BACKENDS, spec.id, replace(spec, hosting=hosting))
    assert isinstance(only(outcomes(backend_on(server), [disc_frame(0)])), Matte)
    uploads = [r for r in server.requests if r.step == "upload"]
    assert bool(uploads) == ("upload" in server.steps())  # Bria takes no uploads of stills
    assert server.complaints == []


def test_returned_addresses_behind_a_gateway_are_taken_to_the_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for provider in PROVIDERS:
        with loopback(monkeypatch, provider, official=True) as server:
            assert isinstance(only(outcomes(backend_on(server), [disc_frame(0)])), Matte)
            assert server.complaints == []


def test_rmbg_3_says_what_its_pictures_carry_and_keeps_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with loopback(monkeypatch, "fal"):
        matte = only(outcomes(opened("fal/rmbg-3.0"), [disc_frame(0)]))
    assert isinstance(matte, Matte)
    assert matte.original is not None
    assert any("C2PA" in note for note in matte.facts.notes)


def test_prices_and_limits_can_be_your_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_PRICES", "bria/rmbg-2.0=0.01")
    assert str(opened("bria/rmbg-2.0").spec.price) == "0.01 USD"
    assert str(opened("fal/rmbg-2.0").spec.price) == "0.018 USD"
    monkeypatch.setenv("RMBG_PRICES", "bria=0.01")
    with pytest.raises(BadOption, match="RMBG_PRICES"):
        opened("bria/rmbg-2.0")


@pytest.mark.parametrize("amount", ["a lot", "-1", "nan", "1e400"])
def test_a_price_that_is_no_amount_is_refused(amount: str, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_PRICES", f"bria/rmbg-2.0={amount}")
    with pytest.raises(BadOption, match="RMBG_PRICES has the amount"):
        opened("fal/rmbg-2.0")


def test_a_plan_with_more_jobs_at_a_time_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_FAL_IN_FLIGHT", "20")
    with loopback(monkeypatch, "fal", seconds=1.5) as server:
        results = outcomes(opened("fal/rmbg-2.0"), [disc_frame(i) for i in range(20)])
    assert all(isinstance(result, Matte) for result in results.values())
    assert server.in_flight_peak == 20


@pytest.mark.parametrize(
    "url", ["http://gateway.example", "ftp://127.0.0.1", "https://a:b@c.example"]
)
def test_plain_http_is_for_this_machine_only(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_BRIA_URL", url)
    with pytest.raises(BadOption, match="RMBG_BRIA_URL"):
        opened("bria/rmbg-2.0")


@pytest.mark.parametrize("backend_id", HOSTED_IDS)
def test_opening_needs_no_key_and_no_network(backend_id: str) -> None:
    options = words_for(backend_id)
    opened = open_backend(backend_id, settings=Settings(), usage="commercial", options=options)
    assert opened.spec.hosting


def test_what_is_sent_decides_what_the_work_is(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Frame(0, (disc_frame(0).pixels * 255).round() / 255, "a picture")
    plain = opened("bria/rmbg-2.0").work(frame)
    for ours in ({"downscale": True}, {"resubmit": True}, {"profile": "studio"}):
        assert opened("bria/rmbg-2.0", **ours).work(frame) == plain
    assert opened("bria/rmbg-2.0", moderate_input=True).work(frame) != plain
    assert opened("replicate/rmbg-2.0").work(frame) != plain
    nearly = Frame(7, frame.pixels + 1e-4, "another name")
    assert opened("bria/rmbg-2.0").work(nearly) == plain
    monkeypatch.setenv("RMBG_BRIA_URL", "https://gateway.example/bria")
    assert opened("bria/rmbg-2.0").work(frame) == plain


def test_resume_fetches_without_the_picture(server: HostedServer) -> None:
    job = Recorder()
    server.plan(Fault("status", "unknown state"))
    failure(outcomes(backend_on(server), [disc_frame(0)], job))
    ((work, ticket),) = job.tickets.items()
    (outcome,) = backend_on(server).resume([Claim(0, work, ticket, (64, 48))], Job())  # type: ignore[attr-defined]
    assert isinstance(outcome.result, Matte)
    assert server.bills == 1
