"""What every backend must do. A backend's test module subclasses `BackendContract`, and
`PaidContract` too when its pictures cost money; the rules are those of `core/types.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
import torch

from rmbg_nodes.catalogue.licences import LICENCES
from rmbg_nodes.core.errors import Cancelled, MayBeBilled, OverBudget
from rmbg_nodes.core.specs import Price
from rmbg_nodes.core.types import Backend, Failure, Frame, Job, Matte, Outcome, Ticket

SIZES = ((48, 64), (64, 48), (57, 61))


def disc_frame(index: int, size: tuple[int, int] = (48, 64)) -> Frame:
    """A bright disc on a plain dark backdrop, a little different for each index, with a rough mask
    of it for the backend that asks for one."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot(y - height / 2 - index % 3, x - width / 2)
    alpha = (height / 4 + index % 5 - distance + 0.5).clamp(0, 1)[..., None]
    subject = torch.tensor([0.95, 0.85, 0.75 + (index % 7) / 100])
    backdrop = torch.tensor([0.10, 0.12, 0.15])
    rough = (distance < height / 4 + 3).float()
    return Frame(index, alpha * subject + (1 - alpha) * backdrop, f"picture {index}", rough)


def money(price: Price | None) -> Decimal:
    """What a picture counts in a test: its price, or 1 where nobody has stated one."""
    assert price is not None
    return Decimal(1) if price.amount is None else price.amount


@dataclass
class Recorder(Job):
    """A job that remembers every call, cancels on request and knows tickets."""

    cancel_after_checks: int | None = None
    limit: Decimal | None = None
    tickets: dict[str, Ticket] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    steps: int = 0
    checks: int = 0
    spent: Decimal = Decimal(0)

    def check(self) -> None:
        self.checks += 1
        if self.cancel_after_checks is not None and self.checks > self.cancel_after_checks:
            raise Cancelled("Stopped by the test.")

    def step(self, done: int) -> None:
        self.steps += done

    def reserve(self, work: str, price: Price) -> None:
        after = self.spent + money(price)
        if self.limit is not None and after > self.limit:
            raise OverBudget("The test's budget is spent.")
        self.spent = after
        self.calls.append(("reserve", work))

    def sending(self, work: str) -> None:
        self.calls.append(("sending", work))

    def submitted(self, work: str, ticket: Ticket) -> None:
        self.calls.append(("submitted", work))
        self.tickets[work] = ticket

    def known(self, work: str) -> Ticket | None:
        return self.tickets.get(work)

    def settled(self, work: str, outcome: Outcome) -> None:
        self.calls.append(("settled", work))
        if not isinstance(outcome.result, Failure) or outcome.result.error.paid == "no":
            self.tickets.pop(work, None)

    def named(self, name: str) -> list[str]:
        return [work for called, work in self.calls if called == name]


