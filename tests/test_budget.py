"""What hosted pictures may cost: never a cent over, under threads, processes and crashes."""

# Pins the inside of core.money
# Pins the inside of pipeline.estimate
# Pins the inside of records.cache
# Pins the inside of records.database
# Pins the inside of records.paid_job
# Pins the inside of records.run_budget
# Pins the inside of records.schema
# Pins the inside of records.spending

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import pytest
import torch

from rmbg_nodes import remove_background, remove_background_async
from rmbg_nodes.config.settings import Settings, read_settings
from rmbg_nodes.core.errors import (
    BackendFailed,
    BadOption,
    MayBeBilled,
    OverBudget,
    PictureError,
    ResultWaiting,
)
from rmbg_nodes.core.money import Budget, counted, plain, read_amount, read_budget
from rmbg_nodes.core.report import render
from rmbg_nodes.core.specs import Price
from rmbg_nodes.core.types import Failure, Frame, Job, Outcome, Ticket
from rmbg_nodes.pipeline.estimate import look
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.gate import OpenBackend
from rmbg_nodes.pipeline.inputs import Failed, Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.records import schema
from rmbg_nodes.records.cache import ResultCache
from rmbg_nodes.records.database import Database
from rmbg_nodes.records.paid_job import PaidJob
from rmbg_nodes.records.run_budget import RunBudget
from rmbg_nodes.records.spending import Spending
from rmbg_nodes.records.store import Records, open_records
from rmbg_nodes.tests.support.fake_backend import FAKE_HOSTED, FAKE_PRICE, FakeHosted, FakeProvider
from rmbg_nodes.tests.support.records import (
    PRICE,
    SIZE,
    TICKET,
    WORK,
    levels,
    matte,
    start,
    until_said,
)

CENT = Price(Decimal("0.01"), "USD", "2026", "a test")


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records(tmp_path, 10_000_000)
    yield opened
    opened.close()


def job_of(records: Records, budget: Budget | None = None, **limits: Decimal) -> PaidJob:
    run_budget = RunBudget(records.spending, budget, **limits)
    job = PaidJob(Job(), records.journal, records.cache, run_budget)
    job.expect(WORK, SIZE)
    return job


def day_of(records: Records) -> tuple[str, str]:
    """Spent and under way today."""
    spent = records.spending.spent()
    return plain(spent.day), plain(spent.day_under_way)


# ---------------------------------------------------------------- the setting


@pytest.mark.parametrize(
    ("text", "day", "month"),
    [
        ("", None, None),
        ("5", "5", None),
        ("5/day", "5", None),
        ("100/month", None, "100"),
        (" 0.5 / day , 100/month ", "0.5", "100"),
        ("0/day", "0", None),
    ],
)
def test_a_budget_in_words(text: str, day: str | None, month: str | None) -> None:
    budget = read_budget(text)
    assert budget == Budget(*(None if one is None else Decimal(one) for one in (day, month)))
    assert bool(budget) is bool(text)


@pytest.mark.parametrize(
    "text", ["five", "-1", "nan", "5/week", "5/day,6", "/day", ",", "1e999999999"]
)
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match="RMBG_BUDGET_USD is .*5/day,100/month"):
        read_settings({"RMBG_BUDGET_USD": text})


