"""The six situations the contract was shaped by, on the fakes; then the fakes' conformance."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from rmbg_nodes.core.errors import BackendFailed, Cancelled, OverBudget
from rmbg_nodes.core.types import Backend, Failure, Frame, Job, Matte
from rmbg_nodes.tests.conformance import BackendContract, PaidContract, Recorder, disc_frame
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeLocal, FakeProvider


def test_one_picture_of_three_fails() -> None:
    outcomes = list(FakeLocal(failing=[1]).run([disc_frame(i) for i in range(3)], Job()))
    results = {outcome.index: outcome.result for outcome in outcomes}
    assert isinstance(results[0], Matte)
    assert isinstance(results[2], Matte)
    assert isinstance(results[1], Failure)
    assert isinstance(results[1].error, BackendFailed)
    assert "picture 1" in str(results[1].error)


def test_a_job_is_resumed_by_id_after_a_crash() -> None:
    provider = FakeProvider()
    frame = disc_frame(0)
    before = Recorder()
    run = FakeHosted(provider).run(iter([frame, disc_frame(1)]), before)
    next(run)
    del run  # the process dies with one job still open
    assert len(before.tickets) == 1
    after = Recorder(tickets=dict(before.tickets))
    (outcome,) = FakeHosted(provider).run([disc_frame(1)], after)
    assert isinstance(outcome.result, Matte)
    assert outcome.result.facts.request_id == "job-2"
    assert len(provider.billed) == 2


def test_the_budget_refuses_before_anything_is_sent() -> None:
    provider = FakeProvider()
    job = Recorder(limit=Decimal("0.001"))
    with pytest.raises(OverBudget):
        list(FakeHosted(provider).run([disc_frame(0)], job))
    assert provider.billed == []


def test_the_model_answers_low_resolution_logits() -> None:
    (outcome,) = FakeLocal(side=16).run([disc_frame(0, (57, 61))], Job())
    assert isinstance(outcome.result, Matte)
    assert outcome.result.kind == "logits"
    assert outcome.result.values.shape == (16, 16)


def test_five_thousand_frames_stream_in_bounded_memory() -> None:
    def source() -> Iterator[Frame]:
        for index in range(5000):
            yield disc_frame(index, (16, 16))

    count = 0
    tracemalloc.start()
    for outcome in FakeLocal(side=4).run(source(), Job()):
        count += 1
        assert isinstance(outcome.result, Matte)
        if count == 100:
            early, _ = tracemalloc.get_traced_memory()
    late, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 5000
    assert late - early < 200_000


def test_cancel_arrives_in_the_middle_of_a_wait() -> None:
    job = Recorder(cancel_after_checks=3)
    with pytest.raises(Cancelled):
        list(FakeLocal(seconds=30).run([disc_frame(0)], job))


def test_a_provider_that_fails_a_picture_settles_it() -> None:
    provider = FakeProvider()
    backend = FakeHosted(provider)
    work = backend.work(disc_frame(0))
    assert work is not None
    provider.failing = frozenset([work])
    job = Recorder()
    (outcome,) = backend.run([disc_frame(0)], job)
    assert isinstance(outcome.result, Failure)
    assert outcome.result.request_id == "job-1"
    assert job.named("settled") == [work]


def test_a_lost_answer_is_remembered_without_an_id() -> None:
    provider = FakeProvider()
    backend = FakeHosted(provider)
    work = backend.work(disc_frame(0))
    assert work is not None
    provider.lose_answers = frozenset([work])
    job = Recorder()
    for _ in range(2):
        (outcome,) = backend.run([disc_frame(0)], job)
        assert isinstance(outcome.result, Failure)
    assert len(provider.billed) == 1
    assert job.tickets[work].request_id is None


class TestFakeLocal(BackendContract):
    @pytest.fixture
    def make(self) -> Callable[[], Backend]:
        return FakeLocal


class TestFakeHosted(BackendContract, PaidContract):
    @pytest.fixture
    def make(self) -> Callable[[], Backend]:
        return lambda: FakeHosted(FakeProvider())
