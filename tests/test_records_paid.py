"""What the pipeline lends to a paid backend: the journal and the cache agree in every case."""

# Pins the inside of records.cache
# Pins the inside of records.journal
# Pins the inside of records.opening
# Pins the inside of records.paid_job

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import torch

from rmbg_nodes import cli
from rmbg_nodes.core.errors import (
    BackendFailed,
    MayBeBilled,
    PictureError,
    ResultWaiting,
    UnusableResult,
)
from rmbg_nodes.core.specs import Price
from rmbg_nodes.core.types import Claim, Failure, Frame, Job, Matte, Outcome, Ticket
from rmbg_nodes.pipeline import context
from rmbg_nodes.records.cache import ResultCache
from rmbg_nodes.records.journal import Journal
from rmbg_nodes.records.opening import FILE
from rmbg_nodes.records.paid_job import PaidJob
from rmbg_nodes.records.store import Records, open_records
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeProvider
from rmbg_nodes.tests.support.records import BACKEND, PRICE, SIZE, TICKET, WORK, levels, matte

LOST = Ticket(BACKEND, None)


class Listener(Job):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def check(self) -> None:
        self.heard.append("check")

    def step(self, done: int) -> None:
        self.heard.append(f"step {done}")

    def reserve(self, work: str, price: Price) -> None:
        self.heard.append("reserve")

    def sending(self, work: str) -> None:
        self.heard.append("sending")

    def submitted(self, work: str, ticket: Ticket) -> None:
        self.heard.append("submitted")

    def known(self, work: str) -> Ticket | None:
        self.heard.append("known")
        return None

    def settled(self, work: str, outcome: Outcome) -> None:
        self.heard.append("settled")


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records(tmp_path, 10_000_000)
    yield opened
    opened.close()


def job_of(records: Records, inner: Job | None = None) -> PaidJob:
    job = PaidJob(inner or Job(), records.journal, records.cache)
    job.expect(WORK, SIZE, "a/path/shoe.jpg")
    return job


def send(job: PaidJob, ticket: Ticket | None = TICKET) -> None:
    job.reserve(WORK, PRICE)
    job.sending(WORK)
    if ticket is not None:
        job.submitted(WORK, ticket)


def delivered() -> Outcome:
    return Outcome(0, matte(levels(255)))


def failed(error: PictureError) -> Outcome:
    return Outcome(0, Failure(error, "req-1"))


def test_a_paid_picture(records: Records) -> None:
    inner = Listener()
    job = job_of(records, inner)
    job.check()
    assert job.known(WORK) is None
    send(job)
    (open_job,) = records.journal.pending()
    assert (open_job.backend, open_job.size, open_job.price) == (BACKEND, SIZE, PRICE.amount)
    job.settled(WORK, delivered())
    job.step(1)
    assert records.journal.pending() == []
    back = records.cache.get(WORK)
    assert back is not None
    assert torch.equal(back.values, levels(255))
    assert inner.heard == [
        "check",
        "known",
        "reserve",
        "sending",
        "submitted",
        "settled",
        "step 1",
    ]
    assert job.warnings == []


def test_a_result_that_is_not_kept_stays_open_until_handed_over(records: Records) -> None:
    job = PaidJob(Job(), records.journal, ResultCache(Path("nowhere"), 0))
    job.expect(WORK, SIZE)
    send(job)
    job.settled(WORK, delivered())
    assert job.known(WORK) == TICKET
    job.handed_over("another work")
    assert records.journal.pending()[0].running
    job.close()  # a run that was stopped before its result was taken
    assert not records.journal.pending()[0].running
    job.handed_over(WORK)
    job.handed_over(WORK)
    assert records.journal.pending() == []


