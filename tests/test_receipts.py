"""Receipts: a chain in which nothing can be changed unnoticed, written for every picture."""

# Pins the inside of records.chain
# Pins the inside of records.opening
# Pins the inside of records.receipts
# Pins the inside of records.schema

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.core.report import JsonValue
from rmbg_nodes.records import receipts as receipts_module
from rmbg_nodes.records import schema
from rmbg_nodes.records.chain import NONE_BEFORE, sha256
from rmbg_nodes.records.opening import FILE
from rmbg_nodes.records.receipts import Receipts
from rmbg_nodes.records.store import Records, open_records
from rmbg_nodes.tests.support.records import BACKEND, PRICE, SIZE, TICKET, WORK, start, until_said

TEXT = '{"name":"a licence"}'


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records(tmp_path, 0)
    yield opened
    opened.close()


@pytest.fixture
def receipts(records: Records) -> Receipts:
    return records.receipts


def content(number: int = 0) -> dict[str, JsonValue]:
    return {
        "backend": "keyer",
        "image": {"sha256": f"{number:064x}", "sha256_16": None},
        "mask": {"sha256": f"{number + 10_000:064x}", "sha256_16": f"{number + 20_000:064x}"},
        "input": {"sha256": f"{number + 30_000:064x}"},
        "licence": {"text_sha256": sha256(TEXT)},
    }


def fill(receipts: Receipts, count: int) -> list[str]:
    return [receipts.add(content(number), TEXT).hash for number in range(count)]


