"""Every picture of every backend leaves a receipt, and none is lost for lack of one."""

# Pins the inside of core.digest
# Pins the inside of records.opening
# Pins the inside of records.receipt_writer

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch

from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.catalogue.licences import LICENCES
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.digest import pixel_digests
from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.core.specs import Option
from rmbg_nodes.core.types import Failure
from rmbg_nodes.pipeline import context
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.gate import OpenBackend
from rmbg_nodes.pipeline.inputs import Failed, Input, load
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.records.opening import FILE
from rmbg_nodes.records.receipt_writer import ReceiptWriter
from rmbg_nodes.records.store import Records, open_records
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.fake_backend import (
    FAKE_HOSTED,
    FAKE_LOCAL,
    FakeHosted,
    FakeLocal,
    FakeProvider,
)

NAME = "/home/user/secret client/shoe.jpg"


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records(tmp_path / "records", 10_000_000)
    yield opened
    opened.close()


def an_input(index: int = 0, alpha: float | None = None, deep: bool = False) -> Input:
    pixels = disc_frame(index, (40, 50)).pixels
    if not deep:
        pixels = (pixels * 255).round() / 255
    if alpha is not None:
        pixels = torch.cat([pixels, torch.full_like(pixels[..., :1], alpha)], dim=-1)
    return Input(index, NAME, lambda: pixels)


def cut(backend, inputs: list[Input], records: Records, **more) -> list[Done | Failed]:
    return list(
        remove(inputs, backend, Finishing(), records=records, **{"settings": Settings()} | more)
    )


def said_by(records: Records) -> list[dict[str, Any]]:
    assert records.receipts.verify().fault is None
    return [receipt.data() for receipt in records.receipts.each()]


def test_what_a_receipt_says(records: Records) -> None:
    source = an_input(alpha=0.8)
    (done,) = cut(FakeLocal(), [source], records)
    assert isinstance(done, Done)
    (said,) = said_by(records)
    assert (said["outcome"], said["backend"], said["model"]) == ("delivered", "fake/local", "fake")
    assert (said["cost"], said["currency"], said["left_machine"]) == ("0", "USD", False)
    assert (said["usage"], said["provider"], said["device"]) == ("non-commercial", None, "cpu")
    assert said["settings"]["decontaminate"] == 1.0
    assert said["settings"]["options"] is None
    assert said["flags"] == done.report.flags
    assert said["warnings"] == [*done.report.warnings]
    for name, pixels in (
        ("input", load(source).image),
        ("image", done.image),
        ("mask", done.mask[..., None]),
    ):
        picture = said[name]
        assert (picture["width"], picture["height"]) == (50, 40)
        assert picture["sha256"] == pixel_digests(pixels).levels8
        assert picture["sha256_16"] is None
    licence = said["licence"]
    assert (licence["id"], licence["name"]) == ("keyer", LICENCES["keyer"].name)
    assert licence["ground"] == done.report.ground
    text = records.receipts.licence_text(licence["text_sha256"])
    assert json.loads(str(text))["attribution"] == LICENCES["keyer"].attribution


def test_the_report_names_it(records: Records) -> None:
    (done,) = cut(FakeLocal(), [an_input()], records)
    assert isinstance(done, Done)
    (receipt,) = records.receipts.find(str(done.report.receipt))
    assert f"Receipt: {receipt.id}.\n" in done.report.text() + "\n"
    assert done.report.data()["receipt"] == receipt.id
    assert records.receipts.matching(pixel_digests(done.image).levels8) == [receipt]


def test_a_deep_input_has_deep_digests(records: Records) -> None:
    (done,) = cut(FakeLocal(), [an_input(deep=True)], records)
    assert isinstance(done, Done)
    (said,) = said_by(records)
    assert said["image"]["sha256_16"] == pixel_digests(done.image, deep=True).levels16
    assert None not in (said["input"]["sha256_16"], said["mask"]["sha256_16"])


def test_paid_pictures_and_those_from_the_cache(records: Records) -> None:
    backend = FakeHosted(FakeProvider())
    for _ in range(2):
        cut(backend, [an_input(0), an_input(1)], records)
    said = said_by(records)
    assert [one["cost"] for one in said] == ["0.018", "0.018", "0", "0"]
    assert [one["left_machine"] for one in said] == [True, True, False, False]
    assert [one["device"] for one in said] == ["hosted", "hosted", "cache", "cache"]
    assert {one["request_id"] for one in said} == {"job-1", "job-2"}
    assert {one["provider"] for one in said} == {"fake"}


def test_failures_have_receipts_without_words_of_the_user(records: Records) -> None:
    def unreadable() -> torch.Tensor:
        raise BadPicture(f"{NAME} is damaged.")

    inputs = [an_input(0), an_input(1), Input(2, NAME, unreadable)]
    results = cut(FakeLocal(failing=[1]), inputs, records)
    assert sorted(type(result).__name__ for result in results) == ["Done", "Failed", "Failed"]
    told = {result.receipt for result in results if isinstance(result, Failed)}
    assert told == {
        receipt.id for receipt in records.receipts.each() if receipt.data()["outcome"] == "failed"
    }
    failed = [one for one in said_by(records) if one["outcome"] == "failed"]
    assert sorted((one["error"], bool(one["input"])) for one in failed) == [
        ("BackendFailed", True),
        ("BadPicture", False),
    ]
    assert {(one["cost"], one["paid"], one["left_machine"]) for one in failed} == {
        ("0", "no", False)
    }


