"""`rmbg remove` writes where a cut-out comes from, and `rmbg inspect` reads it and looks it up."""

# Pins the inside of pictures.xmp

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.demo.scenes import render
from rmbg_nodes.pictures.metadata import Metadata, metadata_of
from rmbg_nodes.pictures.provenance import ALTERED, GENERATED, KEYWORD, Provenance, read_provenance
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.pictures.write import encode
from rmbg_nodes.pictures.xmp import write_xmp
from rmbg_nodes.pipeline.context import open_user_records
from rmbg_nodes.tests.support.hosted.opening import loopback
from rmbg_nodes.tests.support.inspecting import inspected

KEYER = ["--backend", "keyer"]
DECLARED = Metadata(write_xmp({"Iptc4xmpExt:DigitalSourceType": GENERATED}))


@pytest.fixture(scope="module")
def scene() -> torch.Tensor:
    return torch.from_numpy(render("soft", 3, (96, 120), backdrop="studio").image)


@pytest.fixture
def shot(scene: torch.Tensor, tmp_path: Path) -> Path:
    path = tmp_path / "anna-secret" / "shot.png"
    path.parent.mkdir()
    path.write_bytes(encode(scene, "png"))
    return path


def cut(shot: Path, name: str, *more: str) -> Path:
    out = shot.parent.parent / "out" / name
    assert main(["remove", str(shot), "-o", str(out), *KEYER, *more]) == 0
    return out


def levels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def said_by(path: Path) -> Provenance | None:
    return read_provenance(metadata_of(path.read_bytes()))


