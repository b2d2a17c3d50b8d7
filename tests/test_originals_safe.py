"""No result replaces a picture that is read, whatever links lie between the two."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.batch import Output, Recipe, run
from rmbg_nodes.batch.preview import preview
from rmbg_nodes.cli import main

KEYER = Recipe("keyer")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


def photo(path: Path, left: int = 16) -> bytes:
    """A picture that the keyer likes; its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((48, 64, 3), 240, np.uint8)
    pixels[12:36, left : left + 30] = (200, 40, 30)
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    photo(tmp_path / "shots" / "sub" / "a.png")
    photo(tmp_path / "shots" / "b.png", 20)
    return tmp_path / "shots"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mask", [False, True])
def test_a_linked_folder_in_dest_leads_to_no_original(shots, tmp_path, mask) -> None:
    if mask:
        photo(shots / "sub" / "a-mask.png")  # a photograph: it has colours
        os.remove(shots / "sub" / "a.png")
        photo(shots / "sub" / "a.jpg")
    before = contents(shots)
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "sub").symlink_to(shots / "sub")
    recipe = Recipe("keyer", output=Output(mask=mask))
    (dest / ".rmbg").mkdir()
    summary = run(shots, dest, recipe)
    assert {name: contents(shots)[name] for name in before} == before
    assert summary.counts.failed == 1
    assert summary.reasons == {"BadOption": 1}
    foreseen = preview(shots, dest, recipe)
    assert foreseen.survey.reasons == {"blocked": 1}
    assert "would replace pictures that are read" in foreseen.text()


def test_a_preview_foresees_it_before_the_first_run(shots, tmp_path) -> None:
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "sub").symlink_to(shots / "sub")
    before = contents(tmp_path)
    foreseen = preview(shots, dest, KEYER)
    assert foreseen.survey.reasons == {"blocked": 1, "new": 1}
    assert "would replace pictures that are read" in foreseen.text()
    assert contents(tmp_path) == before
    assert not (dest / ".rmbg").exists()


def test_another_sources_picture_is_an_original_too(tmp_path) -> None:
    photo(tmp_path / "one" / "a.jpg")
    other = photo(tmp_path / "two" / "a.png")
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "one").symlink_to(tmp_path / "two")
    summary = run([tmp_path / "one", tmp_path / "two"], dest, KEYER)
    assert (tmp_path / "two" / "a.png").read_bytes() == other
    assert (summary.counts.done_now, summary.counts.failed) == (1, 1)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_linked_file_that_is_an_original(shots, tmp_path, link, capsys) -> None:
    before = contents(shots)
    dest = tmp_path / "dest"
    dest.mkdir()
    link(shots / "b.png", dest / "b.png")
    summary = run(shots, dest, KEYER)
    assert (summary.counts.done_now, summary.counts.failed) == (1, 1)
    assert contents(shots) == before
    assert (dest / "b.png").read_bytes() == before["b.png"]
    one = ["remove", str(shots / "b.png"), "--backend", "keyer"]
    assert main([*one, "-o", str(dest / "b.png")]) == 2
    assert "is the picture that is read" in capsys.readouterr().err
    assert main([*one, "-o", f"{dest}/"]) == 0
    assert (dest / "b-2.png").exists()
    assert contents(shots) == before


def test_a_link_that_is_the_output_is_replaced_itself(shots, tmp_path) -> None:
    other = photo(tmp_path / "elsewhere.png")
    for number, dest in enumerate((tmp_path / "one", tmp_path / "two")):
        dest.mkdir()
        (dest / "b.png").symlink_to(tmp_path / ("elsewhere.png" if number else "nothing.png"))
        assert run(shots / "b.png", dest, KEYER).complete
        assert not (dest / "b.png").is_symlink()
    assert (tmp_path / "elsewhere.png").read_bytes() == other
    assert not (tmp_path / "nothing.png").exists()


def test_the_background_picture_is_no_place_for_a_result(shots, tmp_path) -> None:
    dest = tmp_path / "dest"
    behind = photo(dest / "b.png")
    recipe = Recipe("keyer", background=str(dest / "b.png"))
    assert run(shots, dest, recipe).counts.failed == 1
    assert (dest / "b.png").read_bytes() == behind


def test_two_folders_of_dest_that_are_one_keep_both_results(tmp_path) -> None:
    photo(tmp_path / "shots" / "x" / "a.png", 10)
    photo(tmp_path / "shots" / "y" / "a.png", 25)
    dest = tmp_path / "dest"
    (dest / "x").mkdir(parents=True)
    (dest / "y").symlink_to("x")
    for done in (2, 0):
        summary = run(tmp_path / "shots", dest, KEYER)
        assert (summary.counts.done_now, summary.complete) == (done, True)
    assert sorted(os.listdir(dest / "x")) == ["a-2.png", "a.png"]


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("command", ["mask", "composite", "review", "evaluate"])
def test_the_other_commands_write_over_no_input(shots, tmp_path, capsys, command, link) -> None:
    photo(shots / "cut.png")
    Image.new("LA", (64, 48), (90, 0)).save(shots / "cut.png")
    Image.new("L", (64, 48), 255).save(shots / "grey.png")
    before = contents(shots)
    out = tmp_path / "out.png"
    link(shots / ("cut.png" if command != "evaluate" else "grey.png"), out)
    cut, grey = str(shots / "cut.png"), str(shots / "grey.png")
    arguments = {
        "mask": ["mask", cut, grey, "-o", str(out)],
        "composite": ["composite", cut, "-o", str(out)],
        "review": ["review", cut, "-o", str(out)],
        "evaluate": ["evaluate", grey, grey, "--csv", str(out)],
    }[command]
    assert main(arguments) == 2
    assert "choose another name" in capsys.readouterr().err
    assert contents(shots) == before


def test_a_users_own_cutout_is_not_replaced(tmp_path, capsys) -> None:
    shots = tmp_path / "shots"
    photo(shots / "a.png")
    for silent in ([], ["--no-provenance"]):
        mine = photo(shots / "a-cutout.png", 9)
        for _ in range(3):
            assert main(["remove", str(shots), "--backend", "keyer", *silent]) == 0
            assert (shots / "a-cutout.png").read_bytes() == mine
        assert "a-cutout.png (its name says so)" in capsys.readouterr().err
        found = sorted(os.listdir(shots))
        assert found == ["a-cutout-2.png", "a-cutout.png", "a.png"], silent
        os.remove(shots / "a-cutout-2.png")
