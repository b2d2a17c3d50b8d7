"""A JPEG whose scan was damaged is refused, and no intact one is taken for damaged."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rmbg_nodes.cli import main
from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.pictures.read import read_picture

RNG = np.random.default_rng(4)


def _product() -> Image.Image:
    image = Image.new("RGB", (330, 250), "white")
    ImageDraw.Draw(image).ellipse((90, 40, 240, 200), fill=(40, 120, 70))
    return image


def _photograph() -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 1, 330), np.linspace(0, 1, 250))
    waves = np.stack([128 + 90 * np.sin(9 * x * y + k + 4 * x) for k in range(3)], -1)
    return Image.fromarray((waves + RNG.normal(0, 5, waves.shape)).clip(0, 255).astype(np.uint8))


IMAGES = {
    "product": _product(),
    "photograph": _photograph(),
    "noise": Image.fromarray(RNG.integers(0, 256, (90, 77, 3), np.uint8)),
    "one colour": Image.new("RGB", (61, 47), (200, 30, 60)),
    "one pixel": Image.new("RGB", (1, 1)),
}
SETTINGS: dict[str, dict[str, object]] = {
    "plain": {},
    "progressive": {"progressive": True},
    "optimised": {"optimize": True},
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "restart rows": {"restart_marker_rows": 1},
    "restart blocks": {"restart_marker_blocks": 3},
    "restarts, progressive": {"restart_marker_blocks": 3, "progressive": True},
    "RGB": {"keep_rgb": True},
}


def saved(image: Image.Image, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **settings)
    return file.getvalue()


def codes_of(data: bytes) -> tuple[int, int]:
    """Where the codes of the first scan begin, and where the file ends."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"), len(data) - 2


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("quality", [5, 60, 90, 100])
def test_intact_files_are_read(image: str, settings: str, quality: int) -> None:
    data = saved(IMAGES[image], quality=quality, **SETTINGS[settings])
    kinds = {
        "as it is": data,
        "junk behind the end": data + b"junk\0" * 99,
        "a second picture behind it": data + data,
        "fill before the end": data[:-2] + b"\xff\xff\xff\xd9",
        "zeros before the end": data[:-2] + bytes(40) + b"\xff\xd9",
    }
    for case, content in kinds.items():
        picture = read_picture(content, name=case)
        assert picture.pixels.shape == (*IMAGES[image].size[::-1], 3), case


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_intact_files_of_other_modes_are_read(mode: str, progressive: bool) -> None:
    for quality in (5, 60, 100):
        image = IMAGES["photograph"].convert(mode)
        assert read_picture(saved(image, quality=quality, progressive=progressive), name="x")


@pytest.mark.parametrize("settings", ["plain", "4:4:4", "4:2:2", "restart rows", "restart blocks"])
@pytest.mark.parametrize("length", [50, 100, 200, 500])
@pytest.mark.parametrize("image", ["product", "photograph"])
def test_zeros_in_the_scan_are_damage(image: str, length: int, settings: str) -> None:
    """At every place: a code of zeros is a number, and nobody's picture repeats it so often."""
    data = saved(IMAGES[image], quality=90, **SETTINGS[settings])
    first, last = codes_of(data)
    places = random.Random(1).sample(range(first, last - length), 40)
    for place in places:
        damaged = data[:place] + bytes(length) + data[place + length :]
        with pytest.raises(BadPicture, match="the file is damaged"):
            read_picture(damaged, name="x")


@pytest.mark.parametrize("settings", ["plain", "optimised", "restart rows"])
def test_a_scan_that_ends_early_is_damage(settings: str) -> None:
    """With an end marker put behind it, as programs that mend files do."""
    data = saved(IMAGES["photograph"], **SETTINGS[settings])
    first, last = codes_of(data)
    for place in random.Random(2).sample(range(first, last - 40), 40):
        with pytest.raises(BadPicture, match="^x cannot be used: the file "):
            read_picture(data[:place] + b"\xff\xd9", name="x")


@pytest.mark.parametrize("settings", ["plain", "4:4:4", "restart rows", "progressive"])
def test_lost_and_foreign_bytes_are_mostly_found(settings: str) -> None:
    """Without a checksum not all can be: docs/decisions.md has the figures."""
    data = saved(IMAGES["photograph"], quality=90, **SETTINGS[settings])
    first, last = codes_of(data)
    chosen = random.Random(3)
    found = 0
    for place in chosen.sample(range(first, last - 400), 50):
        lost = data[:place] + data[place + 200 :]
        foreign = data[:place] + chosen.randbytes(200) + data[place + 200 :]
        for damaged in (lost, foreign, data[:place] + b"\xff\xd9"):
            try:
                read_picture(damaged, name="x")
            except BadPicture:
                found += 1
    assert found >= 135


def test_a_damaged_jpeg_goes_into_quarantine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = saved(_product(), quality=90)
    first, _ = codes_of(data)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "whole.jpg").write_bytes(data)
    (photos / "hurt.jpg").write_bytes(data[: first + 900] + bytes(200) + data[first + 1100 :])
    assert main(["batch", str(photos), "-o", str(tmp_path / "out"), "--backend", "keyer"]) == 1
    said = "".join(capsys.readouterr())
    assert "hurt.jpg" in said
    assert (tmp_path / "out" / "whole.png").exists()
    assert not (tmp_path / "out" / "hurt.png").exists()
