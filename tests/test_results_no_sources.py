"""Results of this package are never taken for pictures: not beside them, not in folders inside
theirs, not in a second or third run, by either command."""

# Pins the inside of pictures.results

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.batch import Output, Recipe, run
from rmbg_nodes.batch.preview import preview
from rmbg_nodes.cli import main
from rmbg_nodes.pictures.results import BY_NAME, IN_FILE, made_here
from rmbg_nodes.tests.support.hosted.opening import loopback
from rmbg_nodes.tests.support.hosted.server import HostedServer


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    with loopback(monkeypatch, "fal") as server:
        yield server


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A folder with one JPEG and one PNG, and one more below it."""
    for seed, name in enumerate(("a.jpg", "b.png", "more/c.jpg")):
        photo(tmp_path / "shots" / name, seed)
    return tmp_path / "shots"


def photo(path: Path, seed: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:48, :64]
    disc = 250 - 56 * np.clip(np.hypot(y - 24, x - 20 - 3 * seed) - 10, 0, 4)
    Image.fromarray(np.stack([disc, disc * 0.9, disc * 0.8], -1).astype(np.uint8)).save(path)
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


WAYS = {
    "beside": [],
    "beside, silent": ["--no-provenance"],
    "with masks": ["--mask", "{shots}"],
    "with masks, silent": ["--mask", "{shots}", "--no-provenance"],
    "masks alone, silent": ["--only-mask", "--no-provenance"],
    "jpeg, silent": ["--background", "white", "--format", "jpg", "--no-provenance"],
    "jpeg": ["--background", "white", "--format", "jpg"],
    "webp": ["--format", "webp"],
    "tiff": ["--format", "tiff"],
    "the folder itself": ["-o", "{shots}"],
    "the folder itself, silent": ["-o", "{shots}", "--no-provenance"],
    "a folder in it": ["-o", "{shots}/out"],
    "a folder in it, silent": ["-o", "{shots}/out", "--no-provenance"],
    "masks in a folder in it, silent": ["--mask", "{shots}/masks", "--no-provenance"],
}


@pytest.mark.parametrize("way", WAYS)
def test_three_runs_pay_once_and_make_the_same_files(fal, shots, way) -> None:
    more = [word.replace("{shots}", str(shots)) for word in WAYS[way]]
    command = ["remove", "-r", str(shots), "--backend", "fal", *more]
    seen = []
    for _ in range(3):
        assert main(command) == 0
        seen.append((fal.bills, files(shots)))
    assert seen[0][0] == 3
    assert seen[1:] == [seen[0]] * 2


@pytest.mark.parametrize("silent", [False, True])
def test_the_results_of_one_command_are_no_pictures_of_the_other(fal, shots, silent) -> None:
    quiet = ["--no-provenance"] if silent else []
    remove = ["remove", "-r", str(shots), "--backend", "fal", *quiet]
    batch = ["batch", str(shots), "--backend", "fal", "--mask", *quiet, "-o"]
    assert main(remove) == 0
    for dest in ("one", "two", "one"):
        assert main([*batch, str(shots / dest)]) == 0
    assert main(remove) == 0
    assert fal.bills == 3
    assert {path.name for path in shots.iterdir()} >= {"one", "two"}
    assert not [name for name in files(shots / "two") if "cutout" in name]


def test_what_is_passed_over_is_named_and_counted(shots, capsys) -> None:
    mine = photo(shots / "portrait-cutout.png", 3)
    assert main(["remove", str(shots), "--backend", "keyer", "--json"]) == 0
    said = capsys.readouterr()
    assert f"1 picture is a result of this package: {mine} (its name says so)" in said.err
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert {"input": str(mine), "passed_over": BY_NAME} in rows
    assert len(rows) == 3
    assert main(["remove", str(mine), "--backend", "keyer", "--json"]) == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["input"] == str(mine)
    assert row["error"] is None


def test_a_named_file_is_taken_beside_its_folder(shots, capsys) -> None:
    mine = photo(shots / "portrait-cutout.png", 3)
    arguments = ["remove", str(shots), os.path.relpath(mine), "--backend", "keyer", "--dry-run"]
    assert main(arguments) == 0
    assert "3 pictures" in capsys.readouterr().out


def test_nothing_but_results(shots, capsys, tmp_path) -> None:
    assert main(["remove", str(shots), "-o", str(tmp_path / "out/"), "--backend", "keyer"]) == 0
    capsys.readouterr()
    assert main(["remove", str(tmp_path / "out"), "--backend", "keyer"]) == 2
    assert "nothing to cut out. 2 pictures are results" in capsys.readouterr().err


def test_a_batch_names_and_counts_them_too(shots, tmp_path, capsys) -> None:
    mine = photo(shots / "portrait-cutout.png", 3)
    assert main(["remove", "-r", str(shots), "--backend", "keyer"]) == 0
    capsys.readouterr()
    command = ["batch", str(shots), "-o", str(tmp_path / "dest"), "--backend", "keyer", "--json"]
    assert main([*command, "--dry-run"]) == 0
    foreseen = json.loads(capsys.readouterr().out)
    assert (foreseen["pictures"], foreseen["passed_over"]) == (3, 4)
    for done in (3, 0):
        assert main(command) == 0
        said = capsys.readouterr()
        summary = json.loads(said.out)
        assert (summary["pictures"], summary["done_now"], summary["passed_over"]) == (3, done, 4)
        names = {row["picture"]: row["why"] for row in summary["passed_over_pictures"]}
        assert names == {
            "a.png": IN_FILE,
            "b-cutout.png": IN_FILE,
            "portrait-cutout.png": BY_NAME,
            "more/c.png": IN_FILE,
        }
        assert "portrait-cutout.png (its name says so)" in said.err
    outlook = preview(shots, tmp_path / "dest", Recipe("keyer"))
    assert (outlook.survey.total, outlook.survey.done, outlook.survey.passed_over) == (3, 3, 4)
    summary = run([shots, mine], tmp_path / "other", Recipe("keyer"))
    assert summary.counts.total == 4


def test_a_manifest_names_its_pictures(shots, tmp_path) -> None:
    photo(shots / "portrait-cutout.png", 3)
    (tmp_path / "list.csv").write_text("path\nshots/portrait-cutout.png\n")
    assert run(tmp_path / "list.csv", tmp_path / "dest", Recipe("keyer")).counts.done_now == 1


def test_a_result_that_takes_the_place_of_a_done_picture(fal, shots, tmp_path) -> None:
    out = tmp_path / "out.png"
    recipe = Recipe("fal", output=Output(format="png"))
    run(shots / "more", tmp_path / "dest", recipe)
    assert main(["remove", str(shots / "more" / "c.jpg"), "-o", str(out), "--backend", "fal"]) == 0
    os.replace(out, shots / "more" / "c.jpg")
    summary = run(shots / "more", tmp_path / "dest", recipe)
    assert (summary.counts.total, summary.counts.passed_over, fal.bills) == (0, 1, 1)


def test_a_picture_of_a_mask_is_a_picture(shots) -> None:
    assert made_here(photo(shots / "face-mask.jpg")) == ""
    Image.new("L", (8, 8)).save(shots / "face-mask.png")
    assert made_here(shots / "face-mask.png") == BY_NAME
    assert made_here(photo(shots / "face-cutout.bmp")) == ""


@pytest.mark.parametrize(
    "command", ["mask", "composite", "review", pytest.param("demo", marks=pytest.mark.whole)]
)
def test_every_command_signs_what_it_makes(shots, tmp_path, command) -> None:
    image, out = str(shots / "a.jpg"), tmp_path / "made" / "new.png"
    if command == "mask":
        Image.new("L", (64, 48), 255).save(shots / "grey.png")
        assert main(["mask", image, str(shots / "grey.png"), "-o", str(out)]) == 0
    elif command == "composite":
        assert main(["composite", image, "-o", str(out)]) == 0
    elif command == "review":
        Image.new("RGBA", (64, 48)).save(shots / "empty.png")
        out = tmp_path / "made" / "sheet.jpg"
        assert main(["review", str(shots / "empty.png"), "-o", str(out)]) == 0
    else:
        assert main(["demo", "-o", str(out.parent)]) == 0
        out = out.parent / "contact-sheet.png"
        assert made_here(out.parent / "product-shot.png") == ""
        assert made_here(out.parent / "product-shot-composite.png") == IN_FILE
    assert made_here(out) == IN_FILE
