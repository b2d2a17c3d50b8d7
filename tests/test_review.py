"""`rmbg review`: the doubtful results of a run on one sheet."""

# Pins the inside of cli.review_command
# Pins the inside of demo.sheet

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rmbg_nodes.cli import review_command
from rmbg_nodes.core.errors import BadOption
from rmbg_nodes.demo import sheet

Y, X = np.mgrid[-1:1:60j, -1:1:90j]
COLOURS = (np.stack([X / 2 + 0.5, Y / 2 + 0.5, 0 * X + 0.4], -1) * 255).astype(np.uint8)


def disc(row: float = 0.0) -> NDArray[np.float64]:
    return np.clip((0.5 - np.hypot(Y - row, X)) * 20 + 0.5, 0, 1)


def save_cut(path: Path, alpha: NDArray[np.float64]) -> Path:
    levels = (alpha * 255).round().astype(np.uint8)
    Image.fromarray(np.dstack([COLOURS, levels])).save(path)
    return path


def save_mask(path: Path, alpha: NDArray[np.float64]) -> Path:
    Image.fromarray((alpha * 255).round().astype(np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's results: good, cut off by the border, empty, hazy."""
    place = tmp_path / "run"
    place.mkdir()
    save_cut(place / "good.png", disc())
    save_cut(place / "cut.png", disc(0.8))
    save_cut(place / "empty.png", 0 * X)
    save_cut(place / "haze.png", disc() * 0.3 + 0.3)
    return place


def rmbg_review(*words: object) -> int:
    parser = argparse.ArgumentParser()
    review_command.add_arguments(parser)
    return review_command.run(parser.parse_args([str(word) for word in words]))


def test_the_doubtful_are_told_worst_first_with_the_reason(
    folder: Path, tmp_path: Path, capsys
) -> None:
    assert rmbg_review(folder, "-o", tmp_path / "sheet.jpg") == 0
    said = capsys.readouterr()
    names = [Path(line.split(": ")[0]).name for line in said.out.splitlines()]
    assert names == ["empty.png", "haze.png", "cut.png"]
    assert "no subject found" in said.out
    assert "(bottom)" in said.out
    assert "3 of 4 results are doubtful" in said.err
    with Image.open(tmp_path / "sheet.jpg") as image:
        assert image.format == "JPEG"
        rows = 3 * (sheet.CELL + sheet.CAPTION + sheet.GAP)
        assert image.size == (sheet.GAP + 4 * (sheet.CELL + sheet.GAP), sheet.TITLE + rows)


def test_they_stand_in_the_order_of_their_doubt(tmp_path: Path, capsys) -> None:
    """By the number that programs read, whatever the reasons are: pieces, border, haze."""
    pieces = np.hstack([disc(), disc() * (X > 0), 0 * X, disc()])
    masks = {
        "haze": disc() * 0.45 + 0.05,
        "veil": disc() * 0.6,
        "cut": disc(0.8),
        "pieces": np.tile(pieces, (1, 5)) * (np.tile(pieces, (1, 5)) > 0.6),
        "good": disc(),
        "full": 0 * X + 1,
    }
    for name, mask in masks.items():
        save_mask(tmp_path / f"{name}-mask.png", mask)
    words = (tmp_path, "-o", tmp_path / "sheet.jpg")
    assert rmbg_review(*words, "--json") == 0
    flags = {
        Path(row["picture"]).name: row["flags"]
        for row in map(json.loads, capsys.readouterr().out.splitlines())
    }
    assert rmbg_review(*words) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [Path(line.split(": ")[0]).name for line in lines]
    doubts = [flags[name]["doubt"] for name in listed]
    assert doubts == sorted(doubts, reverse=True)
    assert listed[0] == "full-mask.png"
    assert doubts[0] == 1
    assert set(listed) == {*flags} - {"good-mask.png"}
    assert flags["good-mask.png"]["doubt"] < min(doubts)
    assert all(
        line.count(f"doubt {doubt:.2f}") == 1 for doubt, line in zip(doubts, lines, strict=True)
    )


def test_the_rows_show_what_they_name(folder: Path, tmp_path: Path) -> None:
    assert rmbg_review(folder, "-o", tmp_path / "sheet.png", "--worst", "1") == 0
    with Image.open(tmp_path / "sheet.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape[0] == sheet.TITLE + sheet.CELL + sheet.CAPTION + sheet.GAP
    middle = sheet.TITLE + sheet.CAPTION + sheet.CELL // 2
    columns = [sheet.GAP + n * (sheet.CELL + sheet.GAP) + sheet.CELL // 2 for n in range(4)]
    assert pixels[middle, columns[0]].tolist() == [0, 0, 0]  # the empty mask
    assert pixels[middle, columns[2]].tolist() == [255, 255, 255]  # on white: nothing


def test_nothing_doubtful_writes_nothing(tmp_path: Path, capsys) -> None:
    path = save_cut(tmp_path / "good.png", disc())
    assert rmbg_review(path, "-o", tmp_path / "sheet.jpg") == 0
    assert capsys.readouterr().out == "Nothing is doubtful.\n"
    assert not (tmp_path / "sheet.jpg").exists()


def test_masks_are_results_too_unless_their_cut_out_is_there(tmp_path: Path, capsys) -> None:
    save_mask(tmp_path / "alone-mask.png", 0 * X)
    save_mask(tmp_path / "shoe-mask.png", 0 * X)
    save_cut(tmp_path / "shoe-cutout.png", 0 * X)
    assert rmbg_review(tmp_path, "-o", tmp_path / "sheet.jpg", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = [Path(row["picture"]).name for row in rows]
    assert names == ["alone-mask.png", "shoe-cutout.png"]
    assert all(row["flags"]["no_subject"] for row in rows)


def test_inputs_in_the_folder_are_passed_over_but_named_ones_are_not(
    folder: Path, tmp_path: Path, capsys
) -> None:
    Image.fromarray(COLOURS).save(folder / "photo.jpg")
    assert rmbg_review(folder, "-o", tmp_path / "sheet.jpg") == 0
    assert "1 pictures have no transparency" in capsys.readouterr().err
    assert rmbg_review(folder / "photo.jpg", "-o", tmp_path / "sheet.jpg") == 1
    assert "holds no mask" in capsys.readouterr().err


def test_what_cannot_be_read_is_named_and_the_others_go_on(
    folder: Path, tmp_path: Path, capsys
) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert rmbg_review(folder, tmp_path / "gone.png", "-", "-o", tmp_path / "sheet.jpg") == 1
    said = capsys.readouterr().err
    for name in ("broken.png", "gone.png", "standard input"):
        assert name in said
    assert (tmp_path / "sheet.jpg").exists()


def test_a_result_is_never_overwritten_and_an_old_sheet_is_no_result(folder: Path) -> None:
    before = (folder / "cut.png").read_bytes()
    with pytest.raises(BadOption, match="one of the results"):
        rmbg_review(folder, "-o", folder / "cut.png")
    assert (folder / "cut.png").read_bytes() == before
    for _ in range(2):
        assert rmbg_review(folder, "-o", folder / "review.png") == 0


def test_more_rows_than_the_format_is_high_is_a_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet, "TITLE", 16_000)
    with pytest.raises(BadOption, match=r"can be 16383 pixels high, and 3 rows need 17140\. Lower"):
        rmbg_review(folder, "-o", tmp_path / "sheet.webp")
    assert rmbg_review(folder, "-o", tmp_path / "sheet.webp", "--worst", "1") == 0


@pytest.mark.parametrize("number", ["0", "101", "some"])
def test_the_number_of_rows_has_limits(folder: Path, number: str) -> None:
    with pytest.raises(SystemExit):
        rmbg_review(folder, "--worst", number)
