"""`batch.run` from folder to folder: what is done, what is left alone, what is tried again."""

# Pins the inside of batch.result
# Pins the inside of pipeline.estimate

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.batch import Canvas, Landed, Output, Recipe, Summary, Watch, run
from rmbg_nodes.batch.preview import preview
from rmbg_nodes.batch.result import ATTEMPTS
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import BackendFailed, BadOption, LicenceRefused, OverBudget
from rmbg_nodes.core.types import Failure, Frame, Job, Outcome
from rmbg_nodes.pipeline.context import open_user_records
from rmbg_nodes.pipeline.estimate import Estimate
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeLocal, FakeProvider


@pytest.fixture(autouse=True)
def _own_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))


def shot(path: Path, seed: int = 0) -> Path:
    """A bright square on black: to the fake, subject."""
    levels = np.zeros((40, 60, 3), np.uint8)
    levels[8:30, 10 + seed : 40 + seed] = 200 + seed
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)
    return path


@dataclass
class Shop:
    """A catalogue of three pictures and a file that is none."""

    source: Path
    dest: Path

    def files(self) -> list[str]:
        return sorted(
            path.relative_to(self.dest).as_posix()
            for path in self.dest.rglob("*")
            if path.is_file() and ".rmbg" not in path.parts
        )

    def run(self, recipe=None, **more):
        return run(self.source, self.dest, recipe, **{"backend": FakeLocal, "workers": 2} | more)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    source = tmp_path / "in"
    shot(source / "a.png")
    shot(source / "shoes" / "b 2.png", 1)
    shot(source / "shoes" / "b 10.png", 2)
    (source / "bad.jpg").write_bytes(b"no picture")
    return Shop(source, tmp_path / "out")


def test_the_tree_is_mirrored_and_the_bad_file_quarantined(shop: Shop) -> None:
    summary = shop.run()
    assert shop.files() == ["a.png", "shoes/b 10.png", "shoes/b 2.png"]
    assert (summary.counts.total, summary.counts.done_now, summary.counts.quarantined) == (4, 3, 1)
    assert not summary.complete
    assert summary.reasons == {"BadPicture": 1}
    with Image.open(shop.dest / "a.png") as image:
        assert (image.mode, image.size) == ("RGBA", (60, 40))
    (row,) = (shop.dest / ".rmbg" / "quarantine.jsonl").read_text().splitlines()
    assert json.loads(row)["key"] == "bad.jpg"
    assert "not a PNG" in json.loads(row)["reason"]
    said = json.loads((shop.dest / ".rmbg" / "summary.json").read_text())
    assert (said["done_now"], said["quarantined"], said["cost"]) == (3, 1, "0")


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not allow")
def test_names_that_windows_reserves_are_renamed_and_kept_apart(shop: Shop) -> None:
    given = ("con /aux.png", "con_/aux.png", "con_/_aux.png", "nul.d/x.png", "x/COM\u00b9.png")
    for seed, name in enumerate(given):
        shot(shop.source / "odd" / name, seed)
    assert shop.run().counts.failed == 0
    found = {path.relative_to(shop.dest / "odd").as_posix() for path in shop.dest.glob("odd/*/*")}
    assert found == {"_con_/_aux.png", "con_/_aux.png", "con_/_aux-2.png", "_nul.d/x.png",
                     "x/_COM\u00b9.png"}  # fmt: skip
    assert shop.run().counts.done_now == 0


def test_what_is_done_is_left_alone(shop: Shop) -> None:
    shop.run()
    before = {name: (shop.dest / name).stat().st_mtime_ns for name in shop.files()}
    again = shop.run(backend=never)
    assert (again.counts.done_now, again.counts.done_before) == (0, 3)
    assert {name: (shop.dest / name).stat().st_mtime_ns for name in shop.files()} == before


def test_the_most_doubtful_are_named_the_worst_first(shop: Shop) -> None:
    """The dimmer a subject, the less sure the fake is of it; five are named, and no more."""
    for number, level in enumerate((138, 132, 140, 134, 136, 130)):
        levels = np.zeros((40, 60, 3), np.uint8)
        levels[8:30, 10:40] = level
        Image.fromarray(levels).save(shop.source / f"dim {number}.png")
    summary = shop.run()
    named, doubts = zip(*((one.key, one.doubt) for one in summary.doubtful), strict=True)
    assert len(named) == 5
    assert {*named} < {f"dim {number}.png" for number in range(6)}
    assert list(doubts) == sorted(doubts, reverse=True)
    assert min(doubts) > 0.5
    assert f"{doubts[0]:.2f} of {named[0]}" in summary.text()
    assert "may be wrong" in summary.text()
    said = json.loads((shop.dest / ".rmbg" / "summary.json").read_text())
    assert [row["picture"] for row in said["doubtful"]] == [*named]
    assert [row["doubt"] for row in said["doubtful"]] == [*doubts]


