"""`rmbg inspect` and `rmbg review` on what was really written: which file belongs to which receipt,
by its bytes, its pixels or only its id."""

# Pins the inside of pictures.deep
# Pins the inside of records.schema

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.batch import Remover, read_recipe
from rmbg_nodes.cli import main
from rmbg_nodes.demo.scenes import render
from rmbg_nodes.pictures.deep import encode_deep_png
from rmbg_nodes.pipeline import context
from rmbg_nodes.pipeline.context import open_user_records
from rmbg_nodes.records.schema import MIGRATIONS

KEYER = ["--backend", "keyer"]
Change = Callable[[Path, Path], None]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "records" / "records.sqlite"


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    levels = (render("soft", 3, (96, 120), backdrop="studio").image * 255).round().astype(np.uint8)
    path = tmp_path / "in" / "shot.png"
    path.parent.mkdir()
    Image.fromarray(levels).save(path)
    return path


def cut(shot: Path, name: str, *more: str) -> Path:
    out = shot.parent.parent / "out" / name
    assert main(["remove", str(shot), "-o", str(out), *KEYER, *more]) == 0
    return out


def inspected(capsys: pytest.CaptureFixture[str], path: Path) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = main(["inspect", str(path), "--json"])
    return status, json.loads(capsys.readouterr().out)


def reviewed(
    capsys: pytest.CaptureFixture[str], *paths: Path
) -> tuple[int, dict[str, dict[str, Any]], str]:
    """The exit status, the rows by the files' names, and what was said on stderr."""
    capsys.readouterr()
    words = [*map(str, paths), "-r", "--json", "-o", str(paths[0].parent / "sheet.jpg")]
    status = main(["review", *words])
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines() if line]
    return status, {Path(row["picture"]).name: row for row in rows}, said.err


def copied(path: Path, out: Path) -> None:
    shutil.copyfile(path, out)


def saved_again(path: Path, out: Path) -> None:
    with Image.open(path) as image:
        image.save(out, quality=80, xmp=image.info.get("xmp"))


def stripped(path: Path, out: Path) -> None:
    with Image.open(path) as image:
        Image.fromarray(np.asarray(image)).save(out)


def edited(path: Path, out: Path) -> None:
    with Image.open(path) as image:
        levels, xmp = np.array(image), image.info.get("xmp")
    levels[40:50, 40:50] = 9
    Image.fromarray(levels).save(out, xmp=xmp, lossless=True)


@pytest.mark.parametrize("more", [[], ["--no-provenance"]], ids=["says", "silent"])
@pytest.mark.parametrize("suffix", ["jpg", "webp", "tiff", "png"])
def test_a_file_is_known_by_its_bytes_in_every_format(
    shot: Path, capsys: pytest.CaptureFixture[str], suffix: str, more: list[str]
) -> None:
    path = cut(shot, f"cut.{suffix}", "--background", "white", *more)
    renamed = path.with_name(f"other name.{suffix}")
    path.rename(renamed)
    (receipt,) = open_user_records().receipts.each()
    status, data = inspected(capsys, renamed)
    assert (status, data["match"], data["part"]) == (0, "bytes", "image")
    assert data["receipts"] == [receipt.id]
    assert f"Its bytes are those of the file written with receipt {receipt.id}" in data["verdict"]
    assert (data["says"] is None) == bool(more)


@pytest.mark.parametrize(
    ("suffix", "change", "match", "status"),
    [
        ("jpg", copied, "bytes", 0),
        ("jpg", saved_again, "id", 1),
        ("jpg", edited, "id", 1),
        ("jpg", stripped, "none", 1),
        ("webp", stripped, "none", 1),
        ("webp", edited, "id", 1),
        ("png", stripped, "pixels", 0),
        ("tiff", stripped, "pixels", 0),
    ],
)
def test_what_became_of_a_file_is_told(
    shot: Path,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
    change: Change,
    match: str,
    status: int,
) -> None:
    path = cut(shot, f"cut.{suffix}", "--background", "#ccddee")
    changed = path.with_name(f"changed.{suffix}")
    change(path, changed)
    found, data = inspected(capsys, changed)
    assert (found, data["match"]) == (status, match)
    assert bool(data["receipts"]) == (status == 0)


