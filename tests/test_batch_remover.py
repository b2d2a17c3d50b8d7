"""The callable for other people's pipelines, and the run that joins its batches."""

# Pins the inside of batch.ray.shared_budget
# Pins the inside of batch.remover
# Pins the inside of batch.session

from __future__ import annotations

import io
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.batch import Output, Recipe, Remover
from rmbg_nodes.batch.ray.shared_budget import SharedBudget
from rmbg_nodes.batch.remover import ADDED
from rmbg_nodes.batch.session import Request, Session
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import BadOption, Cancelled, LicenceRefused, OverBudget
from rmbg_nodes.core.specs import Price
from rmbg_nodes.core.types import Job
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeLocal, FakeProvider

CENT = Price(Decimal("0.01"), "USD", "2026", "a test")


def picture(level: int = 255, size: tuple[int, int] = (40, 30)) -> bytes:
    """A bright box on black."""
    width, height = size
    levels = np.zeros((height, width, 3), np.uint8)
    levels[height // 4 : -height // 4, width // 4 : -width // 4] = level
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


def plain_recipe(**changes: object) -> Recipe:
    return Recipe(output=Output(provenance=False), **changes)  # type: ignore[arg-type]


def remover(**given: object) -> Remover:
    return Remover(plain_recipe(), backend=FakeLocal, workers=2, **given)  # type: ignore[arg-type]


class TestRows:
    def test_a_batch_comes_back_in_order_with_all_its_columns(self, tmp_path: Path) -> None:
        file = tmp_path / "c.png"
        file.write_bytes(picture(240))
        out = remover()(
            {
                "bytes": np.array([picture(255), b"no picture", None], dtype=object),
                "path": ["", "", str(file)],
                "sku": np.array([7, 8, 9]),
                "name": ["a", "b", "c"],
            }
        )
        assert list(out) == ["path", "sku", "name", *ADDED]
        assert out["sku"] == [7, 8, 9]
        assert [error is None for error in out["error"]] == [True, False, True]
        assert out["error_type"] == [None, "BadPicture", None]
        assert str(out["error"][1]).startswith("b cannot be used")
        assert out["image"][1] is None
        for image in (out["image"][0], out["image"][2]):
            assert isinstance(image, bytes)
            assert Image.open(io.BytesIO(image)).mode == "RGBA"
        reports = [json.loads(str(text)) for text in out["report"]]
        assert [report["outcome"] for report in reports] == ["delivered", "failed", "delivered"]

    def test_masks_where_the_recipe_asks_for_them(self) -> None:
        recipe = Recipe(background="white", output=Output(format="jpeg", mask=True))
        (mask,) = Remover(recipe, backend=FakeLocal)({"bytes": [picture()]})["mask"]
        assert isinstance(mask, bytes)
        assert Image.open(io.BytesIO(mask)).mode == "L"

    def test_a_picture_without_a_subject_has_an_error(self) -> None:
        out = remover()({"bytes": [picture(0), picture()]})
        assert out["error_type"] == ["BadPicture", None]

    def test_an_empty_batch(self) -> None:
        assert remover()({"bytes": [], "sku": []}) == {"sku": [], **{name: [] for name in ADDED}}

    def test_pandas(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame({"bytes": [picture(), b""], "sku": ["x", "y"]})
        done = pandas.DataFrame(remover()(frame))
        assert list(done["sku"]) == ["x", "y"]
        assert list(done["error"].isna()) == [True, False]

    @pytest.mark.parametrize(
        ("batch", "said"),
        [
            ({"sku": [1]}, "needs 'bytes'"),
            ({}, "(none)"),
            ({"bytes": [b"x"], "sku": [1, 2]}, "different lengths"),
            ({"bytes": [b"x"], "mask": [1]}, "'mask' already"),
            ({"bytes": np.array([b"x\0"])}, "zero bytes"),
        ],
    )
    def test_batches_that_cannot_be_meant(self, batch: dict[str, object], said: str) -> None:
        with pytest.raises(BadOption, match=said.replace("(", r"\(").replace(")", r"\)")):
            remover()(batch)  # type: ignore[arg-type]


class TestCopies:
    def test_pickled_before_and_after_its_first_call(self) -> None:
        first = remover()
        again = pickle.loads(pickle.dumps(first))
        image = first({"bytes": [picture()]})["image"]
        assert again({"bytes": [picture()]})["image"] == image
        assert len(pickle.dumps(first)) < 5000
        assert pickle.loads(pickle.dumps(first))({"bytes": [picture()]})["image"] == image

    def test_nothing_is_opened_before_the_first_call(self) -> None:
        opened: list[int] = []

        def opener() -> FakeLocal:
            opened.append(1)
            return FakeLocal()

        one = Remover(backend=opener)
        assert not opened
        for _ in range(3):
            one({"bytes": [picture()]})
        assert opened == [1]
        one.close()
        one({"bytes": [picture()]})
        assert opened == [1, 1]

    def test_a_recipe_file_and_options(self, tmp_path: Path) -> None:
        file = tmp_path / "shop.toml"
        file.write_text(
            'backend = "keyer"\n[canvas]\nbackground = "white"\n[output]\nformat = "jpeg"\n'
        )
        (image,) = Remover(file, options={})({"bytes": [picture()]})["image"]
        assert isinstance(image, bytes)
        assert Image.open(io.BytesIO(image)).format == "JPEG"
        with pytest.raises(BadOption, match="precision"):
            Remover(file, backend="local/rmbg-1.4", options={"precision": "magic"})

    def test_refusals_are_raised(self) -> None:
        with pytest.raises(LicenceRefused):
            Remover(backend="local/rmbg-2.0", usage="commercial")({"bytes": [picture()]})

    def test_max_cost_holds_for_all_calls(self) -> None:
        provider = FakeProvider(polls_needed=1)
        one = Remover(
            plain_recipe(max_cost=Decimal("0.054")),
            backend=partial(FakeHosted, provider),
            usage="non-commercial",
        )
        for level in (255, 254, 253):
            assert one({"bytes": [picture(level)]})["error"] == [None]
        with pytest.raises(OverBudget):
            one({"bytes": [picture(252)]})
        assert len(provider.billed) == 3
        assert one({"bytes": [picture(254)]})["error"] == [None], "it was paid for"


def session(backend: FakeLocal, workers: int = 1, job: Job | None = None) -> Session[str]:
    return Session(Recipe(), lambda: backend, Settings(), workers=workers, job=job)


def request(name: str, content: bytes | None = None) -> Request[str]:
    content = picture() if content is None else content
    return Request(name, content, lambda result: f"{result.name} {type(result).__name__}")


class TestSession:
    def test_batches_of_several_threads_are_one_run(self) -> None:
        runs = []

        class Counted(FakeLocal):
            def run(self, frames, job):
                runs.append(1)
                return super().run(frames, job)

        opened = session(Counted(seconds=0.02), workers=2)

        def batch(number: int) -> list[str]:
            return [f.result() for f in opened.work([request(f"{number}.{i}") for i in range(4)])]

        with ThreadPoolExecutor(12) as callers:
            found = list(callers.map(batch, range(24)))
        assert found == [[f"{n}.{i} Done" for i in range(4)] for n in range(24)]
        assert sum(runs) <= 4, "the model stood still between batches"
        opened.close()

    def test_a_picture_that_fails_is_the_only_one(self) -> None:
        opened = session(FakeLocal())
        futures = opened.work([request("a"), request("b", b"no picture"), request("c")])
        assert [f.result() for f in futures] == ["a Done", "b Failed", "c Done"]
        opened.close()

    def test_what_ends_a_run_reaches_everybody_who_waits_and_nobody_later(self) -> None:
        stopped = threading.Event()

        class Stop(Job):
            def check(self) -> None:
                if stopped.is_set():
                    raise Cancelled("stopped")

        opened = session(FakeLocal(seconds=0.3), job=Stop())
        futures = opened.work([request(str(i)) for i in range(20)])
        assert futures[0].result() == "0 Done"
        stopped.set()
        wait(futures, 5)
        assert {type(f.exception()) for f in futures} == {type(None), Cancelled}
        stopped.clear()
        assert opened.work([request("later")])[0].result(5) == "later Done"
        opened.close()

    def test_what_is_dropped_was_not_begun(self) -> None:
        opened = session(FakeLocal(seconds=0.05))
        futures = opened.work([request(str(i)) for i in range(40)])
        futures[0].result()
        opened.drop()
        wait(futures, 5)
        done = [f for f in futures if not f.exception()]
        assert 0 < len(done) < 30
        assert all(isinstance(f.exception(), Cancelled) for f in futures if f not in done)
        opened.close()


class TestLedger:
    def test_never_over_in_two_connections(self, tmp_path: Path) -> None:
        path = tmp_path / "costs.sqlite"

        def spend(owner: str) -> int:
            ledger, count = SharedBudget(path, Decimal("0.20"), owner), 0
            for number in range(30):
                try:
                    ledger.reserve(f"{owner} {number}", CENT)
                    count += 1
                except OverBudget:
                    break
            ledger.close()
            return count

        with ThreadPoolExecutor(4) as side_by_side:
            assert sum(side_by_side.map(spend, "abcd")) == 20

    def test_the_same_picture_counts_once_until_it_is_settled(self, tmp_path: Path) -> None:
        ledger = SharedBudget(tmp_path / "costs.sqlite", Decimal("0.03"), "a")
        ledger.reserve("w", CENT)
        ledger.reserve("w", CENT)
        assert ledger.total() == Decimal("0.01")
        SharedBudget(tmp_path / "costs.sqlite", Decimal("0.03"), "b").not_owed("w")
        assert ledger.total() == Decimal("0.01"), "it is another's"
        ledger.spent("w")
        ledger.reserve("w", CENT)
        assert ledger.total() == Decimal("0.02")
        ledger.not_owed("w")
        assert ledger.total() == Decimal("0.01")

    def test_another_currency_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OverBudget, match="EUR"):
            SharedBudget(tmp_path / "costs.sqlite", Decimal(1), "a").reserve(
                "w", Price(Decimal("0.01"), "EUR", "2026", "a test")
            )
