"""TIFF files that say one thing and hold another."""

# Pins the inside of pictures.tags
# Pins the inside of pictures.tiff

from __future__ import annotations

import io
import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.pictures.read import Picture, read_picture
from rmbg_nodes.pictures.tags import first_directory
from rmbg_nodes.pictures.tiff import _assemble


@pytest.mark.parametrize("tiles", [False, True])
def test_a_raw_tiff_whose_last_piece_is_short_is_refused(tiles: bool) -> None:
    """All lies inside the file, so a decoder would go on into the directory."""
    pieces, lengths, size = ((324, 325, 16) if tiles else (273, 279, 16)), (256, 200), 16
    values = {tag: (4, struct.pack("<I", n)) for tag, n in ((256, 16), (257, 32), (262, 1))}
    values |= {tag: (4, struct.pack("<I", size)) for tag in ((322, 323) if tiles else (278,))}
    values[258] = (3, struct.pack("<H", 8))
    values[pieces[0]] = (4, struct.pack("<II", 8, 8 + 256))
    whole = {**values, pieces[1]: (4, struct.pack("<II", 256, 256))}
    short = {**values, pieces[1]: (4, struct.pack("<II", *lengths))}
    assert read_picture(_assemble(bytes(512), whole), name="x").pixels.shape == (32, 16, 3)
    with pytest.raises(BadPicture, match="ends before the picture does"):
        read_picture(_assemble(bytes(456), short), name="x")


def test_a_16_bit_tiff_of_which_one_strip_is_damaged_is_refused() -> None:
    """FFmpeg by itself would show the strips that it could read."""
    levels = np.random.default_rng(0).integers(0, 65536, (400, 200), np.uint16)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "TIFF", compression="tiff_lzw")
    data = bytearray(file.getvalue())
    assert read_picture(bytes(data), name="x").depth == 16
    offsets = first_directory(bytes(data)).numbers(273)
    assert len(offsets) > 1
    data[offsets[-1] : offsets[-1] + 64] = b"\xff" * 64
    with pytest.raises(BadPicture, match="damaged"):
        read_picture(bytes(data), name="x")


def test_an_lzw_tiff_above_pillows_limit_is_too_large_and_not_damaged(monkeypatch) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (40, 30), np.uint16)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "TIFF", compression="tiff_lzw")
    assert read_picture(file.getvalue(), name="x").depth == 16
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    with pytest.raises(BadPicture, match="raise PIL.Image.MAX_IMAGE_PIXELS"):
        read_picture(file.getvalue(), name="x")