def never() -> FakeLocal:
    raise AssertionError("there is nothing to open a backend for")


def test_what_changed_is_done_again(shop: Shop) -> None:
    shop.run()
    shot(shop.source / "a.png", 5)
    os.utime(shop.source / "a.png", (1, 1))
    shot(shop.source / "new.png", 3)
    (shop.dest / "shoes" / "b 2.png").unlink()
    again = shop.run()
    assert (again.counts.done_now, again.counts.done_before) == (3, 1)
    assert len(shop.files()) == 4


def test_another_recipe_force_and_retry(shop: Shop) -> None:
    shop.run()
    square = Recipe(background="white", canvas=Canvas((50, 50)), output=Output("jpeg"))
    other = shop.run(square)
    assert other.counts.done_now == 3
    with Image.open(shop.dest / "a.jpg") as image:
        assert (image.size, image.format) == ((50, 50), "JPEG")
    assert shop.run(square, force=True).counts.done_now == 3
    shot(shop.source / "good.png").rename(shop.source / "bad.jpg")
    assert shop.run(square).complete  # a changed file is tried without being asked
    (shop.source / "bad.jpg").write_bytes(b"no picture")
    assert shop.run(square).counts.quarantined == 1
    assert shop.run(square, backend=never).counts.quarantined == 1
    assert shop.run(square, retry=True).reasons == {"BadPicture": 1}


class Flaky(FakeLocal):
    """Fails every picture so many times."""

    def __init__(self, times: int, seen: dict[str, int]) -> None:
        super().__init__()
        self._times = times
        self._seen = seen

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        names: dict[int, str] = {}

        def noted() -> Iterator[Frame]:
            for frame in frames:
                names[frame.index] = frame.name
                yield frame

        for outcome in super().run(noted(), job):
            name = names[outcome.index]
            self._seen[name] = self._seen.get(name, 0) + 1
            if self._seen[name] <= self._times:
                yield Outcome(outcome.index, Failure(BackendFailed(f"{name}: a hiccup.")))
            else:
                yield outcome


class Heard(Watch):
    """What a watch is told."""

    def __init__(self) -> None:
        self.waiting = 0
        self.expected: Estimate | None = None
        self.ends: list[tuple[str, bool]] = []
        self.summaries: list[Summary] = []

    def begun(self, total: int, waiting: int, expected: Estimate | None) -> None:
        self.waiting, self.expected = waiting, expected

    def landed(self, picture: Landed, final: bool) -> None:
        self.ends.append((picture.key, final))

    def ended(self, summary: Summary) -> None:
        self.summaries.append(summary)


def test_a_hiccup_is_tried_again_in_the_same_run(shop: Shop) -> None:
    (shop.source / "bad.jpg").unlink()
    seen: dict[str, int] = {}
    heard = Heard()
    summary = shop.run(backend=partial(Flaky, ATTEMPTS - 1, seen), watch=heard)
    assert summary.complete
    assert set(seen.values()) == {ATTEMPTS}
    assert summary.reasons == {}
    assert sorted(key for key, final in heard.ends if final) == sorted(seen)
    assert heard.waiting == 3


def test_what_fails_for_good_is_tried_by_the_next_run(shop: Shop) -> None:
    (shop.source / "bad.jpg").unlink()
    seen: dict[str, int] = {}
    summary = shop.run(backend=partial(Flaky, 99, seen))
    assert (summary.counts.failed, summary.reasons) == (3, {"BackendFailed": 3})
    assert set(seen.values()) == {ATTEMPTS}
    assert shop.run().complete


def test_money_is_counted_and_limited_over_all_attempts(shop: Shop) -> None:
    (shop.source / "bad.jpg").unlink()
    provider = FakeProvider()
    heard = Heard()
    summary = shop.run(backend=partial(FakeHosted, provider), watch=heard)
    assert summary.cost == Decimal("0.054")
    assert heard.expected is not None
    assert heard.expected.total == Decimal("0.054")
    assert "0.054 USD" in summary.text()
    shot(shop.source / "c.png", 7)
    shot(shop.source / "d.png", 8)
    with pytest.raises(OverBudget):
        shop.run(
            Recipe(max_cost=Decimal("0.02")), backend=partial(FakeHosted, provider), watch=heard
        )
    assert len(provider.billed) == 3  # it was known beforehand
    assert heard.summaries[-1].counts.waiting == 2
    assert json.loads((shop.dest / ".rmbg" / "summary.json").read_text())["not_begun"] == 2


