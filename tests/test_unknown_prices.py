"""A price that nobody has stated is unknown, never 0, and no limit on money lets it pass."""

# Pins the inside of batch.ray.ray_pages
# Pins the inside of batch.result
# Pins the inside of core.money
# Pins the inside of records.run_budget

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes import cli
from rmbg_nodes.batch import Recipe, run
from rmbg_nodes.batch.preview import preview
from rmbg_nodes.batch.ray.ray_pages import read_results, write_results
from rmbg_nodes.batch.result import Landed
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import OverBudget
from rmbg_nodes.core.money import Budget, added
from rmbg_nodes.core.specs import UNKNOWN, Price
from rmbg_nodes.pipeline.context import open_user_records
from rmbg_nodes.pipeline.readiness import readiness
from rmbg_nodes.records.run_budget import RunBudget
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.opening import loopback, words_for
from rmbg_nodes.tests.support.hosted.server import HostedServer

ID = "fal/rmbg-guided"
UNSTATED = Price(None, "USD", "2026", "a test", "unknown")
LIMITS = [
    (("--max-cost", "5"), {}),
    (("--max-cost", "0"), {}),
    ((), {"RMBG_BUDGET_USD": "5/day"}),
    ((), {"RMBG_BUDGET_USD": "100/month"}),
]


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    with loopback(monkeypatch, "fal") as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def shots(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"shot{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((24, 32, 3), 90 + number, dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def remove(shots: list[str], tmp_path: Path, *more: str) -> int:
    words = words_for(ID)["prompt"]
    line = ("remove", *shots, "-o", f"{tmp_path}/out/", "--backend", ID, "--allow-empty")
    return cli.main([*line, "--prompt", str(words), *more])


def test_some_price_is_unknown() -> None:
    price = BACKENDS[ID].price
    assert price is not None
    assert (price.amount, str(price)) == (None, UNKNOWN)


def test_reports_estimates_and_receipts_say_so(fal, shots, tmp_path, capsys) -> None:
    assert remove(shots, tmp_path, "--dry-run") == 0
    assert "Cost: unknown. Nothing was done." in capsys.readouterr().out
    assert remove(shots, tmp_path, "--dry-run", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["cost_at_most"] for row in rows] == [UNKNOWN, UNKNOWN]
    assert fal.requests == []
    assert remove(shots, tmp_path, "--json") == 0
    said = capsys.readouterr()
    rows = [json.loads(line)["report"] for line in said.out.splitlines()]
    assert [row["cost"] for row in rows] == [UNKNOWN, UNKNOWN]
    assert f"{ID}: cost unknown: " in said.err
    assert "2 delivered. Cost: unknown." in said.err
    assert cli.main(["receipts", "summary", "--by", "backend"]) == 0
    assert f"2 x {UNKNOWN}" in capsys.readouterr().out
    records = open_user_records()
    assert {str(receipt.data()["cost"]) for receipt in records.receipts.each()} == {UNKNOWN}
    # What was paid for earlier costs nothing, and that is known.
    assert remove(shots, tmp_path) == 0
    assert "2 delivered, 2 of them for nothing. Cost: 0 USD." in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "variables"), LIMITS)
def test_a_limit_refuses_it_before_anything_is_sent(
    fal, shots, tmp_path, capsys, monkeypatch, arguments, variables
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert remove(shots, tmp_path, *arguments) == 2
    said = capsys.readouterr().err
    assert "What a picture costs is not known" in said
    assert "RMBG_PRICES" in said
    assert remove(shots, tmp_path, "--dry-run", *arguments) == 2
    assert "It would be refused. What a picture costs is not known" in capsys.readouterr().err
    assert fal.requests == []
    # One's own price makes it one like any other.
    monkeypatch.setenv("RMBG_PRICES", f"{ID}=0.03")
    allowed = not arguments or arguments[1] != "0"
    assert remove(shots, tmp_path, *arguments) == (0 if allowed else 2)
    assert fal.bills == (2 if allowed else 0)
    assert ("Cost: 0.06 USD." in capsys.readouterr().err) is allowed


def test_kept_results_pass_any_limit(fal, shots, tmp_path) -> None:
    assert remove(shots, tmp_path) == 0
    assert remove(shots, tmp_path, "--max-cost", "0") == 0
    assert fal.bills == 2


@pytest.mark.parametrize(
    ("budget", "max_cost"), [(Budget(day=Decimal(9)), None), (None, Decimal(9))]
)
def test_one_picture_after_the_other_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: Budget | None, max_cost: Decimal | None
) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    spending = open_user_records().spending
    with pytest.raises(OverBudget, match="not known"):
        RunBudget(spending, budget, max_cost).reserve(f"{ID}:a", UNSTATED)
    assert spending.spent().day_unpriced == 0