class BackendContract:
    """Subclass, and give a fixture `make` that returns a function opening a fresh backend."""

    @pytest.fixture
    def backend(self, make: Callable[[], Backend]) -> Iterator[Backend]:
        opened = make()
        yield opened
        opened.close()
        opened.close()

    def test_one_outcome_for_every_frame(self, backend: Backend) -> None:
        job = Recorder()
        outcomes = list(backend.run((disc_frame(i, SIZES[i % 3]) for i in (7, 3, 9, 1, 4)), job))
        assert sorted(outcome.index for outcome in outcomes) == [1, 3, 4, 7, 9]
        assert job.steps == 5

    def test_nothing_in_nothing_out(self, backend: Backend) -> None:
        assert list(backend.run(iter(()), Job())) == []

    def test_mattes_are_well_formed(self, backend: Backend) -> None:
        for outcome in backend.run((disc_frame(i, SIZES[i]) for i in range(3)), Job()):
            matte = outcome.result
            assert isinstance(matte, Matte)
            assert matte.values.ndim == 2
            assert matte.values.dtype == torch.float32
            assert matte.values.isfinite().all()
            if matte.kind == "alpha":
                assert matte.values.min() >= 0
                assert matte.values.max() <= 1
            else:
                assert matte.kind == "logits"

    def test_facts_tell_the_truth(self, backend: Backend) -> None:
        (outcome,) = backend.run([disc_frame(0)], Job())
        assert isinstance(outcome.result, Matte)
        facts = outcome.result.facts
        assert facts.backend == backend.spec.id
        assert facts.licence == backend.spec.licence
        assert facts.licence in LICENCES
        assert facts.seconds >= 0
        assert facts.left_machine == (backend.spec.location == "hosted")
        price = backend.spec.price
        assert facts.cost == (price.amount if price else 0)
        assert bool(facts.request_id) == (backend.spec.location == "hosted")

    def test_the_subject_is_one(self, backend: Backend) -> None:
        (outcome,) = backend.run([disc_frame(0)], Job())
        assert isinstance(outcome.result, Matte)
        values = outcome.result.values
        height, width = values.shape
        middle, corner = values[height // 2, width // 2], values[0, 0]
        threshold = 0.5 if outcome.result.kind == "alpha" else 0.0
        assert middle > threshold > corner

    def test_frames_are_not_written_to(self, backend: Backend) -> None:
        frames = [disc_frame(i) for i in range(3)]
        before = [frame.pixels.clone() for frame in frames]
        list(backend.run(frames, Job()))
        for frame, pixels in zip(frames, before, strict=True):
            assert torch.equal(frame.pixels, pixels)

    def test_the_same_picture_gets_the_same_matte(self, backend: Backend) -> None:
        first, second = (next(iter(backend.run([disc_frame(2)], Job()))) for _ in range(2))
        assert isinstance(first.result, Matte)
        assert isinstance(second.result, Matte)
        assert torch.equal(first.result.values, second.result.values)

    def test_a_batch_equals_one_by_one(self, backend: Backend) -> None:
        together = {
            o.index: o.result for o in backend.run([disc_frame(i) for i in (0, 1, 2)], Job())
        }
        for index, result in together.items():
            (alone,) = backend.run([disc_frame(index)], Job())
            assert isinstance(result, Matte)
            assert isinstance(alone.result, Matte)
            torch.testing.assert_close(result.values, alone.result.values, atol=1e-5, rtol=0)

    def test_frames_are_pulled_inside_the_window(self, backend: Backend) -> None:
        pulled, done, most = 0, 0, 0
        total = 3 * backend.spec.window + 1

        def source() -> Iterator[Frame]:
            nonlocal pulled, most
            for index in range(total):
                pulled += 1
                most = max(most, pulled - done)
                yield disc_frame(index)

        for _ in backend.run(source(), Job()):
            done += 1
        assert done == total
        assert most <= backend.spec.window

    def test_cancel_is_raised_and_the_backend_lives_on(self, backend: Backend) -> None:
        with pytest.raises(Cancelled):
            list(backend.run((disc_frame(i) for i in range(50)), Recorder(cancel_after_checks=1)))
        assert len(list(backend.run([disc_frame(0)], Job()))) == 1

    def test_cancel_before_anything_pulls_and_spends_nothing(self, backend: Backend) -> None:
        job = Recorder(cancel_after_checks=0)
        with pytest.raises(Cancelled):
            list(backend.run((disc_frame(i) for i in range(5)), job))
        assert job.calls == []

    def test_closing_early_leaves_no_thread(self, backend: Backend) -> None:
        next(iter(backend.run([disc_frame(0)], Job())))
        before = set(threading.enumerate())
        run = backend.run((disc_frame(i) for i in range(20)), Job())
        next(run)
        close = getattr(run, "close", None)
        assert callable(close)
        close()
        assert set(threading.enumerate()) <= before

    def test_work_names_paid_work_only(self, backend: Backend) -> None:
        one, same, other = (backend.work(disc_frame(i)) for i in (0, 0, 1))
        if backend.spec.price is None:
            assert one is None
        else:
            assert one is not None
            assert one == same != other


class PaidContract:
    """The rules about money, for backends whose pictures cost some. The price is the spec's."""

    def test_each_picture_is_paid_once_in_order(self, make: Callable[[], Backend]) -> None:
        job = Recorder()
        backend = make()
        frames = [disc_frame(i) for i in range(3)]
        list(backend.run(frames, job))
        for frame in frames:
            work = backend.work(frame)
            assert [name for name, called in job.calls if called == work] == [
                "reserve",
                "sending",
                "submitted",
                "settled",
            ]
        assert job.tickets == {}

    def test_settled_comes_before_the_outcome(self, make: Callable[[], Backend]) -> None:
        job = Recorder()
        for delivered, _ in enumerate(make().run([disc_frame(i) for i in range(3)], job), 1):
            assert len(job.named("settled")) >= delivered
            assert job.steps >= delivered

    def test_over_budget_delivers_what_was_paid(self, make: Callable[[], Backend]) -> None:
        backend = make()
        job = Recorder(limit=2 * money(backend.spec.price))
        delivered: list[Outcome] = []
        with pytest.raises(OverBudget):
            delivered.extend(backend.run((disc_frame(i) for i in range(6)), job))
        assert len(delivered) == 2
        assert all(isinstance(outcome.result, Matte) for outcome in delivered)
        assert len(job.named("sending")) == 2

    def test_a_cancelled_job_is_resumed_not_paid_again(self, make: Callable[[], Backend]) -> None:
        backend = make()
        job = Recorder()
        frame = disc_frame(0)

        paid: dict[str, Ticket] = {}

        def cancelled_after_submit() -> None:
            if job.tickets:
                paid.update(job.tickets)  # the result may come in the very moment of Cancel
                raise Cancelled("Stopped by the test.")

        job.check = cancelled_after_submit  # type: ignore[method-assign]
        with pytest.raises(Cancelled):
            list(backend.run([frame], job))
        later = Recorder(tickets=paid)
        (outcome,) = backend.run([frame], later)
        assert isinstance(outcome.result, Matte)
        assert later.named("sending") == []
        assert outcome.result.facts.request_id

    def test_a_lost_answer_is_never_sent_again(self, make: Callable[[], Backend]) -> None:
        backend = make()
        frame = disc_frame(0)
        work = backend.work(frame)
        assert work is not None
        job = Recorder(tickets={work: Ticket(backend.spec.id, None)})
        (outcome,) = backend.run([frame], job)
        assert isinstance(outcome.result, Failure)
        assert isinstance(outcome.result.error, MayBeBilled)
        assert job.named("sending") == []