def test_a_receipt_of_another_machine_is_no_match_of_its_id(
    shot: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cut(shot, "cut.jpg", "--background", "white")
    monkeypatch.setenv("RMBG_DATA", str(shot.parent / "elsewhere"))
    status, data = inspected(capsys, path)
    assert (status, data["match"]) == (1, "none")
    assert "which is not here" in data["verdict"]


def test_sixteen_bits_and_masks_are_known_by_their_bytes(
    shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = np.full((40, 50, 3), 60000, np.uint16)
    deep[10:30, 15:35] = (20001, 9003, 30005)
    shot.write_bytes(encode_deep_png(deep, None))
    mask = shot.parent / "m.png"
    path = cut(shot, "cut.png", "--mask", str(mask))
    status, data = inspected(capsys, path)
    assert (status, data["match"], data["depth"]) == (0, "bytes", 16)
    status, data = inspected(capsys, mask)
    assert (status, data["match"], data["part"]) == (0, "bytes", "mask")
    only = cut(shot, "only.jpg", "--only-mask", "--no-provenance")
    status, data = inspected(capsys, only)
    assert (status, data["match"], data["part"]) == (0, "bytes", "mask")


def batch(shot: Path, *more: str) -> Path:
    out = shot.parent.parent / "shop"
    assert main(["batch", str(shot.parent), "-o", str(out), *KEYER, *more]) in (0, 1)
    return out


def test_what_a_batch_and_its_callable_deliver_is_known(
    shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = batch(shot, "--preset", "white-2000", "--mask")
    assert inspected(capsys, out / "shot.jpg")[1]["match"] == "bytes"
    assert inspected(capsys, out / "shot-mask.png")[1]["part"] == "mask"
    recipe = read_recipe(over={"preset": "white-2000"})
    rows = Remover(recipe, backend="keyer")({"bytes": [shot.read_bytes()]})
    handed = tmp_path / "handed.jpg"
    assert isinstance(rows["image"][0], bytes)
    handed.write_bytes(rows["image"][0])
    assert inspected(capsys, handed)[:1] == (0,)


def test_hashes_do_not_touch_the_chain_and_old_records_are_taken_along(
    shot: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(shot, "old.jpg", "--background", "white")
    old = shot.parent.parent / "out" / "old.jpg"
    open_user_records().close()
    with sqlite3.connect(data) as connection:  # as the version before has left it
        connection.execute("DROP TABLE delivered_files")
        connection.execute("DROP INDEX one_job_a_key")
        for column in ("repeat_key", "repeat_until"):
            connection.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
        (before,) = (n for n, made in enumerate(MIGRATIONS) if "delivered_files" in str(made))
        connection.execute(f"PRAGMA user_version = {before}")
    connection.close()
    context._opened.cache_clear()
    status, found = inspected(capsys, old)
    assert (status, found["match"]) == (1, "id")
    assert "before files were noted" in found["verdict"]
    new = cut(shot, "new.jpg", "--background", "white")
    assert inspected(capsys, new)[1]["match"] == "bytes"
    assert main(["receipts", "verify"]) == 0


def test_a_hash_that_cannot_be_kept_costs_no_picture_and_is_said(
    shot: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(shot, "first.jpg", "--background", "white")
    with sqlite3.connect(data) as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON delivered_files "
            "BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    connection.close()
    capsys.readouterr()
    path = cut(shot, "second.jpg", "--background", "black")
    assert path.exists()
    assert "hash was not kept" in capsys.readouterr().err
    out = batch(shot, "--preset", "white-2000")
    assert (out / "shot.jpg").exists()
    assert inspected(capsys, out / "shot.jpg")[1]["match"] == "id"


def test_a_changed_receipt_knows_no_file(
    shot: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cut(shot, "cut.jpg", "--background", "white")
    with sqlite3.connect(data) as connection:
        connection.execute("UPDATE receipts SET body = replace(body, 'keyer', 'other')")
    connection.close()
    assert inspected(capsys, path)[1]["match"] == "none"


def test_a_marketplace_jpeg_is_judged_by_its_receipt(
    shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = np.full((90, 120, 3), 240, np.uint8)
    levels[30:, 40:80] = (90, 30, 40)  # the lower border cuts it off, which white does not show
    Image.fromarray(levels).save(shot.parent / "cut-off.png")
    out = batch(shot, "--preset", "white-2000")
    status, rows, said = reviewed(capsys, out)
    assert status == 0
    assert set(rows) == {"shot.jpg", "cut-off.jpg"}
    assert {row["judged_by"] for row in rows.values()} == {"receipt"}
    assert {row["match"] for row in rows.values()} == {"bytes"}
    assert rows["cut-off.jpg"]["flags"]["touches_border"]
    assert rows["cut-off.jpg"]["flags"]["sides"] == ["bottom"]
    assert rows["cut-off.jpg"]["warnings"] == [
        "the subject touches the picture's border (bottom)",
        "the subject was enlarged 28.3 times, it may look soft",
    ]
    assert "of 2 results are doubtful" in said
    assert (out.parent / "sheet.jpg").exists()


def test_a_grey_product_on_white_is_never_taken_for_a_mask(
    shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = np.full((90, 120, 3), 240, np.uint8)
    levels[20:70, 40:80] = 60
    Image.fromarray(levels).save(shot)
    out = batch(shot, "--preset", "white-2000")
    (path,) = out.glob("*.jpg")
    flags = reviewed(capsys, out)[1]["shot.jpg"]
    assert flags["judged_by"] == "receipt"
    assert flags["warnings"] == ["the subject was enlarged 34.0 times, it may look soft"]
    bare = out / "bare.jpg"
    stripped(path, bare)
    saved_again(path, out / "again.jpg")
    with Image.open(bare) as image:
        image.convert("L").save(out / "grey.png")
    status, rows, said = reviewed(capsys, out)
    assert status == 0
    assert (rows["again.jpg"]["judged_by"], rows["again.jpg"]["match"]) == ("receipt", "id")
    for name in ("bare.jpg", "grey.png"):
        assert rows[name]["flags"] is None
        assert "no receipt here knows it" in rows[name]["not_judged"]
    assert "2 pictures have no transparency and no receipt" in said
    capsys.readouterr()
    assert main(["review", str(out), "-o", str(shot.parent / "sheet.jpg")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{bare}: not judged" in "\n".join(lines)
    assert reviewed(capsys, bare)[0] == 1


def test_an_opaque_picture_is_never_overwritten_by_the_sheet(
    shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = shot.with_name("photo.jpg")
    stripped(shot, photo)
    before = photo.read_bytes()
    Image.new("RGBA", (9, 9)).save(shot.with_name("empty.png"))
    assert main(["review", str(shot.parent), "-o", str(photo)]) == 2
    assert "choose another name" in capsys.readouterr().err
    assert photo.read_bytes() == before


def test_standard_input_is_known_by_its_bytes(
    shot: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cut(shot, "cut.jpg", "--background", "white", "--no-provenance")

    class Input:
        buffer = io.BytesIO(path.read_bytes())

    monkeypatch.setattr("sys.stdin", Input)
    capsys.readouterr()
    assert main(["inspect", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["match"] == "bytes"
