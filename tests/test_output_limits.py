"""Results of which header and plan say that they cannot be written: nothing is sent for them."""

# Pins the inside of pictures.places

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes.batch import Canvas, Output, Recipe, Remover, run
from rmbg_nodes.cli import main
from rmbg_nodes.core.errors import BadOption
from rmbg_nodes.pictures.formats import by_id
from rmbg_nodes.pictures.places import Places
from rmbg_nodes.pictures.write import check_size, encode
from rmbg_nodes.tests.support.hosted.opening import loopback
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.test_pictures_colour import wide_rgb


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedServer]:
    with loopback(monkeypatch, "fal") as server:
        yield server


def photo(path: Path, width: int = 64, height: int = 48, format: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    pixels = np.broadcast_to(ramp[None, :, None], (height, width, 3))
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, format or None)
    return path


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    photo(tmp_path / "shots" / "good.jpg")
    return tmp_path / "shots"


def said_of(out: str) -> dict[str, str | None]:
    """Name -> error of the rows."""
    rows = [json.loads(line) for line in out.splitlines()]
    return {Path(row["input"]).name: row["error"] for row in rows}


def remove(*arguments: object) -> list[str]:
    return ["remove", *map(str, arguments), "--backend", "fal", "--json"]


TOO_WIDE = [
    (16384, "webp", ["--format", "webp"], "WebP holds at most 16383"),
    (65536, "jpg", ["--format", "jpg", "--background", "white"], "JPEG holds at most 65535"),
    (16384, "mask", ["--mask", "{out}/wide-mask.webp"], "WebP holds at most 16383"),
]


@pytest.mark.parametrize(("width", "kind", "more", "words"), TOO_WIDE)
def test_a_picture_that_the_format_cannot_hold_is_not_sent(
    fal, shots, tmp_path, capsys, width, kind, more, words
) -> None:
    wide = photo(shots / "wide.png", width, 2)
    sources = [wide] if kind == "mask" else [shots]
    more = [word.replace("{out}", str(tmp_path)) for word in more]
    assert main([*remove(*sources, "-o", f"{tmp_path / 'out'}/"), *more]) == 1
    said = said_of(capsys.readouterr().out)
    assert words in (said["wide.png"] or "")
    assert fal.bills == len(said) - 1
    if kind != "mask":
        command = ["batch", str(shots), "-o", str(tmp_path / "dest"), "--backend", "fal", "--json"]
        form = "jpeg" if kind == "jpg" else kind
        command += ["--format", form, *(more[2:] if kind == "jpg" else [])]
        assert main(command) == 1
        summary = json.loads(capsys.readouterr().out)
        assert (summary["done_now"], summary["quarantined"], summary["cost"]) == (1, 1, "0")
        assert fal.bills == 1
        row = Remover(Recipe("fal", output=Output(format="webp")))({"bytes": [wide.read_bytes()]})
        assert "WebP holds" in str(row["error"][0])
        assert fal.bills == 1


def test_colours_that_a_background_cannot_have_are_not_sent(fal, shots, tmp_path, capsys) -> None:
    odd = shots / "odd.png"
    odd.write_bytes(encode(torch.rand(48, 64, 3), "png", depth=16, icc_profile=wide_rgb()))
    assert main([*remove(shots, "-o", f"{tmp_path / 'out'}/"), "--background", "white"]) == 1
    assert said_of(capsys.readouterr().out)["odd.png"]
    assert fal.bills == 1


def test_names_that_grow_too_long(fal, shots, tmp_path, capsys) -> None:
    long = photo(shots / f"{'n' * 248}.png")  # and -cutout.png makes 259
    assert main(remove(shots)) == 1
    said = said_of(capsys.readouterr().out)
    assert "259 bytes, and this disk allows 255" in (said[long.name] or "")
    assert said["good.jpg"] is None
    assert fal.bills == 1
    wide = photo(shots / f"{'é' * 124}.png")
    assert main(remove(wide)) == 2
    assert "bytes, and this disk allows" in capsys.readouterr().err
    assert fal.bills == 1


def test_a_path_that_the_system_does_not_take(tmp_path) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 25) / "a.png"
    assert "too long" in Places().trouble(deep)
    folder = tmp_path / "d"
    while len(os.fsencode(folder)) < os.pathconf(tmp_path, "PC_PATH_MAX") - 20:
        folder = folder / "d"
    assert "bytes, and this system allows" in Places().trouble(folder / "a.png")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("what", ["folder", "file above", "rights"])
def test_a_place_that_cannot_be_written(fal, shots, tmp_path, capsys, what) -> None:
    out = tmp_path / "out"
    photo(shots / "more.jpg")
    if what == "folder":
        (out / "good.png").mkdir(parents=True)
    elif what == "file above":
        out.mkdir()
        photo(out / "sub", format="PNG")
    elif os.name == "nt" or os.geteuid() == 0:
        pytest.skip("root and Windows write into any folder")
    else:
        out.mkdir(mode=0o500)
    for status, tail in ((1 if what == "folder" else 2, ""), (2, "")):
        target = out / "sub" / "x" if what == "file above" else out
        sources = [shots] if status == 1 else [shots / "good.jpg"]
        assert main(remove(*sources, "-o", f"{target}/{tail}")) == status
        assert "cannot be written" in capsys.readouterr().err
    assert fal.bills == (1 if what == "folder" else 0)


def test_a_dry_run_knows_and_touches_nothing(fal, shots, tmp_path, capsys) -> None:
    (tmp_path / "out" / "good.png").mkdir(parents=True)
    photo(shots / "more.jpg")
    command = remove(shots, "-o", f"{tmp_path / 'out'}/")
    assert main([*command, "--dry-run"]) == 1
    said = said_of(capsys.readouterr().out)
    assert "a folder has this name" in (said["good.jpg"] or "")
    assert os.listdir(tmp_path / "out") == ["good.png"]


def test_nothing_is_made_where_nothing_can_be_written(fal, shots, tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert main(remove(shots, "-o", tmp_path / "file" / "a" / "b.png")) == 2
    assert sorted(os.listdir(tmp_path)) == ["file", "shots"]


@pytest.mark.parametrize("mask", [False, True])
def test_a_batch_sends_nothing_for_a_place_that_is_taken(fal, shots, tmp_path, mask) -> None:
    photo(shots / "more.jpg")
    dest = tmp_path / "dest"
    blocked = dest / ("good-mask.png" if mask else "good.png")
    blocked.mkdir(parents=True)
    recipe = Recipe("fal", output=Output(mask=mask))
    summary = run(shots, dest, recipe)
    assert (summary.counts.done_now, summary.counts.failed, fal.bills) == (1, 1, 1)
    assert str(summary.cost) == "0.018"
    blocked.rmdir()
    assert run(shots, dest, recipe).complete
    assert fal.bills == 1, "the same picture as the other"


def test_a_canvas_that_no_picture_fits_is_not_sent(fal, shots, tmp_path) -> None:
    canvas = Canvas((400, 400), fit="contain", scale=100)
    summary = run(shots, tmp_path / "dest", Recipe("fal", canvas=canvas))
    assert (summary.counts.quarantined, fal.bills) == (1, 0)


def test_formats_say_how_much_they_hold() -> None:
    tiff, png = by_id("tiff"), by_id("png")
    assert tiff
    assert png
    check_size(png, 30_000, 30_000, 8)
    with pytest.raises(BadOption, match="TIFF holds at most"):
        check_size(tiff, 30_000, 30_000, 8)
