"""Formats that are read and not written: AVIF, HEIC, BMP, GIF, JPEG 2000; and several frames."""

# Pins the inside of pictures.places
# Pins the inside of pictures.sources

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageFile

from rmbg_nodes.cli import main
from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.pictures.formats import FORMATS, Depth, FormatId, depth_in, is_readable, unread
from rmbg_nodes.pictures.places import output_paths
from rmbg_nodes.pictures.read import Picture, read_picture
from rmbg_nodes.pictures.sources import expand
from rmbg_nodes.tests.test_pictures_colour import wide_rgb

PIXELS = np.random.default_rng(5).integers(0, 256, (24, 36, 4), np.uint8)


def saved(image: Image.Image, format: str, **settings: object) -> bytes:
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    file = io.BytesIO()
    image.save(file, format, **settings)
    return file.getvalue()


def levels(picture: Picture) -> np.ndarray:
    values = (picture.image.numpy() * 255).round().astype(np.uint8)
    return values


EXACT = [
    ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
    ("HEIF", {"quality": -1, "chroma": 444, "matrix_coefficients": 0}),
    ("BMP", {}),
    ("JPEG2000", {"irreversible": False}),
    ("GIF", {}),
]


@pytest.mark.parametrize(("format", "settings"), EXACT)
def test_a_format_that_is_only_read_gives_what_pillow_gives(
    format: str, settings: dict[str, object]
) -> None:
    image = Image.fromarray(PIXELS[..., :3])
    image = image.quantize(64) if format == "GIF" else image
    data = saved(image, format, **settings)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(opened.convert("RGB"))
    picture = read_picture(data, name="x")
    assert (picture.alpha, picture.depth, picture.warnings) == (None, 8, ())
    assert (levels(picture) == expected).all()
    if format not in ("AVIF", "HEIF"):  # AVIF and HEIC round their YCbCr
        assert (expected == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("format", ["AVIF", "HEIF", "JPEG2000"])
def test_alpha_is_read(format: str) -> None:
    pixels = PIXELS.copy()
    pixels[:12, :, 3], pixels[12:, :, 3] = 0, 255
    settings = {"irreversible": False} if format == "JPEG2000" else {"quality": 100}
    picture = read_picture(saved(Image.fromarray(pixels), format, **settings), name="x")
    assert picture.alpha is not None
    assert (picture.alpha[:11] < 0.02).all()
    assert (picture.alpha[13:] > 0.98).all()


def test_a_transparent_entry_of_a_gif_is_alpha() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    picture = read_picture(saved(image, "GIF", transparency=1), name="x")
    assert levels(picture)[0, :, 3].tolist() == [255, 0, 255]
    assert levels(picture)[0, ::2, :3].tolist() == [[10, 20, 30], [70, 80, 90]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp_of_every_depth(mode: str) -> None:
    image = Image.fromarray(PIXELS[..., :3]).convert(mode)
    picture = read_picture(saved(image, "BMP"), name="x")
    assert (levels(picture) == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
def test_a_profile_is_followed(format: str) -> None:
    image = Image.new("RGB", (32, 32), (180, 100, 100))
    settings = {"quality": 100, "icc_profile": wide_rgb()}
    picture = read_picture(saved(image, format, **settings), name="x")
    assert picture.pixels[0, 0, 0] > 186 / 255
    assert picture.icc_profile is None


CUT = [format for format, _ in EXACT]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("format", CUT)
def test_a_cut_file_is_refused(format: str, lenient: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lenient`: another program has told Pillow to show what there is."""
    image = Image.fromarray(PIXELS[..., :3])
    data = saved(image.quantize(64) if format == "GIF" else image, format)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    for share in (0.2, 0.5, 0.9, 0.98):
        with pytest.raises(BadPicture, match="^x cannot be used: the file "):
            read_picture(data[: int(share * len(data))], name="x")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is lenient


@pytest.mark.parametrize("format", CUT)
def test_the_limit_is_judged_before_anything_is_decoded(format: str) -> None:
    image = Image.new("RGB", (300, 200))
    with pytest.raises(BadPicture, match="300 x 200 pixels are more than the limit of 0.05 mega"):
        read_picture(saved(image, format), name="x", max_megapixels=0.05)


def test_heic_without_its_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadPicture, match=r'pip install "rmbg-nodes\[heif\]"'):
        read_picture(data, name="IMG_0001.HEIC")


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF"])
def test_of_an_animation_the_first_frame_and_a_warning(format: str) -> None:
    first, second, third = (Image.new("RGB", (16, 16), (level,) * 3) for level in (40, 200, 90))
    settings = {"lossless": True} if format == "WEBP" else {}
    data = saved(first, format, save_all=True, append_images=[second, third], **settings)
    picture = read_picture(data, name="x")
    assert np.abs(levels(picture).astype(int) - 40).max() <= 1
    assert picture.warnings == ("it holds 3 pictures, and only the first was used",)
    assert read_picture(saved(first, format, **settings), name="x").warnings == ()


def test_the_pictures_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", ModuleType("pillow_heif"))
    names = ("a.png", "b.HEIC", "c.avif", "d.bmp", "e.gif", "f.jp2", "g.mpo", "h.apng", "i.dib")
    for name in (*names, "j.psd", "k.CR2", "l.jxl", "m.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [source.path.name for source in expand([str(tmp_path)]) if source.path] == [*names]
    assert all(is_readable(Path(name)) for name in names)
    rows = {name: unread(Path(name)) for name in ("j.psd", "k.CR2", "l.jxl", "m.txt", "a.png")}
    assert [name for name, row in rows.items() if row] == ["j.psd", "k.CR2", "l.jxl"]


@pytest.mark.parametrize("name", ["a.gif", "a.avif", "a.heic", "a.psd", "a.nef", "a.pdf", "a.mpo"])
def test_what_is_not_written_is_no_output(tmp_path: Path, name: str) -> None:
    (tmp_path / "shoe.png").write_bytes(b"x")
    sources = expand([str(tmp_path / "shoe.png")])
    with pytest.raises(BadOption, match="not a format that is written"):
        output_paths(sources, str(tmp_path / name))


@pytest.mark.parametrize("name", ["shoe.bmp", "shoe.gif", "shoe.avif", "shoe.jp2"])
def test_a_command_reads_them(tmp_path: Path, name: str) -> None:
    pixels = np.full((60, 80, 3), 255, np.uint8)
    pixels[20:40, 20:60] = (200, 30, 30)
    Image.fromarray(pixels).save(tmp_path / name)
    assert main(["remove", str(tmp_path), "--backend", "keyer"]) == 0
    with Image.open(tmp_path / "shoe.png") as cut:
        assert (cut.size, cut.mode) == ((80, 60), "RGBA")


@pytest.mark.parametrize(
    ("format", "depth", "kept"),
    [("png", 16, 16), ("tiff", 16, 16), ("jpeg", 16, 8), ("webp", 16, 8), ("png", 8, 8)],
)
def test_the_depth_is_kept_where_the_format_can_hold_it(
    format: FormatId, depth: Depth, kept: Depth
) -> None:
    assert depth_in(format, depth) == kept
    assert all(depth_in(row.id, one) == one for row in FORMATS for one in row.depths)