def test_the_environment_wins_over_the_settings_file(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('budget_usd = "7/day"\n')
    monkeypatch.setenv("RMBG_SETTINGS", str(file))
    assert read_settings().budget == Budget(Decimal(7))
    file.write_text("budget_usd = 0.75\n")
    assert read_settings().budget == Budget(Decimal("0.75"))
    monkeypatch.setenv("RMBG_BUDGET_USD", "2/month")
    assert read_settings().budget == Budget(None, Decimal(2))


def test_money_is_never_a_binary_fraction() -> None:
    assert counted(PRICE) == 18_000
    assert counted(replace(PRICE, amount=Decimal("0.0000001"))) == 1
    assert read_amount(0.1) == Decimal("0.1")
    with pytest.raises(BadOption, match="no amount of money"):
        read_amount("inf")


# ---------------------------------------------------------------- never over the cap


def test_64_threads_never_pass_the_budget(records: Records) -> None:
    begin = threading.Barrier(64)

    def submit(number: int) -> bool:
        begin.wait()
        try:
            records.spending.reserve(f"fal/x:{number}", CENT, Budget(Decimal("0.40")))
        except OverBudget:
            return False
        return True

    with ThreadPoolExecutor(64) as pool:
        assert sum(pool.map(submit, range(64))) == 40
    assert day_of(records) == ("0", "0.4")


def test_64_threads_never_pass_max_cost(records: Records) -> None:
    run_budget = RunBudget(records.spending, None, Decimal("0.399"))
    begin = threading.Barrier(64)

    def submit(number: int) -> bool:
        begin.wait()
        try:
            run_budget.reserve(f"fal/x:{number}", CENT)
        except OverBudget:
            return False
        return True

    with ThreadPoolExecutor(64) as pool:
        assert sum(pool.map(submit, range(64))) == 39
    with pytest.raises(OverBudget, match=r"this run to 0.4 USD, and max_cost allows 0.399 USD"):
        run_budget.reserve("fal/x:one more", CENT)
    run_budget.not_owed("fal/x:nobody's")
    run_budget.close()
    assert day_of(records) == ("0", "0")


_SUBMITS = """
from concurrent.futures import ThreadPoolExecutor
from rmbg_nodes.core.errors import OverBudget
from rmbg_nodes.core.money import Budget
from rmbg_nodes.core.specs import Price
from rmbg_nodes.records.store import open_records
records = open_records(folder, 0)
price = Price(Decimal("0.01"), "USD", "2026", "a test")
def submit(number):
    try:
        records.spending.reserve(f"fal/x:{os.getpid()}-{number}", price, Budget(Decimal("0.40")))
        records.journal.sending(f"fal/x:{os.getpid()}-{number}", "fal/x", price, (1, 1))
    except OverBudget:
        return 0
    return 1
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(16) as pool:
    print(sum(pool.map(submit, range(16))), flush=True)
"""


def test_64_submits_of_four_processes_never_pass_the_budget(tmp_path: Path) -> None:
    processes = [start(_SUBMITS, tmp_path) for _ in range(4)]
    for process in processes:
        until_said(process, "ready")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    assert sum(int(out) for out, _ in said) == 40, said
    records = open_records(tmp_path, 0)
    assert day_of(records) == ("0", "0.4")  # sent, and nobody knows what became of it
    with pytest.raises(OverBudget):
        records.spending.reserve(WORK, CENT, Budget(Decimal("0.40")))
    records.close()


# ---------------------------------------------------------------- what became of the money


@pytest.mark.parametrize(
    ("error", "spent", "under_way"),
    [
        (None, "0.018", "0"),
        (BackendFailed("the model failed."), "0", "0"),
        (ResultWaiting("not finished."), "0", "0.018"),
        (MayBeBilled("the answer was lost."), "0", "0.018"),
    ],
)
def test_a_reservation_follows_the_outcome(
    records: Records, error: PictureError | None, spent: str, under_way: str
) -> None:
    job = job_of(records, Budget(Decimal("0.02")))
    job.reserve(WORK, PRICE)
    assert day_of(records) == ("0", "0.018")
    with pytest.raises(OverBudget, match="0.018 USD are spent or under way"):
        job.reserve("fal/x:another", PRICE)
    job.sending(WORK)
    job.submitted(WORK, TICKET)
    result = matte(levels(255)) if error is None else Failure(error, "req-1")
    job.settled(WORK, Outcome(0, result))
    job.close()
    assert day_of(records) == (spent, under_way)
    if under_way == "0":
        return
    records.journal.forget(WORK)  # the user gives it up: it may have been billed all the same
    assert day_of(records) == ("0.018", "0")


def test_a_resumed_job_is_counted_once(tmp_path: Path) -> None:
    first = open_records(tmp_path, 10_000_000)
    job = job_of(first)
    job.reserve(WORK, PRICE)
    job.sending(WORK)
    job.submitted(WORK, TICKET)
    job.close()
    first.close()
    second = open_records(tmp_path, 10_000_000)
    again = job_of(second, Budget(Decimal("0.018")))
    assert again.known(WORK) == TICKET
    again.settled(WORK, Outcome(0, matte(levels(255))))
    assert day_of(second) == ("0.018", "0")
    second.close()


def test_a_lost_job_that_is_paid_again_counts_twice(records: Records) -> None:
    job = job_of(records)
    job.reserve(WORK, PRICE)
    job.sending(WORK)
    job.submitted(WORK, Ticket(TICKET.backend, None))
    job.close()
    again = job_of(records)
    assert again.known(WORK) is not None
    again.reserve(WORK, PRICE)
    again.sending(WORK)
    assert day_of(records) == ("0.018", "0.018")


def test_what_was_not_sent_is_free(records: Records) -> None:
    job = job_of(records, None, max_cost=Decimal("0.036"))
    job.reserve(WORK, PRICE)
    job.settled(WORK, Outcome(0, Failure(BackendFailed("the file is too large."))))
    job.reserve("fal/x:another", PRICE)
    job.reserve(WORK, PRICE)  # within max_cost again
    job.settled("fal/x:another", Outcome(1, Failure(BackendFailed("it was moved."))))
    job.close()
    assert day_of(records) == ("0", "0")
    with pytest.raises(BackendFailed, match="the run was stopped"):
        job.sending(WORK)
    assert records.journal.pending() == []
    job.reserve(WORK, PRICE)  # its thread was on its way when the run was stopped
    assert day_of(records) == ("0", "0")


_CRASHES = """
from rmbg_nodes.core.specs import Price
from rmbg_nodes.records.store import open_records
records = open_records(folder, 0)
price = Price(Decimal("0.018"), "USD", "2026", "a test")
for work in ("fal/x:unsent", "fal/x:sent"):
    records.spending.reserve(work, price, __import__("rmbg_nodes").core.money.Budget())
records.journal.sending("fal/x:sent", "fal/x", price, (1, 1))
print("done", flush=True)
time.sleep(60)
"""


def test_after_a_crash_only_what_was_sent_counts(tmp_path: Path) -> None:
    process = start(_CRASHES, tmp_path)
    until_said(process, "done")
    records = open_records(tmp_path, 0)
    both = Budget(Decimal("0.054"))
    assert day_of(records) == ("0", "0.036")  # it lives, and may send the other one, too
    process.kill()
    process.communicate()
    number = records.spending.reserve(WORK, replace(PRICE, amount=Decimal("0.036")), both)
    records.spending.free(number)
    assert day_of(records) == ("0", "0.018")
    records.journal.failed("fal/x:sent")
    assert day_of(records) == ("0", "0")
    records.close()


def test_days_and_months_are_utc_and_begin_anew(tmp_path: Path) -> None:
    now = [datetime(2026, 1, 30, 23, 59, tzinfo=timezone.utc)]
    database = Database(tmp_path)
    spending = Spending(database, clock=lambda: now[0])
    budget = Budget(Decimal("0.018"), Decimal("0.036"))
    spending.reserve("fal/x:1", PRICE, budget)
    with pytest.raises(OverBudget, match="0.018 USD a day"):
        spending.reserve("fal/x:2", PRICE, budget)
    # One minute on, in a time zone where it is long tomorrow.
    now[0] = datetime.fromisoformat("2026-01-31T09:00:00+09:00")
    spending.reserve("fal/x:2", PRICE, budget)
    with pytest.raises(OverBudget, match="0.018 USD a day"):
        spending.reserve("fal/x:3", PRICE, budget)
    with pytest.raises(OverBudget, match="0.036 USD a month.*0.036 USD are spent"):
        spending.reserve("fal/x:3", PRICE, Budget(None, budget.month))
    now[0] = datetime(2026, 2, 1, tzinfo=timezone.utc)
    spending.reserve("fal/x:3", PRICE, budget)
    spent = spending.spent()
    assert (spent.day_under_way, spent.month_under_way) == (PRICE.amount, PRICE.amount)
    database.close()


def test_other_currencies_are_refused_where_there_is_a_limit(records: Records) -> None:
    euros = replace(PRICE, currency="EUR")
    for budget, most in ((Budget(Decimal(5)), None), (None, Decimal(5))):
        run_budget = RunBudget(records.spending, budget, most)
        for refused in (
            lambda: run_budget.reserve(WORK, euros),  # noqa: B023
            lambda: run_budget.afford(euros, 1),  # noqa: B023
        ):
            with pytest.raises(OverBudget, match="The price is in EUR"):
                refused()
    RunBudget(records.spending).reserve(WORK, euros)
    assert day_of(records) == ("0", "0")


def test_a_file_of_the_last_version_goes_on(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:2])
    old = open_records(tmp_path, 0)
    old.journal.sending(WORK, "fal/x", PRICE, SIZE)
    old.close()
    monkeypatch.undo()
    new = open_records(tmp_path, 0)
    new.journal.delivered(WORK)
    assert day_of(new) == ("0", "0")
    new.close()