def test_a_result_for_two_pictures_is_handed_over_with_the_second(records: Records) -> None:
    job = PaidJob(Job(), records.journal, ResultCache(Path("nowhere"), 0))
    job.expect(WORK, SIZE)
    job.expect(WORK, SIZE)
    send(job)
    job.settled(WORK, delivered())
    job.handed_over(WORK)
    assert len(records.journal.pending()) == 1
    job.handed_over(WORK)
    assert records.journal.pending() == []


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (BackendFailed("the provider's model failed."), False),
        (ResultWaiting("a/path/shoe.jpg: not finished after 300 s."), True),
        (UnusableResult("a/path/shoe.jpg: it is no picture. Request req-1 was kept."), True),
        (MayBeBilled("a/path/shoe.jpg was sent, and it " + "may " * 200 + "be billed."), True),
    ],
)
def test_a_failure_says_what_became_of_the_money(
    records: Records, error: PictureError, stays: bool
) -> None:
    job = job_of(records)
    send(job)
    job.settled(WORK, failed(error))
    pending = records.journal.pending()
    assert len(pending) == stays
    for open_job in pending:
        assert open_job.ticket == TICKET
        assert open_job.trouble.startswith("the picture")
        assert "a/path" not in open_job.trouble
        assert len(open_job.trouble) <= 300
        assert not open_job.running


def test_a_failure_of_the_other_identity_is_one(records: Records) -> None:
    class OtherFailure:
        error = ResultWaiting("not finished")
        request_id = "req-1"

    job = job_of(records)
    send(job)
    job.settled(WORK, Outcome(0, OtherFailure()))  # type: ignore[arg-type]
    assert job.known(WORK) == TICKET


def test_a_failed_upload_does_not_touch_a_lost_job(records: Records) -> None:
    first = job_of(records)
    send(first, LOST)
    second = job_of(records)
    assert second.known(WORK) == LOST
    second.reserve(WORK, PRICE)  # resubmit is on, and then the upload fails
    second.settled(WORK, failed(BackendFailed("the upload failed")))
    assert job_of(records).known(WORK) == LOST
    third = job_of(records)
    assert third.known(WORK) == LOST
    send(third)
    assert [job.ticket for job in records.journal.pending()] == [TICKET]


def test_the_slower_of_two_runs_sends_nothing_and_breaks_nothing(records: Records) -> None:
    quick, slow = job_of(records), job_of(records)
    assert quick.known(WORK) is slow.known(WORK) is None
    slow.reserve(WORK, PRICE)
    send(quick)
    with pytest.raises(BackendFailed):
        slow.sending(WORK)
    slow.settled(WORK, failed(BackendFailed("another run is sending it")))
    assert job_of(records).known(WORK) == TICKET


def test_what_another_run_has_delivered_since_is_not_sent(records: Records) -> None:
    quick, slow = job_of(records), job_of(records)
    assert slow.known(WORK) is None
    slow.reserve(WORK, PRICE)
    send(quick)
    quick.settled(WORK, delivered())
    with pytest.raises(BackendFailed, match="it costs nothing"):
        slow.sending(WORK)
    slow.settled(WORK, failed(BackendFailed("it was delivered")))
    assert records.journal.pending() == []
    assert records.cache.get(WORK) is not None


def test_a_refused_submit_may_be_repeated(records: Records) -> None:
    job = job_of(records)
    send(job, ticket=None)
    job.settled(WORK, failed(BackendFailed("no byte has left")))
    assert job.known(WORK) is None
    send(job)
    assert job.known(WORK) == TICKET


def test_a_resumed_job_that_failed_at_the_provider_is_closed(records: Records) -> None:
    send(job_of(records))
    job = job_of(records)
    assert job.known(WORK) == TICKET
    job.settled(WORK, failed(BackendFailed("the provider's model failed")))
    assert records.journal.pending() == []


def test_an_unusable_result_is_paid_again_on_demand(records: Records) -> None:
    send(job_of(records))
    job = job_of(records)
    assert job.known(WORK) == TICKET
    again = Ticket(BACKEND, "req-2")
    send(job, again)
    assert [open_job.ticket for open_job in records.journal.pending()] == [again]