def test_a_lost_file_of_a_paid_picture_costs_nothing_again(shop: Shop) -> None:
    (shop.source / "bad.jpg").unlink()
    provider = FakeProvider()
    shop.run(backend=partial(FakeHosted, provider))
    for name in shop.files():
        (shop.dest / name).unlink()
    again = shop.run(backend=partial(FakeHosted, provider))
    assert (again.complete, again.cost) == (True, 0)
    assert len(provider.billed) == 3


def test_the_receipt_is_of_the_picture_that_was_written(shop):
    (shop.source / "bad.jpg").unlink()
    recipe = Recipe(background="white", canvas=Canvas((50, 30)))
    shop.run(recipe)
    receipts = [one.data() for one in open_user_records(Settings()).receipts.each()]
    assert {(one["image"]["width"], one["image"]["height"]) for one in receipts} == {(50, 30)}
    assert {(one["input"]["width"], one["input"]["height"]) for one in receipts} == {(60, 40)}
    assert {one["settings"]["recipe_sha256"] for one in receipts} == {recipe.digest()}


def test_a_picture_without_a_subject_is_quarantined_with_a_receipt(shop):
    Image.new("RGB", (30, 30)).save(shop.source / "black.png")
    summary = shop.run()
    assert summary.counts.quarantined == 2
    outcomes = [one.data()["outcome"] for one in open_user_records(Settings()).receipts.each()]
    assert sorted(outcomes) == ["delivered"] * 3 + ["failed"] * 2


def test_the_licence_is_asked_before_anything(shop: Shop) -> None:
    with pytest.raises(LicenceRefused):
        run(shop.source, shop.dest, Recipe("local", usage="commercial"))
    assert not shop.dest.exists()


def test_a_pinned_backend_replaces_the_recipes(shop: Shop) -> None:
    recipe = Recipe("fal", options={"profile": "studio"})
    summary = run(shop.source, shop.dest, recipe, settings=Settings(backend="keyer"))
    assert summary.backend == "keyer"


@pytest.mark.parametrize("wrong", [{"engine": "spark"}, {"workers": 0}])
def test_what_cannot_be_meant(shop, wrong):
    with pytest.raises(BadOption):
        shop.run(**wrong)


def test_an_outlook_touches_nothing(shop: Shop) -> None:
    outlook = preview(shop.source, shop.dest, Recipe("fal", usage="commercial"))
    assert not shop.dest.exists()
    assert outlook.survey.waiting == 4
    assert outlook.data()["cost_at_most"] == "0.072"
    shop.run()
    after = preview(shop.source, shop.dest, Recipe())
    assert (after.survey.done, after.survey.quarantined, after.survey.waiting) == (3, 1, 0)
    assert "Nothing was done" in after.text()


def test_a_background_picture_that_goes_meanwhile_is_no_matter(shop: Shop) -> None:
    backdrop = shot(shop.dest.parent / "behind.png", 4)

    class Forgetful(Watch):
        def landed(self, picture: Landed, final: bool) -> None:
            backdrop.unlink(missing_ok=True)

    summary = shop.run(Recipe(background=str(backdrop)), watch=Forgetful())
    assert summary.counts.done_now == 3


def test_a_full_disk_ends_the_run(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes, lasting: bool) -> None:
        raise BadOption(f"{path} cannot be written.") from OSError(28, "No space left on device")

    monkeypatch.setattr("rmbg_nodes.batch.produce.write_atomic", full)
    with pytest.raises(BadOption, match="cannot be written"):
        shop.run()
    monkeypatch.undo()
    monkeypatch.setenv("RMBG_DATA", str(shop.dest.parent / "data"))
    assert shop.run().counts.done_now == 3


def test_one_place_that_cannot_be_written_fails_one_picture(shop: Shop) -> None:
    (shop.dest / "a.png").mkdir(parents=True)
    summary = shop.run()
    assert (summary.counts.done_now, summary.counts.failed) == (2, 1)
    assert summary.reasons["BadOption"] == 1
