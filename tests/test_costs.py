"""`rmbg costs N`, and what `rmbg remove` says of money."""

# Pins the inside of backends.hosted.prices
# Pins the inside of cli.costs_command

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes import cli
from rmbg_nodes.backends.hosted.prices import has_price_list, remembered_quote
from rmbg_nodes.catalogue.backends import BACKENDS
from rmbg_nodes.cli import costs_command
from rmbg_nodes.cli.costs_command import Own
from rmbg_nodes.core.specs import UNKNOWN
from rmbg_nodes.tests.conformance import money
from rmbg_nodes.tests.support.hosted.faults import Fault
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
        "comfy/rmbg-2.0",
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
    totals = {row["backend"]: row["total"] for row in data["providers"][1:]}
    priced = {row.id: row.price.amount for row in BACKENDS.values() if row.price}
    stated = {id: amount for id, amount in priced.items() if amount is not None}
    assert totals == {
        **{id: UNKNOWN for id in priced.keys() - stated.keys()},
        **{id: str(7 * stated[id]) for id in stated if id != "replicate/rmbg-2.0"},
    }
    assert totals["fal/rmbg-2.0"] == "0.126"
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
    assert an_hour * money(price) == own.usd_an_hour


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
    assert costs_command._count("0") == 0


def test_what_was_spent_against_the_budget(fal, shots, tmp_path, capsys, monkeypatch) -> None:
    arguments = ("remove", *shots, "-o", f"{tmp_path}/out/", "--backend", "fal")
    assert main(*arguments, "--allow-empty") == 0
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
    arguments = ("remove", *shots, "-o", f"{tmp_path}/out/", "--backend", "fal", "--allow-empty")
    assert main(*arguments, "--max-cost", "0.035") == 2
    assert "cost 0.036 USD (2 x 0.018 USD), and max_cost allows 0.035" in capsys.readouterr().err
    assert main(*arguments, "--dry-run", "--max-cost", "0.035") == 2
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