@pytest.mark.parametrize(
    "lies",
    [{277: 0, 284: 2}, {256: 0}, {257: 2**32 - 1, 278: 1}, {256: 2**32 - 1}, {258: 0}],
)
def test_a_tiff_that_lies_about_its_size_is_refused_at_once(lies: dict[int, int]) -> None:
    """Nothing is counted out that the file only claims to have."""
    true = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: 16}
    values = {tag: (4, struct.pack("<I", value)) for tag, value in {**true, **lies}.items()}
    data = _assemble(bytes(16), values)
    tracemalloc.start()
    try:
        with pytest.raises(BadPicture):
            read_picture(data, name="x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**23


def test_a_raw_tiff_that_does_not_say_how_long_its_strip_is() -> None:
    """Without StripByteCounts the pixels could only be missed at the end of the file."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 31, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF")
    raw = file.getvalue()
    assert raw.count(struct.pack("<HH", 279, 4)) == 1
    silent = raw.replace(struct.pack("<HH", 279, 4), struct.pack("<HH", 280, 4))
    taller = silent.replace(
        struct.pack("<HHIH", 257, 4, 1, 40), struct.pack("<HHIH", 257, 4, 1, 60)
    )
    read = read_picture(silent, name="x").pixels * 255
    assert (read.round().numpy() == pixels).all()
    assert taller != silent
    with pytest.raises(BadPicture, match="ends before the picture does"):
        read_picture(taller, name="x")


RNG = np.random.default_rng(9)
#: libtiff in Pillow packs LZW and PackBits; tifffile writes everything else of these tests.
DEPTHS = [np.uint8, np.uint16]


def written(pixels: np.ndarray, **settings: object) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **settings)
    data: bytes = file.getvalue()
    return data


def levels(picture: Picture) -> np.ndarray:
    top = 255 if picture.depth == 8 else 65535
    values: np.ndarray = (picture.image.double().numpy() * top).round().astype(np.int64)
    return values


def noise(dtype: type[np.generic], *shape: int) -> np.ndarray:
    top = 256 ** np.dtype(dtype).itemsize
    return RNG.integers(0, top, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize(
    ("kinds", "alpha"),
    [
        (["unspecified"], None),
        (["unassalpha"], 3),
        (["unspecified", "unassalpha"], 4),
        (["unassalpha", "unspecified"], 3),
        (["unspecified", "unspecified"], None),
    ],
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_an_extra_channel_is_alpha_where_it_says_so(
    dtype: type[np.generic], kinds: list[str], alpha: int | None, planar: str
) -> None:
    pixels = noise(dtype, 20, 30, 3 + len(kinds))
    stored = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    data = written(stored, photometric="rgb", extrasamples=kinds, planarconfig=planar)
    channels = [0, 1, 2] if alpha is None else [0, 1, 2, alpha]
    assert (levels(read_picture(data, name="x")) == pixels[..., channels]).all()


@pytest.mark.parametrize("dtype", DEPTHS)
def test_grey_with_extra_channels(dtype: type[np.generic]) -> None:
    pixels = noise(dtype, 9, 7, 3)
    for kinds, alpha in ((["unspecified", "unassalpha"], 2), (["unspecified"] * 2, None)):
        data = written(pixels, photometric="minisblack", extrasamples=kinds, planarconfig="contig")
        found = levels(read_picture(data, name="x"))
        assert (found[..., :3] == pixels[..., :1]).all()
        assert found.shape[2] == (3 if alpha is None else 4)
        assert alpha is None or (found[..., 3] == pixels[..., alpha]).all()


@pytest.mark.parametrize("dtype", DEPTHS)
def test_colours_multiplied_by_their_alpha_become_straight(dtype: type[np.generic]) -> None:
    top = np.iinfo(dtype).max  # type: ignore[type-var]
    half = (top + 1) // 2
    pixels = np.array([[[half // 2, half, 0, half], [0, 0, 0, 0]]], dtype)
    data = written(pixels, photometric="rgb", extrasamples=["assocalpha"])
    picture = read_picture(data, name="x")
    assert np.abs(picture.pixels[0, 0].numpy() - [0.5, 1, 0]).max() < 0.003
    assert picture.pixels[0, 1].tolist() == [0, 0, 0]
    assert picture.alpha is not None
    assert (picture.alpha[0].numpy() * top).round().tolist() == [half, 0]


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_every_way_to_store_a_page_gives_the_same_pixels(
    dtype: type[np.generic],
    byteorder: str,
    bigtiff: bool,
    tile: tuple[int, int] | None,
    compression: str | None,
    planar: str,
) -> None:
    pixels = noise(dtype, 37, 53, 4)
    data = written(
        pixels if planar == "contig" else np.moveaxis(pixels, -1, 0),
        photometric="rgb",
        extrasamples=["unassalpha"],
        planarconfig=planar,
        byteorder=byteorder,
        bigtiff=bigtiff,
        tile=tile,
        compression=compression,
        predictor=compression is not None,
        rowsperstrip=None if tile else 5,
    )
    assert (levels(read_picture(data, name="x")) == pixels).all()


@pytest.mark.parametrize(
    "compression", ["tiff_lzw", "packbits", "tiff_deflate", "tiff_adobe_deflate"]
)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK", "P", "1", "I;16"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_what_libtiff_packs_is_unpacked(compression: str, mode: str, predictor: int) -> None:
    pixels = noise(np.uint8, 70, 91, 4)
    if mode == "I;16":
        image = Image.fromarray(noise(np.uint16, 70, 91))
    else:
        image = Image.fromarray(pixels[..., :3]).convert(mode)
    file = io.BytesIO()
    whole_bytes = mode not in ("1", "P")
    settings = {"tiffinfo": {317: predictor}} if predictor == 2 and whole_bytes else {}
    image.save(file, "TIFF", compression=compression, **settings)
    found = levels(read_picture(file.getvalue(), name="x"))
    if mode == "I;16":
        assert (found == np.asarray(image)[..., None]).all()
    else:
        assert (found == np.asarray(image.convert("RGBA" if mode == "RGBA" else "RGB"))).all()


def test_cmyk_with_alpha() -> None:
    """What Pillow has no mode for: white paper, and black ink that is half transparent."""
    pixels = np.array([[[0, 0, 0, 0, 255], [0, 0, 0, 255, 128]]], np.uint8)
    inks = {"photometric": "separated", "planarconfig": "contig"}
    data = written(pixels, extrasamples=["unassalpha"], **inks)
    assert levels(read_picture(data, name="x")).tolist() == [[[255, 255, 255, 255], [0, 0, 0, 128]]]
    spot = written(pixels, extrasamples=["unspecified"], **inks)
    assert read_picture(spot, name="x").alpha is None


def test_inks_that_are_no_cmyk_are_refused_for_that_reason() -> None:
    tags = [(332, "H", 1, 2, True), (334, "H", 1, 4, True)]
    data = written(noise(np.uint8, 4, 5, 4), photometric="separated", extratags=tags)
    with pytest.raises(BadPicture, match="its inks are other than CMYK"):
        read_picture(data, name="x")


def pages(*made: tuple[np.ndarray, dict[str, object]]) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for pixels, settings in made:
            writer.write(pixels, photometric="rgb", **settings)
    return file.getvalue()


SMALL, FULL = noise(np.uint8, 30, 40, 3), noise(np.uint8, 90, 120, 3)


@pytest.mark.parametrize("dtype", DEPTHS)
def test_a_preview_is_not_the_picture(dtype: type[np.generic]) -> None:
    full = noise(dtype, 90, 120, 3)
    before = pages((SMALL, {"subfiletype": 1}), (full, {}))
    behind = pages((full, {}), (SMALL, {"subfiletype": 1}))
    old = pages((SMALL, {"extratags": [(255, "H", 1, 2, True)]}), (full, {}))
    below = pages((full, {"subifds": 1}), (SMALL, {"subfiletype": 1}))
    above = pages((SMALL, {"subifds": 1, "subfiletype": 1}), (full, {"subfiletype": 0}))
    reduced, transparency = (struct.pack("<HHII", 254, 4, 1, kind) for kind in (1, 4))
    mask = before.replace(reduced, transparency)
    assert mask != before
    for data in (before, behind, old, below, above, mask):
        picture = read_picture(data, name="x")
        assert (levels(picture) == full).all()
        assert picture.warnings == ()


def test_only_a_preview_is_read_as_it_is() -> None:
    data = pages((SMALL, {"subfiletype": 1}))
    assert (levels(read_picture(data, name="x")) == SMALL).all()


def test_several_full_pages_are_said() -> None:
    data = pages((FULL, {}), (SMALL, {}), (SMALL, {"subfiletype": 1}), (FULL, {}))
    picture = read_picture(data, name="x")
    assert (levels(picture) == FULL).all()
    assert picture.warnings == ("it holds 3 pages, and only the first was used",)


def test_a_file_that_ends_behind_its_preview_is_refused() -> None:
    data = pages((SMALL, {"subfiletype": 1}), (FULL, {}))
    start = first_directory(data).following
    with pytest.raises(BadPicture, match="ends before the picture does"):
        read_picture(data[: start + 10], name="x")


def test_the_warning_is_in_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    white = np.full((90, 120, 3), 255, np.uint8)
    white[30:60, 40:80] = (200, 30, 30)
    (tmp_path / "scan.tif").write_bytes(pages((white, {}), (white, {})))
    arguments = [str(tmp_path / "scan.tif"), "--backend", "keyer", "--json"]
    assert main(["remove", *arguments, "-o", str(tmp_path / "cut.png")]) == 0
    row = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "it holds 2 pages, and only the first was used" in row["report"]["warnings"]


def test_directories_that_lead_in_a_circle_end() -> None:
    data = bytearray(pages((FULL, {}), (FULL, {})))
    second = first_directory(bytes(data)).following
    (count,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * count, second)
    assert (levels(read_picture(bytes(data), name="x")) == FULL).all()
