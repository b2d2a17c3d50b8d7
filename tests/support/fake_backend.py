"""Backends for tests: they fail, wait and bill as told, and answer the same for the same picture.

FakeLocal answers low-resolution logits in chunks, as a network does. FakeHosted submits to a
FakeProvider, several pictures at a time, polls, and can lose an answer. Neither is in the
catalogue.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

import torch.nn.functional as F
from torch import Tensor

from rmbg_nodes.core.errors import BackendFailed, MayBeBilled, PictureError, Refusal
from rmbg_nodes.core.specs import BackendSpec, Price
from rmbg_nodes.core.types import Facts, Failure, Frame, Job, Matte, Outcome, Ticket

FAKE_LOCAL = BackendSpec(
    id="fake/local",
    label="Fake local",
    summary="for tests",
    location="local",
    licence="keyer",
    target="none:FakeLocal",
    window=4,
)
FAKE_PRICE = Price(Decimal("0.018"), "USD", "2026-01-01", "a test")
FAKE_HOSTED = BackendSpec(
    id="fake/hosted",
    label="Fake hosted",
    summary="for tests",
    location="hosted",
    licence="bria-api",
    target="none:FakeHosted",
    window=4,
    price=FAKE_PRICE,
)


def brightness_logits(pixels: Tensor, side: int) -> Tensor:
    """(H, W, 3) -> (side, side) logits: bright is subject. Deterministic, smooth, cheap."""
    grey = pixels.float().mean(dim=-1)[None, None]
    return (F.adaptive_avg_pool2d(grey, (side, side))[0, 0] - 0.5) * 20


class FakeLocal:
    """A network's stand-in: low-resolution logits, `spec.window` pictures per forward."""

    def __init__(
        self,
        spec: BackendSpec = FAKE_LOCAL,
        *,
        side: int = 16,
        failing: Collection[int] = (),
        seconds: float = 0.0,
    ) -> None:
        self.spec = spec
        self._side = side
        self._failing = frozenset(failing)
        self._seconds = seconds

    def work(self, frame: Frame) -> str | None:
        return None

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        source = iter(frames)
        while chunk := list(itertools.islice(source, self.spec.window)):
            for frame in chunk:
                job.check()
                _wait(self._seconds, job)
                outcome = Outcome(frame.index, self._answer(frame))
                job.step(1)
                yield outcome

    def close(self) -> None:
        pass

    def _answer(self, frame: Frame) -> Matte | Failure:
        if frame.index in self._failing:
            return Failure(BackendFailed(f"{frame.name}: the fake was told to fail here."))
        facts = Facts(
            backend=self.spec.id,
            model="fake",
            licence=self.spec.licence,
            device="cpu",
            seconds=self._seconds,
        )
        return Matte(brightness_logits(frame.pixels, self._side), "logits", facts)


@dataclass
class FakeProvider:
    """What a provider's servers remember: it outlives the client, as in a crash."""

    polls_needed: int = 2
    failing: frozenset[str] = frozenset()
    lose_answers: frozenset[str] = frozenset()
    billed: list[str] = field(default_factory=list)
    jobs: dict[str, tuple[str, Tensor]] = field(default_factory=dict)
    polls: dict[str, int] = field(default_factory=dict)

    def submit(self, work: str, pixels: Tensor) -> str | None:
        """Do the work, bill it, answer its id; None when the answer is lost on its way."""
        request_id = f"job-{len(self.jobs) + 1}"
        self.billed.append(work)
        self.jobs[request_id] = (work, brightness_logits(pixels, 64).sigmoid())
        return None if work in self.lose_answers else request_id

    def poll(self, request_id: str) -> Tensor | BackendFailed | None:
        """The alpha when ready, the error when it failed, None while it is working."""
        self.polls[request_id] = self.polls.get(request_id, 0) + 1
        if self.polls[request_id] < self.polls_needed:
            return None
        work, alpha = self.jobs[request_id]
        if work in self.failing:
            return BackendFailed(f"{request_id}: the provider could not process the picture.")
        return alpha


@dataclass
class _Pending:
    frame: Frame
    work: str
    request_id: str


class FakeHosted:
    """Submits up to `spec.window` pictures, then polls them in turn."""

    def __init__(
        self,
        provider: FakeProvider,
        spec: BackendSpec = FAKE_HOSTED,
        *,
        poll_seconds: float = 0.0,
    ) -> None:
        self.spec = spec
        self._provider = provider
        self._poll_seconds = poll_seconds

    def work(self, frame: Frame) -> str | None:
        return f"{self.spec.id}:{frame.digest()}"

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        source = iter(frames)
        pending: deque[_Pending] = deque()
        refusal: Refusal | None = None
        exhausted = False
        while True:
            while not exhausted and len(pending) < self.spec.window:
                job.check()
                frame = next(source, None)
                if frame is None:
                    exhausted = True
                    break
                try:
                    started = self._start(frame, job)
                except Refusal as error:
                    refusal, exhausted = error, True
                    break
                if isinstance(started, _Pending):
                    pending.append(started)
                else:
                    job.step(1)
                    yield started
            if not pending:
                break
            job.check()
            entry = pending.popleft()
            outcome = self._poll(entry)
            if outcome is None:
                pending.append(entry)
                _wait(self._poll_seconds, job)
                continue
            job.settled(entry.work, outcome)
            job.step(1)
            yield outcome
        if refusal is not None:
            raise refusal

    def close(self) -> None:
        pass

    def _start(self, frame: Frame, job: Job) -> _Pending | Outcome:
        work = f"{self.spec.id}:{frame.digest()}"
        try:
            ticket = job.known(work) or self._sent(frame, work, job)
        except PictureError as error:
            return Outcome(frame.index, Failure(error))
        if ticket.request_id is None:
            lost = MayBeBilled(
                f"{frame.name}: it was sent earlier and the answer was lost, so it may have been "
                "billed. Look at your provider's history before sending it again."
            )
            return Outcome(frame.index, Failure(lost))
        return _Pending(frame, work, ticket.request_id)

    def _sent(self, frame: Frame, work: str, job: Job) -> Ticket:
        job.reserve(work, FAKE_PRICE)
        try:
            job.sending(work)
        except PictureError as error:
            job.settled(work, Outcome(frame.index, Failure(error)))
            raise
        ticket = Ticket(self.spec.id, self._provider.submit(work, frame.pixels))
        job.submitted(work, ticket)
        return ticket

    def _poll(self, entry: _Pending) -> Outcome | None:
        answer = self._provider.poll(entry.request_id)
        if answer is None:
            return None
        if isinstance(answer, BackendFailed):
            return Outcome(entry.frame.index, Failure(answer, entry.request_id))
        facts = Facts(
            backend=self.spec.id,
            model="fake",
            licence=self.spec.licence,
            device="hosted",
            seconds=0.0,
            cost=FAKE_PRICE.amount,
            left_machine=True,
            request_id=entry.request_id,
        )
        return Outcome(entry.frame.index, Matte(answer, "alpha", facts))


def _wait(seconds: float, job: Job) -> None:
    """Sleep, but notice Cancel within a tenth of a second."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        job.check()
        time.sleep(min(left, 0.1))