def test_after_cancel_others_may_fetch(records: Records) -> None:
    job = job_of(records)
    send(job)
    assert records.journal.pending()[0].running
    job.close()
    (open_job,) = records.journal.pending()
    assert (open_job.running, open_job.trouble) == (False, "its run was stopped")
    late = job_of(records)
    records.journal.forget(WORK)
    late.reserve(WORK, PRICE)
    late.sending(WORK)
    late.close()
    assert records.journal.pending()[0].running  # its submit is still on its way
    late.submitted(WORK, TICKET)
    assert not records.journal.pending()[0].running


class Broken:
    """A journal of which the named calls fail as they do on a full disk."""

    def __init__(self, journal: Journal, *failing: str) -> None:
        self._journal = journal
        self.failing = set(failing)
        self.warnings: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., object]:
        if name in self.failing:
            return self._fail
        return getattr(self._journal, name)

    def _fail(self, *_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")


ALL = ("submitted", "delivered", "failed", "keep")


@pytest.mark.parametrize("failing", [(name,) for name in ALL] + [ALL])
def test_a_broken_journal_loses_no_paid_result(records: Records, failing: tuple[str, ...]) -> None:
    broken = Broken(records.journal, *failing)
    job = PaidJob(Job(), broken, records.cache)  # type: ignore[arg-type]
    job.expect(WORK, SIZE)
    send(job)
    if "submitted" in failing:
        assert job.known(WORK) == TICKET
        assert any("req-1" in warning for warning in job.warnings)
    job.settled(WORK, failed(ResultWaiting("not finished")))
    assert job.known(WORK) == TICKET
    job.settled(WORK, delivered())
    assert records.cache.get(WORK) is not None
    assert bool(job.warnings) == (failing != ("failed",))
    assert len(job.warnings) == len(set(job.warnings))


def test_what_the_disk_refused_is_noted_when_it_can_be(records: Records) -> None:
    broken = Broken(records.journal, "submitted")
    job = PaidJob(Job(), broken, records.cache)  # type: ignore[arg-type]
    job.expect(WORK, SIZE)
    send(job)
    assert [open_job.ticket for open_job in records.journal.pending()] == [LOST]
    broken.failing.clear()
    job.settled(WORK, failed(ResultWaiting("not finished")))
    (open_job,) = records.journal.pending()
    assert (open_job.ticket, open_job.size, open_job.price) == (TICKET, SIZE, PRICE.amount)


def test_nothing_is_sent_that_cannot_be_noted(records: Records) -> None:
    broken = Broken(records.journal, "sending")
    job = PaidJob(Job(), broken, records.cache)  # type: ignore[arg-type]
    job.expect(WORK, SIZE)
    job.reserve(WORK, PRICE)
    with pytest.raises(BackendFailed, match="so it was not sent.*Make room on its disk"):
        job.sending(WORK)
    broken.failing = {"submitted"}
    job.sending(WORK)
    job.submitted(WORK, TICKET)
    job.expect("fal/x:another", SIZE)
    with pytest.raises(BackendFailed, match="was not sent"):  # while an id is not on the disk
        job.sending("fal/x:another")
    broken.failing.clear()
    job.sending("fal/x:another")
    assert [open_job.ticket for open_job in records.journal.pending()][0] == TICKET


def test_an_unreadable_journal_sends_nothing(records: Records) -> None:
    broken = Broken(records.journal, "known")
    job = PaidJob(Job(), broken, records.cache)  # type: ignore[arg-type]
    with pytest.raises(BackendFailed, match="not known whether this picture was paid for"):
        job.known(WORK)


def test_the_journals_own_warnings_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    records = open_records(tmp_path / "file" / "records", 1000)
    assert job_of(records).warnings == records.journal.warnings != []
    records.close()


def test_with_a_backend_that_bills(records: Records) -> None:
    frames = [
        Frame(index, torch.full((6, 8, 3), 0.1 + 0.2 * index), f"image {index}")
        for index in range(4)
    ]
    works = [f"fake/hosted:{frame.digest()}" for frame in frames]
    provider = FakeProvider(lose_answers=frozenset({works[2]}), failing=frozenset({works[3]}))
    for _ in range(2):
        job = PaidJob(Job(), records.journal, records.cache)
        wanted = [
            frame for frame, work in zip(frames, works, strict=True) if not records.cache.get(work)
        ]
        for frame in wanted:
            job.expect(f"fake/hosted:{frame.digest()}", (8, 6), frame.name)
        outcomes = {out.index: out.result for out in FakeHosted(provider).run(wanted, job)}
        assert isinstance(outcomes[2], Failure)
        assert outcomes[2].error.paid == "perhaps"
        job.close()
    # The third was never sent again, the fourth failed at no cost and was.
    assert provider.billed == [*works, works[3]]
    (lost,) = records.journal.pending()
    assert (lost.work, lost.resumable, lost.running) == (works[2], False, False)
    cached = records.cache.get(works[0])
    assert isinstance(cached, Matte)


@pytest.fixture
def shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[tuple[Records, Callable[..., str]]]:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    records = context.open_user_records()

    def show(*arguments: str) -> str:
        assert cli.main(arguments) == 0
        return capsys.readouterr().out

    yield records, show
    records.close()


def test_pending_says_what_to_do(shown: tuple[Records, Callable[..., str]]) -> None:
    records, show = shown
    assert show("pending") == "Nothing is open: every paid job was delivered or settled.\n"
    assert json.loads(show("pending", "--json")) == []
    for work, ticket in (("1", TICKET), ("2", LOST), ("3", None)):
        records.journal.sending(f"{BACKEND}:{work}", BACKEND, PRICE, SIZE)
        if ticket is not None:
            records.journal.submitted(f"{BACKEND}:{work}", ticket)
            records.journal.keep(f"{BACKEND}:{work}", "some trouble")
    rows = json.loads(show("pending", "--json"))
    assert [row["request_id"] for row in rows] == ["req-1", None, None]
    assert [row["price"] for row in rows] == ["0.018"] * 3
    assert [(row["resumable"], row["running"]) for row in rows] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    text = show("pending")
    for words in (
        "req-1",
        "resume req-1`; it is not paid again",
        "id lost",
        "https://fal.ai/dashboard",
        "--resubmit",
        "0.018 USD",
        "under way",
        "some trouble",
    ):
        assert words in text


@pytest.mark.parametrize("command", ["pending", "resume"])
@pytest.mark.parametrize("damage", ["no folder", "no database"])
def test_jobs_that_are_not_known_are_not_called_settled(
    command: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    if damage == "no folder":
        (tmp_path / "records").touch()
    else:
        (tmp_path / "records").mkdir()
        (tmp_path / "records" / FILE).write_bytes(b"this is no database " * 100)
    assert cli.main([command]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "The journal of paid work" in told.err


class _Fetches(FakeHosted):
    """Has the result of every claim."""

    def resume(self, claims: Iterable[Claim], job: Job) -> Iterator[Outcome]:
        for claim in claims:
            outcome = Outcome(claim.index, matte(levels(255)))
            job.settled(claim.work, outcome)
            yield outcome


def test_a_result_that_finds_no_place_waits(tmp_path: Path) -> None:
    records = open_records(tmp_path, 100)  # bytes: less than any result
    job = job_of(records)
    send(job)
    job.close()
    ((_, error),) = context.resume(
        records.journal.pending(), _Fetches(FakeProvider()), records, Job()
    )
    assert isinstance(error, ResultWaiting)
    assert "RMBG_CACHE" in str(error)
    assert [one.resumable for one in records.journal.pending()] == [True]
    records.close()


def test_cache_info_and_clear(shown: tuple[Records, Callable[..., str]], tmp_path: Path) -> None:
    records, show = shown
    records.cache.put(WORK, matte(levels(255)))
    facts = json.loads(show("cache", "info", "--json"))
    assert facts["entries"] == 1
    assert facts["most_bytes"] == 2_000_000_000
    assert facts["folder"].startswith(str(tmp_path))
    assert show("cache", "info").startswith("1 paid results, ")
    assert show("cache", "clear") == "1 results removed.\n"
    assert json.loads(show("cache", "clear", "--json")) == {"removed": 0}
    assert records.cache.get(WORK) is None
