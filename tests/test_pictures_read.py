"""Files that people have: every format and mode, upright, first frame, alpha as stored."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rmbg_nodes.pictures.read import Picture, read_picture

RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (6, 9, 4), np.uint8)


def saved(image: Image.Image, format: str, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **settings)
    return file.getvalue()


def levels(picture: Picture) -> np.ndarray:
    """(H, W, 3 or 4) uint8 of an 8-bit picture, which must lie on whole levels."""
    parts = [picture.pixels] + ([] if picture.alpha is None else [picture.alpha[..., None]])
    values = np.concatenate([part.numpy() for part in parts], axis=2) * 255
    assert np.abs(values - values.round()).max() < 1e-4
    whole: np.ndarray = values.round().astype(np.uint8)
    return whole


def read(data: bytes) -> np.ndarray:
    return levels(read_picture(data, name="shoe"))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_colours_are_read_exactly(format: str, channels: int) -> None:
    pixels = PIXELS[..., :channels]
    settings = {"lossless": True, "exact": True} if format == "WEBP" else {}
    assert (read(saved(Image.fromarray(pixels), format, **settings)) == pixels).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG"])
def test_grey_becomes_three_equal_channels(format: str) -> None:
    grey = np.full((5, 4), 77, np.uint8)
    result = read(saved(Image.fromarray(grey), format))
    assert result.shape == (5, 4, 3)
    assert (result == 77).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_one_bit(format: str) -> None:
    stored = RNG.random((5, 11)) > 0.5
    result = read(saved(Image.fromarray(stored), format))
    assert (result == np.where(stored, 255, 0)[..., None]).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_grey_with_alpha(format: str) -> None:
    grey = Image.fromarray(PIXELS[..., 0])
    alpha = Image.fromarray(PIXELS[..., 3])
    result = read(saved(Image.merge("LA", (grey, alpha)), format))
    assert (result[..., :3] == PIXELS[..., :1]).all()
    assert (result[..., 3] == PIXELS[..., 3]).all()


@pytest.mark.parametrize(("key", "alpha"), [(1, [255, 0, 255]), (b"\x80\x00\xff", [128, 0, 255])])
def test_palette_with_transparency(key: int | bytes, alpha: list[int]) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    result = read(saved(image, "PNG", transparency=key))
    assert result[0, :, 3].tolist() == alpha
    assert result[0, :, :3].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]


def test_palette_without_transparency_has_no_alpha() -> None:
    image = Image.new("P", (2, 2))
    image.putpalette([9, 8, 7])
    picture = read_picture(saved(image, "PNG"), name="p")
    assert picture.alpha is None
    assert (levels(picture) == [9, 8, 7]).all()


@pytest.mark.parametrize(("mode", "key"), [("L", 5), ("RGB", (5, 5, 5))])
def test_a_transparent_key_colour_becomes_alpha(mode: str, key: int | tuple[int, ...]) -> None:
    image = Image.new(mode, (2, 1), key)
    image.putpixel((1, 0), 200 if mode == "L" else (200, 200, 200))
    assert read(saved(image, "PNG", transparency=key))[0, :, 3].tolist() == [0, 255]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile(format: str) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    result = read(saved(image, format)).astype(int)
    assert np.abs(result - [255, 0, 0]).max() <= 2


def test_colours_under_alpha_0_are_kept() -> None:
    pixels = PIXELS.copy()
    pixels[..., 3] = 0
    assert (read(saved(Image.fromarray(pixels), "PNG")) == pixels).all()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(format: str, orientation: int) -> None:
    """A picture whose top left is red, top right green, bottom left blue comes out like that."""
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16], upright[:16, 32:], upright[16:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    turn = Image.Transpose
    undo = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_90,  # EXIF 6: shown after a quarter turn clockwise
        7: turn.TRANSVERSE,
        8: turn.ROTATE_270,
    }
    stored = Image.fromarray(upright)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings: dict[str, dict[str, int]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": True},
    }
    data = saved(stored, format, exif=exif, **settings.get(format, {}))
    result = read(data).astype(int)
    assert result.shape == upright.shape
    assert np.abs(result - upright).max() <= 6


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0junk" * 9]
)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_exif_block_costs_nothing_but_the_orientation(format: str, exif: bytes) -> None:
    data = saved(Image.new("RGB", (4, 4), (50, 50, 50)), format, exif=exif)
    assert (read(data) == 50).all()


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_frames_the_first(format: str) -> None:
    first, second = (Image.new("RGB", (16, 16), (level,) * 3) for level in (40, 200))
    settings = {"lossless": True} if format == "WEBP" else {}
    data = saved(first, format, save_all=True, append_images=[second], **settings)
    assert (read(data) == 40).all()


def test_a_file_is_read_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "wrong name.jpg"
    path.write_bytes(saved(Image.fromarray(PIXELS), "PNG"))
    before = path.read_bytes(), path.stat().st_mtime_ns
    picture = read_picture(path, name="a")
    assert (levels(picture) == PIXELS).all()
    assert (picture.name, picture.depth, picture.icc_profile) == ("a", 8, None)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_text_in_a_png_never_stands_in_the_way() -> None:
    """ComfyUI writes its workflow into the file; Pillow refuses text that inflates to 1 MiB."""
    text = PngInfo()
    text.add_text("workflow", "x" * (2 << 20), zip=True)
    assert (read(saved(Image.fromarray(PIXELS), "PNG", pnginfo=text)) == PIXELS).all()


def test_premultiplied_tiff_becomes_straight() -> None:
    """ExtraSamples 1 means that the colours were multiplied by alpha (TIFF 6.0, section 18)."""
    data = bytearray(saved(Image.new("RGBA", (2, 1), (60, 30, 0, 128)), "TIFF"))
    entry = data.index(struct.pack("<HHI", 338, 3, 1))
    data[entry + 8] = 1
    result = read(bytes(data)).astype(int)
    assert np.abs(result - [60 * 255 / 128, 30 * 255 / 128, 0, 128]).max() <= 1
