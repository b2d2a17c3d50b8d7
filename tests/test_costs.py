"""`rmbg costs N`, and what `rmbg remove` says of money."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes import cli
from rmbg_nodes.backends.catalogue import BACKENDS
from rmbg_nodes.commands import costs
from rmbg_nodes.commands.costs import Own
from rmbg_nodes.tests.support.hosted.opening import loopback
from rmbg_nodes.tests.support.hosted.server import HostedServer

HOSTED = [row.id for row in BACKENDS.values() if row.price]


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    with loopback(monkeypatch, "fal") as server:
        yield server
        assert server.complaints == []


@pytest.fixture
def shots(tmp_path: Path) -> list[str]:
    """Three files, of which two show the same."""
    paths = [tmp_path / f"shot{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        level = 90 if number else 200
        Image.fromarray(np.full((32, 40, 3), level, dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def main(*arguments: str) -> int:
    return cli.main(arguments)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main("costs", *arguments) == 0
    return capsys.readouterr().out


def test_every_provider_with_date_source_and_doubt(capsys) -> None:
    text = said(capsys, "1000")
    for row in BACKENDS.values():
        assert (row.id in text) is (row.price is not None)
        if row.price:
            assert f"{row.price.source}" in text
    assert "18 USD" in text
    (doubt,) = [line for line in text.splitlines() if line.startswith("Unverified")]
    assert sorted(name for name in HOSTED if name in doubt) == [
        "bria/rmbg-2.0",
        "fal/rmbg-3.0",
        "replicate/rmbg-2.0",
    ]
    assert "Spent today (UTC): 0 USD." in text


def test_the_users_own_prices_come_first_and_are_not_doubted(capsys, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_PRICES", "replicate/rmbg-2.0=0.01")
    data = json.loads(said(capsys, "7", "--json"))
    first = data["providers"][0]
    assert (first["backend"], first["total"], first["verified"]) == (
        "replicate/rmbg-2.0",
        "0.07",
        True,
    )
    assert [row["total"] for row in data["providers"][1:]] == ["0.126"] * 3
    assert data["own_machine"] is None
    assert data["spent"]["budget_a_day"] is None


def test_the_crossover_with_a_machine_of_ones_own(capsys) -> None:
    text = said(capsys, "3600", "--gpu-usd-per-hour", "1.80", "--pictures-per-second", "0.5")
    assert "3600 pictures take 2 hours and cost 3.6 USD; 0.001 USD each" in text
    assert (
        "against fal/rmbg-2.0: it is 61.2 USD cheaper for these; rented all the time it pays"
        " from 100 pictures an hour on" in text
    )
    assert "needs BRIA's" in text
    data = json.loads(
        said(capsys, "10", "--gpu-usd-per-hour", "36", "--pictures-per-second", "0.5", "--json")
    )
    own = data["own_machine"]
    assert own["price"] == "0.02"
    assert own["cheaper_from_pictures_an_hour"]["fal/rmbg-2.0"] is None
    text = said(capsys, "10", "--gpu-usd-per-hour", "36", "--pictures-per-second", "0.5")
    assert "it is 0.02 USD dearer for these, and never pays if always rented" in text


def test_the_formula() -> None:
    own = Own(100, Decimal("2"), Decimal("4"))
    assert own.each * 100 == own.total
    price = BACKENDS["fal/rmbg-2.0"].price
    assert price is not None
    an_hour = own.crossover(price)
    assert an_hour is not None
    assert an_hour * price.amount == own.usd_an_hour


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--gpu-usd-per-hour", "1"), "Give both"),
        (("--gpu-usd-per-hour", "one", "--pictures-per-second", "1"), "no amount"),
        (("--gpu-usd-per-hour", "1", "--pictures-per-second", "0"), "above 0"),
    ],
)
def test_half_of_it_is_refused(capsys, arguments: tuple[str, ...], words: str) -> None:
    assert main("costs", "10", *arguments) == 2
    assert words in capsys.readouterr().err


def test_no_number_of_pictures(capsys) -> None:
    with pytest.raises(SystemExit):
        main("costs", "-3")
    assert "costs" in capsys.readouterr().err
    assert costs._count("0") == 0


def test_what_was_spent_against_the_budget(fal, shots, tmp_path, capsys, monkeypatch) -> None:
    assert main("remove", *shots, "-o", f"{tmp_path}/out/", "--backend", "fal") == 0
    assert fal.bills == 2  # the third is a copy
    assert "up to 3 x 0.018 USD = 0.054 USD" in capsys.readouterr().err
    monkeypatch.setenv("RMBG_BUDGET_USD", "0.04/day,1/month")
    text = said(capsys, "1")
    assert "Spent today (UTC): 0.036 USD of 0.04 USD (RMBG_BUDGET_USD)." in text
    assert "Spent this month (UTC): 0.036 USD of 1 USD (RMBG_BUDGET_USD)." in text
    data = json.loads(said(capsys, "1", "--json"))
    assert data["spent"]["today"] == "0.036"
    assert data["spent"]["budget_a_month"] == "1"


def test_spending_that_is_not_known_is_not_called_nothing(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    (tmp_path / "records").touch()
    assert main("costs", "1") == 0
    told = capsys.readouterr()
    assert "Spent" not in told.out
    assert "cannot be kept in" in told.err


def test_max_cost_counts_copies_and_refuses_before_anything_is_sent(
    fal, shots, tmp_path, capsys
) -> None:
    arguments = ("remove", *shots, "-o", f"{tmp_path}/out/", "--backend", "fal")
    assert main(*arguments, "--max-cost", "0.035") == 2
    assert "cost 0.036 USD (2 x 0.018 USD), and max_cost allows 0.035" in capsys.readouterr().err
    assert main(*arguments, "--dry-run", "--max-cost", "0.035") == 0
    told = capsys.readouterr()
    assert "1 of them not to be sent: copies, or unreadable." in told.out
    assert "Cost: up to 2 x 0.018 USD = 0.036 USD. Nothing was done." in told.out
    assert "It would be refused. This run would cost 0.036 USD" in told.err
    assert fal.requests == []
    assert main(*arguments, "--max-cost", "0.036") == 0
    assert fal.bills == 2
    assert main(*arguments, "--max-cost", "a lot") == 2
    assert "'a lot' is no amount of money" in capsys.readouterr().err


def test_the_budget_holds_on_the_command_line(fal, shots, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_BUDGET_USD", "0.03")
    arguments = ("--backend", "fal", "-o", f"{tmp_path}/out/")
    assert main("remove", *shots, *arguments) == 2
    assert "The budget is 0.03 USD a day (RMBG_BUDGET_USD)" in capsys.readouterr().err
    assert fal.requests == []
    assert main("remove", shots[0], *arguments) == 0
    assert main("remove", shots[1], *arguments) == 2
    assert "of which 0.018 USD are spent" in capsys.readouterr().err
    assert fal.bills == 1
    assert main("remove", shots[0], *arguments) == 0  # from the cache
