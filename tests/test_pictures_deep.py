"""16 bits per channel stay 16 bits."""

# Pins the inside of pictures.png
# Pins the inside of pictures.tiff

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.pictures.formats import FormatId
from rmbg_nodes.pictures.png import _chunk
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.pictures.tiff import _assemble
from rmbg_nodes.pictures.write import encode

RNG = np.random.default_rng(11)


def deep_png(levels: np.ndarray, colour: int, *extra: bytes) -> bytes:
    """A 16-bit PNG written out by hand, so that the reader is not judged by the writer."""
    height, width = levels.shape[:2]
    rows = levels.astype(">u2").reshape(height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header), *extra, _chunk(b"IDAT", zlib.compress(lines))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def deep_tiff(levels: np.ndarray, **tags: int) -> bytes:
    """An uncompressed 16-bit TIFF; `_338=2` sets tag 338 to 2."""
    height, width, channels = levels.shape
    strip = levels.astype("<u2").tobytes()
    sizes = {256: width, 257: height, 259: 1, 273: 8, 277: channels, 278: height, 279: len(strip)}
    sizes[262] = 2 if channels >= 3 else 1
    sizes |= {int(tag[1:]): value for tag, value in tags.items()}
    values = {tag: (4, struct.pack("<I", value)) for tag, value in sizes.items()}
    values[258] = (3, struct.pack("<H", 16) * channels)
    return _assemble(strip, values)


def levels_of(data: bytes) -> np.ndarray:
    picture = read_picture(data, name="deep")
    assert picture.depth == 16
    parts = [picture.pixels] + ([] if picture.alpha is None else [picture.alpha[..., None]])
    values = torch.cat(parts, -1).double().numpy() * 65535
    assert np.abs(values - values.round()).max() < 0.01
    whole: np.ndarray = values.round().astype(np.uint16)
    return whole


def as_rgb(levels: np.ndarray) -> np.ndarray:
    grey = levels.shape[2] <= 2
    colours = levels[..., :1].repeat(3, axis=2) if grey else levels[..., :3]
    alpha = levels[..., -1:] if levels.shape[2] in (2, 4) else levels[..., :0]
    return np.concatenate([colours, alpha], axis=2)


@pytest.mark.parametrize(("channels", "colour"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_png_is_read_exactly(channels: int, colour: int) -> None:
    levels = RNG.integers(0, 65536, (7, 5, channels), np.uint16)
    assert (levels_of(deep_png(levels, colour)) == as_rgb(levels)).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tiff_is_read_exactly(channels: int) -> None:
    levels = RNG.integers(0, 65536, (7, 5, channels), np.uint16)
    extra = {"_338": 2} if channels in (2, 4) else {}
    assert (levels_of(deep_tiff(levels, **extra)) == as_rgb(levels)).all()


def test_a_tiff_of_pillow_is_read_exactly() -> None:
    levels = RNG.integers(0, 65536, (7, 5), np.uint16)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "TIFF", compression="tiff_lzw")
    assert (levels_of(file.getvalue()) == levels[..., None]).all()


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (3, 37), (64, 2)])
def test_round_trip_is_exact(format: FormatId, channels: int, size: tuple[int, int]) -> None:
    levels = RNG.integers(0, 65536, (*size, channels), np.uint16)
    levels.flat[0], levels.flat[-1] = 0, 65535
    image = torch.from_numpy(levels.astype(np.float32) / 65535)
    data = encode(image, format, depth=16)
    assert (levels_of(data) == as_rgb(levels)).all()
    assert encode(image, format, depth=16) == data


@pytest.mark.parametrize("format", ["png", "tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_other_programs_read_what_is_written(format: FormatId, channels: int) -> None:
    """Pillow sees the same picture at 8 bits, with straight alpha."""
    image = torch.rand(9, 13, channels, generator=torch.Generator().manual_seed(1))
    pillow = Image.open(io.BytesIO(encode(image, format, depth=16)))
    assert pillow.mode == ("RGB" if channels == 3 else "RGBA")
    assert np.abs(np.asarray(pillow) / 255 - image.numpy()).max() <= 1 / 255


def test_a_key_colour_becomes_alpha() -> None:
    levels = np.array([[[1000, 2000, 3000], [1000, 2000, 3001]]], np.uint16)
    key = _chunk(b"tRNS", struct.pack(">HHH", 1000, 2000, 3000))
    assert levels_of(deep_png(levels, 2, key))[0, :, 3].tolist() == [0, 65535]


@pytest.mark.parametrize("container", ["png", "tiff"])
def test_orientation(container: str) -> None:
    levels = np.arange(6, dtype=np.uint16).reshape(2, 3, 1) * 9000
    if container == "tiff":
        data = deep_tiff(levels, _274=6)
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        data = deep_png(levels, 0, _chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    assert (levels_of(data)[..., 0] == np.rot90(levels[..., 0], -1)).all()


def test_premultiplied_tiff_becomes_straight() -> None:
    levels = np.array([[[16000, 8000, 0, 32000], [0, 0, 0, 0]]], np.uint16)
    picture = read_picture(deep_tiff(levels, _338=1), name="t")
    assert picture.pixels[0].tolist() == [[0.5, 0.25, 0.0], [0.0, 0.0, 0.0]]


def test_white_is_zero() -> None:
    levels = np.array([[[0, 65535], [65535, 30000]]], np.uint16)
    result = levels_of(deep_tiff(levels, _262=0, _338=2))
    assert result[0, :, [0, 3]].T.tolist() == [[65535, 65535], [0, 30000]]


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ({"_259": 7}, "compressed as JPEG"),
        ({"_259": 50000}, "compressed as number 50000"),
        ({"_262": 5, "_277": 4}, "CMYK"),
        ({"_262": 8}, "colours other than grey and RGB"),
    ],
)
def test_a_16_bit_tiff_that_is_not_read_says_what_to_do(tag: dict[str, int], reason: str) -> None:
    with pytest.raises(BadPicture, match=f"{reason}, .*save it in strips, RGB, with LZW or ZIP"):
        read_picture(deep_tiff(np.zeros((4, 4, 3), np.uint16), **tag), name="t")


@pytest.mark.parametrize(("mode", "level"), [("I", 7), ("F", 0.5)])
def test_32_bits_are_refused_with_the_way_out(mode: str, level: float) -> None:
    file = io.BytesIO()
    Image.new(mode, (3, 3), level).save(file, "TIFF")
    with pytest.raises(BadPicture, match="neither 8-bit nor 16-bit"):
        read_picture(file.getvalue(), name="t")


def test_a_png_whose_pixels_are_too_few_is_refused() -> None:
    """Checksums and all are right, but only half of the lines are there; FFmpeg would show them."""
    levels = RNG.integers(0, 65536, (8, 5, 3), np.uint16)
    data = deep_png(levels[:4], 2)
    claimed = struct.pack(">IIBBBBB", 5, 8, 16, 2, 0, 0, 0)
    whole = data[:8] + _chunk(b"IHDR", claimed) + data[8 + 25 :]
    with pytest.raises(BadPicture, match="ends before the picture does"):
        read_picture(whole, name="half.png")
