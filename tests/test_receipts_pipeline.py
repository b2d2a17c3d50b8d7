"""Every picture of every backend leaves a receipt, and none is lost for lack of one."""

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

from rmbg_nodes.catalogue.licences import LICENCES
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.digest import pixel_digests
from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.core.specs import Option
from rmbg_nodes.core.types import Failure
from rmbg_nodes.pipeline import context
from rmbg_nodes.pipeline.gate import open_backend
from rmbg_nodes.pipeline.inputs import Failed, Input, load
from rmbg_nodes.pipeline.remove import Done, Treatment, remove
from rmbg_nodes.records.opening import FILE
from rmbg_nodes.records.receipt_writer import Clerk
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
def books(tmp_path: Path) -> Iterator[Records]:
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


def cut(backend, inputs: list[Input], books: Records, **more) -> list[Done | Failed]:
    return list(
        remove(inputs, backend, Treatment(), books=books, **{"settings": Settings()} | more)
    )


def said_by(books: Records) -> list[dict[str, Any]]:
    assert books.receipts.verify().fault is None
    return [receipt.data() for receipt in books.receipts.each()]


def test_what_a_receipt_says(books: Records) -> None:
    source = an_input(alpha=0.8)
    (done,) = cut(FakeLocal(), [source], books)
    assert isinstance(done, Done)
    (said,) = said_by(books)
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
    text = books.receipts.licence_text(licence["text_sha256"])
    assert json.loads(str(text))["attribution"] == LICENCES["keyer"].attribution


def test_the_report_names_it(books: Records) -> None:
    (done,) = cut(FakeLocal(), [an_input()], books)
    assert isinstance(done, Done)
    (receipt,) = books.receipts.find(str(done.report.receipt))
    assert f"Receipt: {receipt.id}.\n" in done.report.text() + "\n"
    assert done.report.data()["receipt"] == receipt.id
    assert books.receipts.matching(pixel_digests(done.image).levels8) == [receipt]


def test_a_deep_input_has_deep_digests(books: Records) -> None:
    (done,) = cut(FakeLocal(), [an_input(deep=True)], books)
    assert isinstance(done, Done)
    (said,) = said_by(books)
    assert said["image"]["sha256_16"] == pixel_digests(done.image, deep=True).levels16
    assert None not in (said["input"]["sha256_16"], said["mask"]["sha256_16"])


def test_paid_pictures_and_those_from_the_cache(books: Records) -> None:
    backend = FakeHosted(FakeProvider())
    for _ in range(2):
        cut(backend, [an_input(0), an_input(1)], books)
    said = said_by(books)
    assert [one["cost"] for one in said] == ["0.018", "0.018", "0", "0"]
    assert [one["left_machine"] for one in said] == [True, True, False, False]
    assert [one["device"] for one in said] == ["hosted", "hosted", "cache", "cache"]
    assert {one["request_id"] for one in said} == {"job-1", "job-2"}
    assert {one["provider"] for one in said} == {"fake"}


def test_failures_have_receipts_without_words_of_the_user(books: Records) -> None:
    def unreadable() -> torch.Tensor:
        raise BadPicture(f"{NAME} is damaged.")

    inputs = [an_input(0), an_input(1), Input(2, NAME, unreadable)]
    results = cut(FakeLocal(failing=[1]), inputs, books)
    assert sorted(type(result).__name__ for result in results) == ["Done", "Failed", "Failed"]
    told = {result.receipt for result in results if isinstance(result, Failed)}
    assert told == {
        receipt.id for receipt in books.receipts.each() if receipt.data()["outcome"] == "failed"
    }
    failed = [one for one in said_by(books) if one["outcome"] == "failed"]
    assert sorted((one["error"], bool(one["input"])) for one in failed) == [
        ("BackendFailed", True),
        ("BadPicture", False),
    ]
    assert {(one["cost"], one["paid"], one["left_machine"]) for one in failed} == {
        ("0", "no", False)
    }


def test_a_lost_answer_may_be_owed(books: Records) -> None:
    frame = disc_frame(0, (40, 50))
    pixels = (frame.pixels * 255).round() / 255
    work = FakeHosted(FakeProvider()).work(replace(frame, pixels=pixels))
    provider = FakeProvider(lose_answers=frozenset([str(work)]))
    cut(FakeHosted(provider), [an_input(0)], books)
    (said,) = said_by(books)
    assert (said["error"], said["paid"], said["cost"]) == ("MayBeBilled", "perhaps", "0")
    assert said["left_machine"] is True