# ---------------------------------------------------------------- a whole run


def picture(seed: int) -> torch.Tensor:
    return torch.rand((24, 32, 3), generator=torch.Generator().manual_seed(seed))


def inputs(*seeds: int) -> list[Input]:
    return [
        Input(index, f"picture {index}", lambda seed=seed: picture(seed), at_hand=True)  # type: ignore[misc]
        for index, seed in enumerate(seeds)
    ]


def run(
    records: Records,
    provider: FakeProvider,
    given: Iterable[Input],
    budget: str = "",
    max_cost: str | None = None,
) -> list[Done | Failed]:
    return list(
        remove(
            given,
            FakeHosted(provider),
            Finishing(),
            settings=Settings(budget=read_budget(budget)),
            records=records,
            max_cost=None if max_cost is None else Decimal(max_cost),
        )
    )


@pytest.mark.parametrize(
    ("budget", "max_cost", "words"),
    [
        ("0.053/day", None, r"of which 0 USD are spent .* 0.054 USD \(3 x 0.018 USD\)"),
        ("0.053/month", None, "0.053 USD a month"),
        ("5", "0.053", r"cost 0.054 USD \(3 x 0.018 USD\), and max_cost allows 0.053 USD"),
        ("", "0", "max_cost allows 0 USD"),
    ],
)
def test_a_run_that_would_pass_a_limit_sends_nothing(
    records: Records, budget: str, max_cost: str | None, words: str
) -> None:
    provider = FakeProvider()
    with pytest.raises(OverBudget, match=f"{words}.*Nothing was sent"):
        run(records, provider, inputs(1, 2, 3), budget, max_cost)
    assert provider.billed == []
    assert day_of(records) == ("0", "0")
    assert len(run(records, provider, inputs(1, 2, 3), "0.054/day", "0.054")) == 3
    assert day_of(records) == ("0.054", "0")