def test_a_lost_answer_may_be_owed(records: Records) -> None:
    frame = disc_frame(0, (40, 50))
    pixels = (frame.pixels * 255).round() / 255
    work = FakeHosted(FakeProvider()).work(replace(frame, pixels=pixels))
    provider = FakeProvider(lose_answers=frozenset([str(work)]))
    cut(FakeHosted(provider), [an_input(0)], records)
    (said,) = said_by(records)
    assert (said["error"], said["paid"], said["cost"]) == ("MayBeBilled", "perhaps", "0")
    assert said["left_machine"] is True


def test_a_hosted_failure_before_the_submit_does_not_guess(records: Records) -> None:
    hosted = FakeHosted(FakeProvider())
    receipt_writer = ReceiptWriter(
        records.receipts, hosted, {}, None, Settings(), ("non-commercial", "because")
    )
    receipt_writer.failed(Failure(BadPicture("too large")), torch.zeros(4, 4, 3))
    receipt_writer.failed(Failure(BadPicture("unreadable")), None)
    assert [one["left_machine"] for one in said_by(records)] == [None, False]


@dataclass
class WithOptions(FakeLocal):
    """What the gate lends, with options of every kind."""

    options: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        free = Option("weights", "", "")
        choice = Option("precision", "auto", "", choices=("auto", "float32"))
        number = Option("resolution", 0, "", limits=(0, 2048, 32))
        super().__init__(replace(FAKE_LOCAL, options=(free, choice, number)))


def test_settings_are_told_and_free_text_is_not(records: Records) -> None:
    secret = "/home/user/secret client/own.safetensors"
    cut(WithOptions({"weights": secret, "precision": "float32"}), [an_input()], records)
    cut(WithOptions(), [an_input()], records)
    first, second = (one["settings"]["options"] for one in said_by(records))
    assert first == {"weights": True, "precision": "float32", "resolution": 0}
    assert second == {"weights": False, "precision": "auto", "resolution": 0}


@pytest.mark.parametrize(
    ("settings", "asked", "accepted_by"),
    [
        (Settings(), None, ["the default usage"]),
        (Settings(), "commercial", ["the usage given"]),
        (Settings(usage="commercial"), "non-commercial", ["RMBG_USAGE"]),
    ],
)
def test_which_setting_decided(records: Records, settings, asked, accepted_by) -> None:
    cut(FakeLocal(), [an_input()], records, settings=settings, usage=asked)
    assert said_by(records)[0]["licence"]["accepted_by"] == accepted_by


def test_an_agreement_is_named(records: Records) -> None:
    spec = replace(FAKE_LOCAL, licence="bria-rmbg-2.0")
    settings = Settings(grants={"bria-rmbg-2.0": "A-77"})
    cut(FakeLocal(spec), [an_input()], records, settings=settings, usage="commercial")
    (said,) = said_by(records)
    assert said["licence"]["accepted_by"] == ["the usage given", "RMBG_BRIA_LICENCE"]
    assert "A-77" in said["licence"]["ground"]


def test_nothing_of_the_user_is_in_the_file(tmp_path: Path, records: Records) -> None:
    cut(FakeLocal(failing=[1]), [an_input(0), an_input(1)], records)
    cut(FakeHosted(FakeProvider()), [an_input(0)], records)
    records.close()
    content = b"".join(path.read_bytes() for path in (tmp_path / "records").glob(f"{FILE}*"))
    for word in (b"shoe", b"secret", str(tmp_path).encode()):
        assert word not in content


def test_the_users_own_records_are_the_default(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    with_options = OpenBackend(FakeLocal(find("local/rmbg-1.4")), None, {"resolution": 512})
    (done,) = remove([an_input()], with_options, Finishing())
    records = context.open_user_records()
    assert isinstance(done, Done)
    assert [receipt.id for receipt in records.receipts.each()] == [done.report.receipt]
    assert said_by(records)[0]["settings"]["options"]["resolution"] == 512
    assert (tmp_path / "records" / FILE).exists()


def test_where_nothing_can_be_written_the_report_says_so(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "file"))
    (done,) = remove([an_input()], FakeLocal(), Finishing(), settings=Settings())
    assert isinstance(done, Done)
    assert done.report.receipt is None
    assert "no receipt was kept, because the data folder cannot be written" in done.report.text()
    assert "Receipt:" not in done.report.text()


def fill_up(records: Records) -> None:
    with suppress(sqlite3.OperationalError):
        for _ in range(99):
            records.receipts.add({"text": "x" * 1000}, "text")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        records.receipts.add({"text": "x" * 1000}, "text")


@pytest.mark.parametrize("backend", [FakeLocal(), FakeHosted(FakeProvider())])
def test_a_full_disk_costs_no_picture(tmp_path: Path, backend) -> None:
    records = open_records(tmp_path, 10_000_000)
    with records.receipts._database.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "disk is full"
    fill_up(records)
    before = records.receipts.head()
    results = cut(backend, [an_input(0), an_input(1)], records)
    assert [type(result) for result in results] == [Done, Done]
    for done in results:
        assert isinstance(done, Done)
        assert done.report.receipt is None
        assert "no receipt was kept (database or disk is full)" in done.report.text()
    assert records.receipts.head() == before
    records.close()


def test_a_file_that_was_put_aside_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database " * 100)
    records = open_records(tmp_path, 0)
    (done,) = cut(FakeLocal(), [an_input()], records)
    assert isinstance(done, Done)
    assert done.report.receipt is not None
    assert sum("was damaged" in warning for warning in done.report.warnings) == 1
    assert str(tmp_path) not in json.dumps(said_by(records))
    records.close()


def test_prices_stay_exact(records: Records) -> None:
    spec = FAKE_HOSTED
    assert spec.price is not None
    cut(FakeHosted(FakeProvider()), [an_input(0)], records)
    assert Decimal(said_by(records)[0]["cost"]) == spec.price.amount