def test_live_prices_are_asked_for_once_a_day(fal, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    data = json.loads(said(capsys, "100", "--live", "--json"))
    rows = {row["backend"]: row for row in data["providers"]}
    for name in ("fal/rmbg-2.0", "fal/rmbg-3.0", "fal/rmbg-guided"):
        assert (rows[name]["total"], rows[name]["origin"]) == ("1.75", "live")
        assert rows[name]["verified"] is True
        assert data["live"][name]["unit"] == "images"
    assert rows["bria/rmbg-2.0"]["origin"] == "reseller"
    paths = [request.path for request in fal.requests]
    assert sorted(paths) == [
        f"/api/v1/models/pricing?endpoint_id={name}"
        for name in (
            *("bria%2Fguided-remove-background", "bria%2Frmbg-3"),
            "fal-ai%2Fbria%2Fbackground%2Fremove",
        )
    ]
    kept = (tmp_path / "prices.json").read_text(encoding="utf-8")
    assert fal.key not in kept
    monkeypatch.setenv("RMBG_OFFLINE", "1")  # what is remembered needs no network
    text = said(capsys, "100", "--live")
    assert text.count("read live") == 3
    assert len(fal.requests) == 3
    yesterday = (datetime.now(timezone.utc) - timedelta(hours=25)).isoformat()
    aged = {name: {**line, "read": yesterday} for name, line in json.loads(kept).items()}
    (tmp_path / "prices.json").write_text(json.dumps(aged), encoding="utf-8")
    assert main("costs", "1", "--live") == 2
    assert "RMBG_OFFLINE" in capsys.readouterr().err
    monkeypatch.delenv("RMBG_OFFLINE")
    said(capsys, "1", "--live")
    assert len(fal.requests) == 6


@pytest.mark.parametrize(
    ("line", "told", "each"),
    [
        ({"unit_price": 0.02, "unit": "processed_image"}, "", "0.02 USD"),
        ({"unit_price": "0.02", "unit": "per generation", "currency": "usd"}, "", "0.02 USD"),
        ({"unit_price": 0.02, "unit": "image", "currency": "EUR"}, "", "0.02 EUR"),
        ({"unit_price": 0.001, "unit": "megapixels"}, "0.001 USD per megapixels", "0.018 USD"),
        ({"unit_price": 0.00111, "unit": "compute second"}, "per compute second", "0.018 USD"),
        ({"unit_price": 18, "unit": "1000 images"}, "18 USD per 1000 images", "0.018 USD"),
        ({"unit_price": 0.02}, "per unnamed unit", "0.018 USD"),
    ],
)
def test_only_what_is_a_price_of_a_picture_counts_as_one(
    fal, capsys, tmp_path, monkeypatch, line: dict[str, object], told: str, each: str
) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    monkeypatch.setenv("RMBG_PRICES", "fal/rmbg-3.0=0.5,fal/rmbg-guided=0.5")  # need no asking

    async def twist(step: str, said: dict[str, object]) -> dict[str, object]:
        others = {"endpoint_id": "somebody/else", "unit_price": 9, "unit": "image"}
        return {"prices": [others, {"endpoint_id": "fal-ai/bria/background/remove", **line}]}

    fal.twist = twist
    text = said(capsys, "1", "--live")
    row = next(found for found in text.splitlines() if found.startswith("fal/rmbg-2.0 "))
    assert each in row
    assert ("read live" in row) is (told == "")
    assert told in text
    assert ("no price of a picture" in text) is bool(told)
    data = json.loads(said(capsys, "1", "--live", "--json"))
    assert data["live"]["fal/rmbg-2.0"]["per_picture"] is (told == "")
    assert len(fal.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"prices": []}, "names no price"),
        ({"prices": [{"endpoint_id": "another", "unit_price": 1, "unit": "image"}]}, "no price"),
        ({"prices": [{"unit_price": -1, "unit": "image"}]}, "no amount of money"),
        ({"prices": [{"unit_price": float("nan"), "unit": "image"}]}, "no amount of money"),
        ({"prices": [{"unit_price": True, "unit": "image"}]}, "names no price"),
        ({"prices": "soon"}, "names no price"),
    ],
)
def test_a_price_list_that_says_nothing_changes_nothing(
    fal, capsys, tmp_path, monkeypatch, answer: dict[str, object], words: str
) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))

    async def twist(step: str, said: dict[str, object]) -> dict[str, object]:
        return answer

    fal.twist = twist
    assert main("costs", "1", "--live") == 1
    told = capsys.readouterr()
    assert words in told.err
    assert "0.018 USD" in told.out
    assert not (tmp_path / "prices.json").exists()


def test_live_prices_that_cannot_be_had(fal, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    fal.plan(Fault("prices", 404), Fault("prices", 422), Fault("prices", 404))
    assert main("costs", "1", "--live") == 1
    told = capsys.readouterr()
    assert "answered 404" in told.err
    assert "answered 422" in told.err
    assert "0.018 USD" in told.out
    monkeypatch.setenv("FAL_KEY", "id:wrong-secret-0123456789")
    assert main("costs", "1", "--live") == 2
    told = capsys.readouterr()
    assert "refused the key" in told.err
    assert "wrong-secret" not in told.err + told.out
    monkeypatch.delenv("FAL_KEY")
    assert main("costs", "1", "--live") == 2
    assert "FAL_KEY" in capsys.readouterr().err


def test_a_picture_needs_no_live_price(fal, shots, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RMBG_FAL_API_URL", "http://127.0.0.1:9")
    assert main("remove", shots[0], "-o", f"{tmp_path}/out/", "--backend", "fal") == 0
    assert not any("pricing" in request.path for request in fal.requests)
    assert remembered_quote(BACKENDS["fal/rmbg-2.0"]) is None
    told = [row.id for row in BACKENDS.values() if has_price_list(row)]
    assert told == ["fal/rmbg-2.0", "fal/rmbg-3.0", "fal/rmbg-guided"]