def test_what_is_cached_or_a_copy_costs_nothing(records: Records) -> None:
    provider = FakeProvider()
    run(records, provider, inputs(1, 2))
    results = run(records, provider, inputs(1, 2, 3), "0.054/day", "0.018")
    assert len(provider.billed) == 3
    said = render([result.report for result in results if isinstance(result, Done)])
    assert said.startswith(
        "Estimate: fake/hosted: 3 pictures, 2 paid for earlier, up to 1 x 0.018 USD = 0.018 USD"
    )
    assert said.count("Estimate:") == 1
    assert len(run(records, provider, inputs(1, 2, 3), "0/day", "0")) == 3
    assert day_of(records) == ("0.054", "0")


def test_without_knowing_the_pictures_what_fits_is_delivered(records: Records) -> None:
    """Pictures that come one by one: the refusal comes when the money is used up."""
    provider = FakeProvider()
    results = remove(
        iter(inputs(1, 2, 3, 4)),
        FakeHosted(provider),
        Finishing(),
        settings=Settings(),
        records=records,
        max_cost=Decimal("0.04"),
    )
    delivered: list[Done | Failed] = []
    with pytest.raises(OverBudget, match="bring this run to 0.054 USD"):
        delivered.extend(results)
    assert len(delivered) == len(provider.billed) == 2
    assert day_of(records) == ("0.036", "0")


