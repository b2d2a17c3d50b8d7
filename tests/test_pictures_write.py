"""Bytes of picture files, and files that are whole or not there."""

# Pins the inside of core.digest

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes.core import digest
from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.pictures.formats import Depth, FormatId
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.pictures.write import encode, format_for, write_atomic

IMAGE = torch.rand(12, 17, 4, generator=torch.Generator().manual_seed(2))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("format", ["png", "tiff", "webp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_8_bit_level_comes_back(format: FormatId, channels: int) -> None:
    levels = np.arange(256 * channels).reshape(16, 16, channels) * 37 % 256
    image = torch.from_numpy(levels.astype(np.float32) / 255)
    written = np.asarray(opened(encode(image, format)).convert("RGBA"))
    expected = np.full((16, 16, 4), 255)
    expected[..., :3] = levels[..., :3]
    if channels == 4:
        expected[..., 3] = levels[..., 3]
    assert (written == expected).all()


def test_values_are_rounded_to_the_nearest_level() -> None:
    """Truncation would darken by half a level on average."""
    image = torch.tensor([0.0, 0.499, 0.501, 1.49, 1.51, 254.4, 254.6, 255.0]).view(1, 8, 1) / 255
    levels = np.asarray(opened(encode(image, "png")))
    assert levels.tolist() == [[0, 0, 1, 1, 2, 254, 255, 255]]
    ramp = torch.linspace(0, 1, 100_001).view(1, -1, 1)
    error = np.asarray(opened(encode(ramp, "png"))) / 255 - ramp.numpy()[..., 0]
    assert abs(error.mean()) < 1e-5


@pytest.mark.parametrize("depth", [8, 16])
def test_a_picture_of_many_blocks_is_written_whole(
    depth: Depth, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encode(IMAGE, "png", depth=depth)
    monkeypatch.setattr(digest, "_BLOCK", 100)
    assert encode(IMAGE, "png", depth=depth) == whole


def test_values_beyond_0_and_1_are_clamped() -> None:
    image = torch.tensor([-0.1, 1.1]).view(1, 2, 1)
    assert np.asarray(opened(encode(image, "png"))).tolist() == [[0, 255]]
    assert np.asarray(opened(encode(image, "png", depth=16))).tolist() == [[0, 65535]]


@pytest.mark.parametrize("format", ["png", "tiff", "webp"])
def test_colours_under_alpha_0_are_kept(format: FormatId) -> None:
    image = IMAGE.clone()
    image[..., 3] = 0
    picture = read_picture(encode(image, format), name="x")
    assert (picture.pixels - image[..., :3]).abs().max() <= 0.51 / 255
    assert picture.alpha is not None
    assert picture.alpha.max() == 0


def test_lossy_webp_keeps_colours_under_alpha_0_too() -> None:
    image = torch.full((32, 32, 4), 0.7)
    image[..., 3] = 0
    picture = read_picture(encode(image, "webp", quality=80), name="x")
    assert (picture.pixels - 0.7).abs().max() < 0.03


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_the_same_picture_gives_the_same_bytes_and_stays_as_it_is(format: FormatId) -> None:
    image = IMAGE[..., :3].clone()
    assert encode(image, format) == encode(image, format)
    assert torch.equal(image, IMAGE[..., :3])


def test_half_precision_and_views_are_taken() -> None:
    flipped = IMAGE.half().flip(1)[:, :, :3]
    expected = (flipped.float() * 255 + 0.5).floor()
    assert np.asarray(opened(encode(flipped, "png"))).tolist() == expected.tolist()


def test_jpeg_quality() -> None:
    smooth = torch.linspace(0, 1, 64).view(1, -1, 1).expand(64, 64, 3)
    best, poor = (encode(smooth, "jpeg", quality=quality) for quality in (100, 10))
    assert len(poor) < len(best)
    assert (read_picture(encode(smooth, "jpeg"), name="j").pixels - smooth).abs().max() < 0.02


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (IMAGE, {"format": "jpeg"}, "JPEG has no transparency; write PNG or WebP"),
        (IMAGE[..., :3], {"format": "jpeg", "depth": 16}, "write PNG for 16 bits"),
        (IMAGE, {"format": "webp", "depth": 16}, "WebP holds 8 bits"),
        (IMAGE, {"format": "gif"}, "choose png, jpeg, webp, tiff"),
        (IMAGE, {"format": "webp", "quality": 0}, "from 1 to 100"),
        (torch.zeros(1, 20_000, 3), {"format": "webp"}, "at most 16383 pixels a side"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_with_the_way_out(
    image: torch.Tensor, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadOption, match=words):
        encode(image, **options)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.full((2, 2, 3), float("nan")), "not numbers"),
        (torch.zeros(2, 2, 3, dtype=torch.uint8), "not torch.uint8"),
        (torch.zeros(2, 2), "not \\(2, 2\\)"),
        (torch.zeros(2, 2, 2), "1, 3 or 4 channels"),
        (torch.zeros(0, 2, 3), "not \\(0, 2, 3\\)"),
    ],
)
def test_what_is_no_picture_is_refused(image: torch.Tensor, words: str) -> None:
    with pytest.raises(BadPicture, match=words):
        encode(image, "png")


def test_the_suffix_chooses_the_format(tmp_path: Path) -> None:
    names = ("a.png", "b.JPG", "c.jpeg", "d.webp", "e.tif", "f.TIFF")
    ids = [format_for(tmp_path / name) for name in names]
    assert ids == ["png", "jpeg", "jpeg", "webp", "tiff", "tiff"]
    with pytest.raises(BadOption, match="no suffix of a PNG, JPEG, WebP or TIFF file"):
        format_for(tmp_path / "a.gif")


def test_a_file_is_replaced_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "a.png"
    write_atomic(path, b"first")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert os.listdir(path.parent) == ["a.png"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_atomic(tmp_path / "a.png", b"x")
    usual, ours = ((tmp_path / name).stat().st_mode for name in ("usual", "a.png"))
    assert stat.S_IMODE(ours) == stat.S_IMODE(usual)


@pytest.mark.parametrize("at", ["write", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if at == "write":
        monkeypatch.setattr(type(path), "write_bytes", full)
    else:
        monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BadOption, match="cannot be written \\(No space left on device\\)"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


def test_an_interrupt_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.png", b"new")
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a.png", tmp_path / "folder", tmp_path / "a\0.png"):
        with pytest.raises(BadOption, match="cannot be written"):
            write_atomic(path, b"x")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".png")
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"
