"""`rmbg evaluate` on real files."""

# Pins the inside of cli.pairs
# Pins the inside of cli.spreadsheet

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.cli.pairs import Pair, make_pairs
from rmbg_nodes.cli.spreadsheet import csv_text
from rmbg_nodes.core.errors import BadOption

SHAPE = (24, 32)


def disc(reach: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    inside = np.hypot(y - shape[0] / 2, x - shape[1] / 2) < reach
    return np.where(inside, 255, 0).astype(np.uint8)


def save(path: Path, levels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)
    return path


def cutout(levels: np.ndarray) -> np.ndarray:
    colours = np.random.default_rng(0).integers(0, 256, (*levels.shape, 3), dtype=np.uint8)
    return np.dstack([colours, levels])


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Three true masks."""
    for name, reach in {"one": 6, "two": 8, "ten": 10}.items():
        save(tmp_path / "truth" / f"{name}.png", disc(reach))
    return tmp_path / "truth"


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """Their predictions: perfect, nothing, too large; a mask, a cut-out, a plain name."""
    save(tmp_path / "found" / "one-mask.png", disc(6))
    save(tmp_path / "found" / "two-cutout.png", cutout(disc(0)))
    save(tmp_path / "found" / "ten.png", disc(11))
    return tmp_path / "found"


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_folders_pair_by_name_and_the_worst_comes_first(found: Path, truth: Path, capsys) -> None:
    assert main(["evaluate", str(found), str(truth)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:5]] == [
        "picture", "two.png", "ten.png", "one.png", "mean",
    ]  # fmt: skip
    assert lines[0].split()[1:] == ["IoU", "accuracy", "MAE", "max", "F", "S"]
    assert lines[3].split()[1:] == ["1.0000", "1.0000", "0.0000", "1.0000", "1.0000"]
    assert "3 of 3 pictures" in lines[5]


def test_the_numbers_are_those_of_the_pictures(found: Path, truth: Path, capsys) -> None:
    assert main(["evaluate", str(found), str(truth), "--json"]) == 0
    data = said(capsys)
    rows = {row["picture"]: row for row in data["pictures"]}
    small, large = disc(10) > 0, disc(11) > 0
    assert rows["ten.png"]["iou"] == pytest.approx(small.sum() / large.sum())
    assert rows["ten.png"]["mae"] == pytest.approx((large & ~small).mean())
    assert rows["two.png"]["iou"] == 0
    assert rows["two.png"]["max_f"] == 0
    assert rows["two.png"]["prediction"].endswith("two-cutout.png")
    means = data["means"]
    assert means["iou"] == pytest.approx(np.mean([row["iou"] for row in rows.values()]))
    assert means["max_f_of_one_threshold"] <= means["max_f"] + 1e-12


def test_one_threshold_for_all_is_not_each_pictures_best(tmp_path: Path, capsys) -> None:
    """Of two pictures one is best cut low and one high; a set has to choose."""
    true = disc(6)
    low = np.where(true > 0, 60, 20).astype(np.uint8)
    high = np.where(true > 0, 220, 180).astype(np.uint8)
    for name, levels in {"low": low, "high": high}.items():
        save(tmp_path / "p" / f"{name}.png", levels)
        save(tmp_path / "t" / f"{name}.png", true)
    assert main(["evaluate", str(tmp_path / "p"), str(tmp_path / "t"), "--json"]) == 0
    means = said(capsys)["means"]
    assert means["max_f"] == 1
    share = (true > 0).mean()
    worse = 1.3 * share / (0.3 * share + 1)  # of the one that is cut too low
    assert means["max_f_of_one_threshold"] == pytest.approx((1 + worse) / 2)


def test_two_files_need_no_common_name(tmp_path: Path, capsys) -> None:
    prediction = save(tmp_path / "a.png", cutout(disc(7)))
    truth = save(tmp_path / "b.png", np.dstack([disc(7)] * 3))
    assert main(["evaluate", str(prediction), str(truth)]) == 0
    assert "1.0000" in capsys.readouterr().out


def test_a_csv_has_every_picture(found: Path, truth: Path, tmp_path: Path, capsys) -> None:
    save(truth / "lost.png", disc(5))
    table = tmp_path / "scores.csv"
    assert main(["evaluate", str(found), str(truth), "--csv", str(table)]) == 1
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["picture"] for row in rows] == ["two.png", "ten.png", "one.png", "lost.png"]
    assert float(rows[2]["iou"]) == 1
    assert rows[3]["iou"] == ""
    assert "no prediction" in rows[3]["error"]
    assert "lost.png" in capsys.readouterr().err


@pytest.mark.parametrize("start", ["=1+1", "+1+1", "-1+1", "@SUM(1)", " =1", "\u00a0\ufeff@x"])
@pytest.mark.parametrize("wide", [False, True])
def test_a_file_name_is_no_formula_in_a_csv(start: str, wide: bool, tmp_path: Path) -> None:
    name = start.translate({ord(c): ord(c) + 0xFEE0 for c in "=+-@" if wide}) + ".png"
    save(tmp_path / "found" / name, disc(6))
    save(tmp_path / "truth" / name, disc(6))
    table = tmp_path / "scores.csv"
    folders = [str(tmp_path / "found"), str(tmp_path / "truth")]
    assert main(["evaluate", *folders, "--csv", str(table)]) == 0
    (row,) = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    assert row["picture"] == f"'{name}"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        *((-1.5, "-1.5"), (2, "2"), (None, ""), ("-1.5", "-1.5"), ("+2e-3", "+2e-3")),
        *(("-.5", "-.5"), (" -1", " -1"), ("a=b", "a=b"), ("x-1", "x-1"), ("-", "'-")),
        *(("=1", "'=1"), ("\tx", "'\tx"), ("\rx", "'\rx"), ("\u2212x", "'\u2212x")),
    ],
)
def test_numbers_stay_numbers_in_a_csv(cell: float | str | None, shown: str) -> None:
    text = csv_text(["a", "b"], [[cell, "z"]])
    _, row = csv.reader(io.StringIO(text, newline=""))
    assert row == [shown, "z"]


def test_a_csv_never_replaces_a_picture(found: Path, truth: Path, capsys) -> None:
    before = (truth / "one.png").read_bytes()
    assert main(["evaluate", str(found), str(truth), "--csv", str(truth / "one.png")]) == 2
    assert (truth / "one.png").read_bytes() == before


def test_another_size_fails_that_picture_only(found: Path, truth: Path, capsys) -> None:
    save(found / "one-mask.png", disc(12, (48, 64)))
    assert main(["evaluate", str(found), str(truth), "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["compared"] == 2
    assert "64 x 48" in err
    assert "--resize" in err
    assert main(["evaluate", str(found), str(truth), "--json", "--resize"]) == 0
    rows = {row["picture"]: row for row in said(capsys)["pictures"]}
    assert rows["one.png"]["iou"] > 0.9


def test_damaged_and_wrong_pictures_fail_alone(found: Path, truth: Path, capsys) -> None:
    (found / "one-mask.png").write_bytes(b"")
    save(found / "ten.png", cutout(disc(9))[..., :3])
    assert main(["evaluate", str(found), str(truth)]) == 1
    out, err = capsys.readouterr()
    assert "1 of 3" in out
    assert "is empty" in err
    assert "holds no mask" in err
    assert "Traceback" not in err


def test_nothing_could_be_compared(tmp_path: Path, capsys) -> None:
    bad, good = tmp_path / "a.png", save(tmp_path / "b.png", disc(5))
    bad.write_bytes(b"no picture")
    assert main(["evaluate", str(bad), str(good), "--json"]) == 1
    assert said(capsys)["means"] == {}
    assert main(["evaluate", str(bad), str(good)]) == 1
    assert "None of 1" in capsys.readouterr().out


@pytest.mark.parametrize("missing", [0, 1])
def test_what_is_not_there_is_refused(found: Path, truth: Path, missing: int, capsys) -> None:
    paths = [str(found), str(truth)]
    paths[missing] += "-nowhere"
    assert main(["evaluate", *paths]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_folders_without_a_common_name_are_refused(truth: Path, tmp_path: Path, capsys) -> None:
    save(tmp_path / "other" / "three.png", disc(3))
    assert main(["evaluate", str(tmp_path / "other"), str(truth)]) == 2
    assert "pair by name" in capsys.readouterr().err


def test_an_opaque_rgba_mask_is_its_grey(tmp_path: Path, capsys) -> None:
    mask = np.dstack([disc(7)] * 3 + [np.full(SHAPE, 255, np.uint8)])
    prediction, truth = save(tmp_path / "a.png", mask), save(tmp_path / "b.png", disc(7))
    assert main(["evaluate", str(prediction), str(truth), "--json"]) == 0
    assert said(capsys)["means"]["iou"] == 1


def names(pairs: list[Pair]) -> dict[str, str | None]:
    return {pair.name: pair.prediction.name if pair.prediction else None for pair in pairs}


def test_a_mask_goes_before_a_cutout_before_the_plain_name(tmp_path: Path) -> None:
    for name in ("shoe.jpg", "shoe-cutout.png", "shoe-mask.png", "hat.webp", "hat-cutout.png"):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / name).touch()
    for name in ("shoe.png", "hat-mask.png"):
        (tmp_path / "t").mkdir(exist_ok=True)
        (tmp_path / "t" / name).touch()
    assert names(make_pairs(str(tmp_path / "p"), str(tmp_path / "t"))) == {
        "shoe.png": "shoe-mask.png",
        "hat-mask.png": "hat-cutout.png",
    }


def test_a_picture_that_is_called_mask_keeps_its_own(tmp_path: Path) -> None:
    for folder in ("p", "t"):
        (tmp_path / folder).mkdir()
        for name in ("face.png", "face-mask.png"):
            (tmp_path / folder / name).touch()
    pairs = make_pairs(str(tmp_path / "p"), str(tmp_path / "t"))
    assert names(pairs) == {"face.png": "face.png", "face-mask.png": "face-mask.png"}


def test_two_predictions_of_one_name_are_not_guessed(found: Path, truth: Path) -> None:
    save(found / "ten.jpg", disc(3))
    (pair,) = [pair for pair in make_pairs(str(found), str(truth)) if pair.name == "ten.png"]
    assert pair.prediction is None
    assert "ten.jpg and ten.png" in pair.reason


def test_standard_input_is_refused(truth: Path) -> None:
    with pytest.raises(BadOption, match="standard input"):
        make_pairs("-", str(truth))