def test_the_estimate_is_in_the_log(records: Records, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "rmbg_nodes.hosted"):
        run(records, FakeProvider(), inputs(1, 2))
    assert "fake/hosted: up to 2 x 0.018 USD = 0.036 USD" in caplog.text


def test_a_picture_is_not_read_twice_for_an_estimate_that_fits(records: Records) -> None:
    reads: list[int] = []

    def load(seed: int) -> torch.Tensor:
        reads.append(seed)
        return picture(seed)

    given = [Input(seed, f"file {seed}", lambda seed=seed: load(seed)) for seed in (1, 2)]  # type: ignore[misc]
    run(records, FakeProvider(), given, "5/day")
    assert reads == [1, 2]
    run(records, FakeProvider(), given, "0.04/day")  # 0.036 are spent: only the cache can help
    assert reads == [1, 2, 1, 2, 1, 2]


def test_nothing_of_the_cache_is_counted_for_an_estimate(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold tens of thousands of files."""
    provider = FakeProvider()
    run(records, provider, inputs(1))
    monkeypatch.setattr(ResultCache, "info", None)
    (result,) = run(records, provider, inputs(1))
    assert isinstance(result, Done)
    assert "1 paid for earlier" in str(result.report.estimate)


def test_a_run_that_may_pay_again_is_estimated_so(records: Records) -> None:
    """With `resubmit` a result that has expired is paid for a second time."""
    backend = FakeHosted(FakeProvider())
    (given,) = inputs(1)
    work = str(backend.work(Frame(0, picture(1), "picture")))
    records.journal.sending(work, "fake/hosted", PRICE, SIZE)
    records.journal.submitted(work, TICKET)
    for resubmit, paid in ((False, 0), (True, 1)):
        lent = OpenBackend(backend, None, {"resubmit": resubmit})
        expected = look([given], lent, records)
        assert expected is not None
        assert expected.paid == paid


def test_without_a_disk_nothing_is_sent(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("no folder")
    records = open_records(tmp_path / "records", 0)
    provider = FakeProvider()
    (result,) = run(records, provider, inputs(1))
    assert isinstance(result, Failed)
    assert "was not sent" in str(result.failure.error)
    with pytest.raises(OverBudget, match="cannot be looked up .* RMBG_DATA"):
        run(records, provider, inputs(2), "5/day")
    assert provider.billed == []
    records.close()


def test_a_spending_that_cannot_be_written_is_told(records: Records) -> None:
    with records.receipts._database.changing() as connection:
        connection.execute("DROP TABLE reservations")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        RunBudget(records.spending).reserve(WORK, FAKE_PRICE)
    limited = RunBudget(records.spending, Budget(Decimal(5)))
    for refused in (lambda: limited.reserve(WORK, PRICE), lambda: limited.afford(PRICE, 1)):
        with pytest.raises(OverBudget, match="no such table"):
            refused()
    assert FAKE_HOSTED.price == FAKE_PRICE


def test_max_cost_in_python() -> None:
    provider = FakeProvider()
    images = torch.stack([picture(1), picture(2)])
    with pytest.raises(OverBudget, match="max_cost allows 0.03 USD"):
        remove_background(images, FakeHosted(provider), max_cost=0.03)
    with pytest.raises(OverBudget, match="max_cost allows 0 USD"):
        asyncio.run(remove_background_async(images, FakeHosted(provider), max_cost=0))
    with pytest.raises(BadOption, match="-1 is no amount of money"):
        remove_background(images, FakeHosted(provider), max_cost=-1)
    assert provider.billed == []
    remove_background(images, FakeHosted(provider), max_cost=Decimal("0.036"))
    assert len(provider.billed) == 2
    remove_background(images, FakeHosted(provider), max_cost=0)