def test_a_hosted_failure_before_the_submit_does_not_guess(books: Records) -> None:
    hosted = context.circumstances(
        FakeHosted(FakeProvider()), {}, None, Settings(), ("non-commercial", "because")
    )
    clerk = Clerk(books.receipts, hosted)
    clerk.failed(Failure(BadPicture("too large")), torch.zeros(4, 4, 3))
    clerk.failed(Failure(BadPicture("unreadable")), None)
    assert [one["left_machine"] for one in said_by(books)] == [None, False]


@dataclass
class WithOptions(FakeLocal):
    """What the gate lends, with options of every kind."""

    options: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        free = Option("weights", "", "")
        choice = Option("precision", "auto", "", choices=("auto", "float32"))
        number = Option("resolution", 0, "", limits=(0, 2048, 32))
        super().__init__(replace(FAKE_LOCAL, options=(free, choice, number)))


def test_settings_are_told_and_free_text_is_not(books: Records) -> None:
    secret = "/home/user/secret client/own.safetensors"
    cut(WithOptions({"weights": secret, "precision": "float32"}), [an_input()], books)
    cut(WithOptions(), [an_input()], books)
    first, second = (one["settings"]["options"] for one in said_by(books))
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
def test_which_setting_decided(books: Records, settings, asked, accepted_by) -> None:
    cut(FakeLocal(), [an_input()], books, settings=settings, usage=asked)
    assert said_by(books)[0]["licence"]["accepted_by"] == accepted_by


def test_an_agreement_is_named(books: Records) -> None:
    spec = replace(FAKE_LOCAL, licence="bria-rmbg-2.0")
    settings = Settings(grants={"bria-rmbg-2.0": "A-77"})
    cut(FakeLocal(spec), [an_input()], books, settings=settings, usage="commercial")
    (said,) = said_by(books)
    assert said["licence"]["accepted_by"] == ["the usage given", "RMBG_BRIA_LICENCE"]
    assert "A-77" in said["licence"]["ground"]


def test_nothing_of_the_user_is_in_the_file(tmp_path: Path, books: Records) -> None:
    cut(FakeLocal(failing=[1]), [an_input(0), an_input(1)], books)
    cut(FakeHosted(FakeProvider()), [an_input(0)], books)
    books.close()
    content = b"".join(path.read_bytes() for path in (tmp_path / "records").glob(f"{FILE}*"))
    for word in (b"shoe", b"secret", str(tmp_path).encode()):
        assert word not in content


def test_the_users_own_records_are_the_default(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path))
    with_options = open_backend("keyer", options={"mode": "preview"})
    (done,) = remove([an_input()], with_options, Treatment())
    books = context.open_books()
    assert isinstance(done, Done)
    assert [receipt.id for receipt in books.receipts.each()] == [done.report.receipt]
    assert said_by(books)[0]["settings"]["options"] == {"mode": "preview"}
    assert (tmp_path / "records" / FILE).exists()


def test_where_nothing_can_be_written_the_report_says_so(monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "file"))
    (done,) = remove([an_input()], FakeLocal(), Treatment(), settings=Settings())
    assert isinstance(done, Done)
    assert done.report.receipt is None
    assert "no receipt was kept, because the data folder cannot be written" in done.report.text()
    assert "Receipt:" not in done.report.text()


def fill_up(books: Records) -> None:
    with suppress(sqlite3.OperationalError):
        for _ in range(99):
            books.receipts.add({"text": "x" * 1000}, "text")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        books.receipts.add({"text": "x" * 1000}, "text")


@pytest.mark.parametrize("backend", [FakeLocal(), FakeHosted(FakeProvider())])
def test_a_full_disk_costs_no_picture(tmp_path: Path, backend) -> None:
    books = open_records(tmp_path, 10_000_000)
    with books.receipts._database.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "disk is full"
    fill_up(books)
    before = books.receipts.head()
    results = cut(backend, [an_input(0), an_input(1)], books)
    assert [type(result) for result in results] == [Done, Done]
    for done in results:
        assert isinstance(done, Done)
        assert done.report.receipt is None
        assert "no receipt was kept (database or disk is full)" in done.report.text()
    assert books.receipts.head() == before
    books.close()


def test_a_file_that_was_put_aside_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database " * 100)
    books = open_records(tmp_path, 0)
    (done,) = cut(FakeLocal(), [an_input()], books)
    assert isinstance(done, Done)
    assert done.report.receipt is not None
    assert sum("was damaged" in warning for warning in done.report.warnings) == 1
    assert str(tmp_path) not in json.dumps(said_by(books))
    books.close()


def test_prices_stay_exact(books: Records) -> None:
    spec = FAKE_HOSTED
    assert spec.price is not None
    cut(FakeHosted(FakeProvider()), [an_input(0)], books)
    assert Decimal(said_by(books)[0]["cost"]) == spec.price.amount