def change(folder: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(folder / FILE)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_each_carries_the_hash_of_the_one_before(receipts: Receipts) -> None:
    assert receipts.head() == (0, NONE_BEFORE)
    hashes = fill(receipts, 3)
    said = [receipt.data() for receipt in receipts.each()]
    assert [one["previous"] for one in said] == [NONE_BEFORE, *hashes[:2]]
    assert [one["number"] for one in said] == [1, 2, 3]
    assert all(str(one["time"]).endswith("+00:00") for one in said)
    assert receipts.head() == (3, hashes[-1])
    verdict = receipts.verify()
    assert (verdict.count, verdict.head, verdict.fault) == (3, hashes[-1], None)


def test_they_are_read_in_pages(receipts: Receipts, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = fill(receipts, 3)
    monkeypatch.setattr(receipts_module, "_PAGE", 2)
    assert [one.hash for one in receipts.each()] == hashes
    assert [one.hash for one in receipts.each(newest_first=True)] == hashes[::-1]


@pytest.mark.parametrize(
    ("statement", "fault", "in_order"),
    [
        (
            "UPDATE receipts SET body = replace(body, 'keyer', 'Keyer') WHERE number = 4",
            "Receipt 4 was changed.",
            3,
        ),
        ("UPDATE receipts SET hash = 'x' || hash WHERE number = 1", "Receipt 1 was changed.", 0),
        ("DELETE FROM receipts WHERE number = 4", "Receipt 4 is missing.", 3),
        ("DELETE FROM receipts WHERE number < 4", "Receipts 1 to 3 are missing.", 0),
        ("DELETE FROM receipts WHERE number = 1", "Receipt 1 is missing.", 0),
        (
            "UPDATE receipts SET number = -5 WHERE number = 4",
            "Receipt -5 is not in its place: it was written as another number.",
            0,
        ),
        ("UPDATE receipts SET number = 99 WHERE number = 4", "Receipt 4 is missing.", 3),
        (
            "UPDATE licence_texts SET text = 'free for all'",
            "The licence text of receipt 1 was changed or removed.",
            0,
        ),
        ("DELETE FROM licence_texts", "The licence text of receipt 1 was changed or removed.", 0),
    ],
)
def test_the_first_bad_row_is_named(
    receipts: Receipts, tmp_path: Path, statement: str, fault: str, in_order: int
) -> None:
    fill(receipts, 10)
    change(tmp_path, statement)
    verdict = receipts.verify()
    assert (verdict.fault, verdict.count) == (fault, in_order)


def test_two_that_changed_places(receipts: Receipts, tmp_path: Path) -> None:
    fill(receipts, 6)
    for old, new in ((3, 100), (4, 3), (100, 4)):
        change(tmp_path, "UPDATE receipts SET number = ? WHERE number = ?", new, old)
    assert receipts.verify().fault == (
        "Receipt 3 is not in its place: it was written as another number."
    )


def test_a_row_that_was_forged_with_its_hash(receipts: Receipts, tmp_path: Path) -> None:
    fill(receipts, 4)
    body = list(receipts.each())[1].body.replace("keyer", "local")
    change(tmp_path, "UPDATE receipts SET body = ?, hash = ? WHERE number = 2", body, sha256(body))
    verdict = receipts.verify()
    assert verdict.fault == "Receipt 3 does not follow on the one before: one was replaced."
    nonsense = "not even JSON"
    change(
        tmp_path,
        "UPDATE receipts SET body = ?, hash = ? WHERE number = 2",
        nonsense,
        sha256(nonsense),
    )
    assert receipts.verify().fault == "Receipt 2 was replaced by something else."
    assert receipts.matching(f"{1:064x}") == []


def test_a_cut_off_end_shows_against_an_earlier_head(receipts: Receipts, tmp_path: Path) -> None:
    hashes = fill(receipts, 5)
    for head in (hashes[4], hashes[2], f"R-{hashes[4][:12]}", NONE_BEFORE):
        assert receipts.verify(head).fault is None
    change(tmp_path, "DELETE FROM receipts WHERE number > 3")
    assert receipts.verify().fault is None  # the rest is a chain
    assert "cut off" in str(receipts.verify(hashes[4]).fault)
    assert receipts.verify(hashes[2]).fault is None
    for no_head in ("", "R-1", "hello hello hello"):
        with pytest.raises(ValueError, match="no receipt's id or hash"):
            receipts.verify(no_head)


def test_found_by_id_and_by_pixels(receipts: Receipts) -> None:
    hashes = fill(receipts, 20)
    (found,) = receipts.find(f"R-{hashes[7][:12]}")
    assert found.hash == hashes[7]
    assert receipts.find(hashes[7]) == [found]
    assert receipts.find("R-" + "0" * 12) == []
    for of_a_result in (7, 10_007, 20_007):
        assert receipts.matching(f"{of_a_result:064x}") == [found]
    assert receipts.matching(f"{30_007:064x}") == []  # the picture that came in is no result
    assert receipts.matching("keyer") == []
    assert receipts.matching("") == []


def test_a_file_of_the_version_before_keeps_its_open_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
    before = open_records(tmp_path, 0)
    before.journal.sending(WORK, BACKEND, PRICE, SIZE)
    before.close()
    change(
        tmp_path,
        "UPDATE jobs SET state = 'submitted', request_id = ?, urls = ?",
        TICKET.request_id,
        json.dumps(dict(TICKET.urls)),
    )
    monkeypatch.undo()
    after = open_records(tmp_path, 0)
    assert after.journal.warnings == []
    assert after.journal.known(WORK) == TICKET
    assert after.receipts.add(content(), TEXT).number == 1
    after.close()


def test_in_memory_they_do_not_last(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = open_records(tmp_path / "file" / "records", 0)
    assert not nowhere.receipts.lasting
    nowhere.close()


WRITE = """
from rmbg_nodes.records.chain import sha256
from rmbg_nodes.records.store import open_records
records = open_records(folder, 0)
print("ready", flush=True)
count = int(sys.stdin.readline())
for number in range(count):
    said = {"writer": os.getpid(), "n": number, "licence": {"text_sha256": sha256("text")}}
    records.receipts.add(said, "text")
records.close()
"""


def write_in_processes(folder: Path, processes: int, each: int) -> None:
    writers = [start(WRITE, folder) for _ in range(processes)]
    for writer in writers:
        until_said(writer, "ready")
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(f"{each}\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=500)[1] for writer in writers] == [""] * processes
    records = open_records(folder, 0)
    verdict = records.receipts.verify()
    assert (verdict.count, verdict.fault) == (processes * each, None)
    written: dict[object, list[object]] = {}
    for receipt in records.receipts.each():
        said = receipt.data()
        written.setdefault(said["writer"], []).append(said["n"])
    assert list(written.values()) == [list(range(each))] * processes
    records.close()


def test_eight_processes_lose_none(tmp_path: Path) -> None:
    write_in_processes(tmp_path, 8, 50)


@pytest.mark.soak
def test_eight_processes_of_a_thousand_lose_none(tmp_path: Path) -> None:
    write_in_processes(tmp_path, 8, 1000)


def test_a_process_killed_at_any_moment_leaves_a_chain(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("SIGKILL")
    with start(WRITE, tmp_path) as writer:
        until_said(writer, "ready")
        assert writer.stdin is not None
        writer.stdin.write("1000000\n")
        writer.stdin.flush()
        records = open_records(tmp_path, 0)
        while records.receipts.head()[0] < 100:
            pass
        writer.kill()
        writer.wait()
    assert records.receipts.verify().fault is None
    number = records.receipts.head()[0]
    assert records.receipts.add(content(), TEXT).number == number + 1
    records.close()


def test_a_fork_goes_on_with_the_chain(tmp_path: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("fork")
    code = """
from rmbg_nodes.records.chain import sha256
from rmbg_nodes.records.store import open_records
records = open_records(folder, 0)
said = {"licence": {"text_sha256": sha256("text")}}
records.receipts.add(said, "text")
if os.fork() == 0:
    records.receipts.add(said, "text")
    os._exit(0)
os.wait()
records.receipts.add(said, "text")
print(json.dumps([records.receipts.verify().count, records.receipts.verify().fault]))
"""
    with start("import json\n" + code, tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert json.loads(out) == [3, None], err


def test_torch_is_not_waited_for(tmp_path: Path) -> None:
    code = "import rmbg_nodes.records.receipts\nprint('torch' in sys.modules)"
    with start(code, tmp_path) as process:
        assert process.communicate(timeout=60)[0].strip() == "False"