def test_costs_names_it_last_and_counts_it_apart(fal, shots, tmp_path, capsys) -> None:
    assert remove(shots, tmp_path, "--max-megapixels", "1") == 0
    assert (
        cli.main(["remove", *shots, "-o", f"{tmp_path}/b/", "--backend", "fal", "--allow-empty"])
        == 0
    )
    capsys.readouterr()
    assert cli.main(["costs", "1000", "--gpu-usd-per-hour", "1", "--pictures-per-second", "1"]) == 0
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines() if "/rmbg-" in line and "unknown" in line]
    unstated = [row.id for row in BACKENDS.values() if row.price and row.price.amount is None]
    assert [row[:3] for row in rows] == [[id, UNKNOWN, UNKNOWN] for id in unstated]
    assert f"Stated by nobody: {', '.join(unstated)}." in text
    assert not [line for line in text.splitlines() if "against" in line and "guided" in line]
    spent = "0.036 USD, and 2 pictures whose price is unknown."
    assert f"Spent today (UTC): {spent}" in text
    assert f"Spent this month (UTC): {spent}" in text
    assert cli.main(["costs", "1000", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    (row,) = [row for row in data["providers"] if row["backend"] == ID]
    assert (row["total"], row["price"], row["verified"]) == (UNKNOWN, UNKNOWN, False)
    assert data["spent"]["today"] == "0.036"
    assert data["spent"]["today_unpriced"] == data["spent"]["this_month_unpriced"] == 2


def test_a_failed_picture_is_not_counted(fal, shots, tmp_path) -> None:
    fal.plan(Fault("submit", 422, times=9))
    assert remove(shots[:1], tmp_path) == 1
    assert open_user_records().spending.spent().day_unpriced == 0


def test_what_is_still_open_has_no_known_price(fal, shots, tmp_path, capsys) -> None:
    fal.plan(Fault("status", "unknown state", times=99))
    assert remove(shots[:1], tmp_path) == 1
    assert open_user_records().spending.spent().day_unpriced == 1
    capsys.readouterr()
    assert cli.main(["pending"]) == 0
    assert "not known" in capsys.readouterr().out


def test_the_node_is_told(fal: HostedServer) -> None:
    def ask(settings: Settings) -> tuple[str, str]:
        found = readiness(ID, words_for(ID), "commercial", PlainHost(), settings=settings)
        return found.state, found.words

    state, words = ask(Settings())
    assert state == "ready"
    assert "price unknown; no budget is set" in words
    state, words = ask(Settings(budget=Budget(day=Decimal(9))))
    assert state == "budget"
    assert "price unknown, and no budget can be kept to; set what you pay with RMBG_PRICES" in words


def test_a_batch_says_so(fal, shots, tmp_path) -> None:
    recipe = Recipe(backend=ID, options=words_for(ID))
    outlook = preview(shots, tmp_path / "out", recipe)
    assert outlook.data()["cost_at_most"] == UNKNOWN
    assert "Cost: unknown. Nothing was done." in outlook.text()
    limited = Recipe(backend=ID, options=words_for(ID), max_cost=Decimal(1))
    assert "not known" in preview(shots, tmp_path / "out", limited).refusal
    with pytest.raises(OverBudget, match="not known"):
        run(shots, tmp_path / "out", limited)
    assert fal.requests == []
    summary = run(shots, tmp_path / "out", recipe)
    assert (summary.complete, summary.cost, summary.data()["cost"]) == (True, None, UNKNOWN)
    assert "unknown" in summary.text()
    assert fal.bills == 2


def test_it_travels_between_processes() -> None:
    ends = [Landed("a", cost=None), Landed("b", cost=Decimal("0.018"))]
    sent = list(read_results(write_results(ends)))
    assert sent == ends


def test_what_is_known_and_what_is_not_add_up_to_what_is_not() -> None:
    assert added(Decimal(1), Decimal(2)) == 3
    assert added(Decimal(1), None) is None
    assert added(None, Decimal(0)) is None