def verdict(capsys: pytest.CaptureFixture[str], path: Path) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = inspected(str(path), "--json")
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_a_cutout_says_what_made_it_and_its_receipt_matches(
    shot: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    path = cut(shot, f"cut.{suffix}")
    said = said_by(path)
    assert said is not None
    assert (said.backend, said.usage, said.left_machine) == ("keyer", "non-commercial", "no")
    assert said.source_type == ALTERED
    (receipt,) = open_user_records().receipts.each()
    assert said.receipt == receipt.id
    status, data = verdict(capsys, path)
    assert status == 0
    assert data["receipts"] == [receipt.id]
    assert data["says"]["receipt"] == receipt.id
    assert (data["format"], data["width"], data["height"]) == (suffix, 120, 96)


def test_the_mask_says_it_too_but_is_no_photograph(
    shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = shot.parent.parent / "mask.png"
    cut(shot, "cut.png", "--mask", str(mask))
    said = said_by(mask)
    assert said is not None
    assert said.source_type == ""
    assert verdict(capsys, mask)[0] == 0


def test_standard_output_says_it_too(shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=buffer))
    assert main(["remove", str(shot), "-o", "-", *KEYER]) == 0
    assert read_provenance(metadata_of(buffer.getvalue())) is not None


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "jpg"])
def test_it_can_be_switched_off(shot: Path, suffix: str) -> None:
    path = cut(shot, f"cut.{suffix}", "--no-provenance", "--background", "white")
    data = path.read_bytes()
    for word in (b"rmbg", b"xpacket", b"iptc", b"Software", b"R-"):
        assert word not in data
    with_it = cut(shot, f"with.{suffix}", "--background", "white")
    assert said_by(with_it) is not None
    np.testing.assert_array_equal(levels_of(path), levels_of(with_it))


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A key, with a provider on this machine that takes it."""
    with loopback(monkeypatch, "fal") as server:
        yield server.environment()["FAL_KEY"]


def test_neither_key_nor_path_nor_name_is_in_the_file(
    shot: Path, fal: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBG_BRIA_LICENCE", "BRIA-4711")
    out = shot.parent.parent / "out" / "hosted.png"
    hosted = ["--backend", "fal/rmbg-2.0", "--usage", "commercial"]
    assert main(["remove", str(shot), "-o", str(out), *hosted]) == 0
    data = out.read_bytes()
    metadata = metadata_of(data)
    texts = metadata.xmp.decode() + json.dumps(dict(metadata.texts))
    for private in (fal, "anna", "shot", "secret", "4711", str(shot.parent), "hosted.png"):
        assert private not in texts
        assert private.encode() not in data
    said = said_by(out)
    assert said is not None
    assert said.left_machine == "yes"
    assert said.request_id
    assert verdict(capsys, out)[0] == 0


def test_a_picture_that_was_generated_stays_so(scene: torch.Tensor, shot: Path) -> None:
    shot.write_bytes(encode(scene, "png", metadata=DECLARED))
    said = said_by(cut(shot, "cut.png"))
    assert said is not None
    assert said.source_type == GENERATED


def test_sixteen_bits_are_matched_at_sixteen_bits(
    scene: torch.Tensor, shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shot.write_bytes(encode(scene * 0.987 + 0.0031, "png", depth=16))
    path = cut(shot, "cut.png")
    status, data = verdict(capsys, path)
    assert (status, data["depth"]) == (0, 16)
    picture = read_picture(path, name="cut")
    pixels = torch.cat([picture.pixels, picture.alpha[..., None]], dim=-1)  # type: ignore[index]
    pixels[0, 0, 0] += 1 / 65535
    path.write_bytes(encode(pixels, "png", depth=16))
    assert verdict(capsys, path)[0] == 0  # its 8-bit form is the same
    pixels[40:50, 40:50, 0] = 0.5
    path.write_bytes(encode(pixels, "png", depth=16))
    assert verdict(capsys, path)[0] == 1


def test_one_changed_level_is_no_match(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cut(shot, "cut.png")
    with Image.open(path) as image:
        levels, texts = np.array(image), dict(image.info)
    levels[50, 60, 1] ^= 1
    metadata = Metadata(texts["XML:com.adobe.xmp"].encode())
    path.write_bytes(encode(torch.from_numpy(levels / 255).float(), "png", metadata=metadata))
    status, data = verdict(capsys, path)
    assert status == 1
    assert data["receipts"] == []
    assert f"although the file names {data['says']['receipt']}" in data["verdict"]


def test_a_file_stripped_of_metadata_still_matches(
    shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cut(shot, "cut.png", "--no-provenance")
    status, data = verdict(capsys, path)
    assert (status, data["says"]) == (0, None)


def test_a_file_that_names_another_receipt_is_told(
    scene: torch.Tensor, shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = cut(shot, "first.png")
    shot.write_bytes(encode(scene.flip(1), "png"))
    other = said_by(cut(shot, "second.png"))
    assert other is not None
    picture = read_picture(first, name="first")
    pixels = torch.cat([picture.pixels, picture.alpha[..., None]], dim=-1)  # type: ignore[index]
    first.write_bytes(encode(pixels, "png", metadata=other.metadata()))
    status, data = verdict(capsys, first)
    assert status == 0
    assert data["receipts"] != [other.receipt]
    assert f"names another one, {other.receipt}" in data["verdict"]


def test_a_jpeg_says_it_and_its_bytes_prove_it(
    shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cut(shot, "cut.jpg", "--background", "white")
    assert said_by(path) is not None
    status, data = verdict(capsys, path)
    assert (status, data["match"]) == (0, "bytes")


def test_people_read_lines(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cut(shot, "cut.png")
    capsys.readouterr()
    assert inspected(str(path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: PNG, 120 x 96, 8 bits, with alpha"
    assert "  backend:          keyer" in lines
    assert lines[-1].startswith("Its bytes are those of the file written with receipt R-")
    assert inspected(str(shot)) == 1
    assert "It says nothing of a background removal" in capsys.readouterr().out


def test_a_file_writes_no_verdict_of_its_own(
    scene: torch.Tensor, shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lie = "x\nIts pixels are those of receipt R-1.\x1b[8m"
    said = json.dumps({"backend": "keyer", "model": lie, "receipt": lie})
    shot.write_bytes(encode(scene, "png", metadata=Metadata(texts={KEYWORD: said})))
    capsys.readouterr()
    assert inspected(str(shot)) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert not [line for line in out.splitlines() if line.startswith("Its pixels")]
    assert out.splitlines()[-1].startswith("No receipt has these pixels, although")


def test_what_cannot_be_read_is_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.png").write_text("hello")
    for name in ("missing.png", "text.png"):
        assert inspected(str(tmp_path / name)) == 2
        assert name in capsys.readouterr().err
