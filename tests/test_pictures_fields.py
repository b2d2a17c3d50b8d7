"""Resolution, copyright and author go from every source into every result; nothing else does."""

# Pins the inside of pictures.fields
# Pins the inside of pictures.tags
# Pins the inside of pictures.xmp

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rmbg_nodes.cli import main
from rmbg_nodes.pictures.fields import Fields
from rmbg_nodes.pictures.formats import FormatId
from rmbg_nodes.pictures.metadata import Metadata, metadata_of
from rmbg_nodes.pictures.provenance import read_provenance
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.pictures.tags import ASCII, RATIONAL, SHORT, Values, write_exif
from rmbg_nodes.pictures.write import encode
from rmbg_nodes.pictures.xmp import read_xmp, write_xmp

COPYRIGHT, AUTHOR = "© 2026 Zoë Møller", "Zoë Møller"
GPS, SERIAL, MAKER_NOTE = 0x8825, 0xA431, 0x927C
PRIVATE = "BODY-4711"


def shot() -> Image.Image:
    pixels = np.full((60, 80, 3), 255, np.uint8)
    pixels[20:40, 20:60] = (200, 30, 30)
    return Image.fromarray(pixels)


def exif(changed: Values | None = None) -> bytes:
    """A camera's block: what is taken over, and what never is."""
    values = {
        0x0110: (ASCII, b"Camera\0"),
        0x011A: (RATIONAL, struct.pack("<II", 300, 1)),
        0x011B: (RATIONAL, struct.pack("<II", 150, 1)),
        0x0128: (SHORT, struct.pack("<H", 2)),
        0x013B: (ASCII, AUTHOR.encode() + b"\0"),
        0x8298: (ASCII, COPYRIGHT.encode() + b"\0"),
        SERIAL: (ASCII, PRIVATE.encode() + b"\0"),
        MAKER_NOTE: (7, PRIVATE.encode() * 9),
        GPS: (4, struct.pack("<I", 26)),
    }
    return b"Exif\0\0" + write_exif({**values, **(changed or {})})


def packet() -> bytes:
    return write_xmp({"dc:rights": COPYRIGHT, "dc:creator": AUTHOR})


def saved(format: str, **settings: object) -> bytes:
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    file = io.BytesIO()
    shot().save(file, format, **settings)
    return file.getvalue()


def png_texts() -> bytes:
    info = PngInfo()
    info.add_text("Copyright", COPYRIGHT)
    info.add_itxt("Author", AUTHOR)
    return saved("PNG", pnginfo=info, dpi=(300, 150))


def tiff() -> bytes:
    tags = {33432: COPYRIGHT.encode(), 315: AUTHOR.encode(), 42033: PRIVATE}
    return saved("TIFF", tiffinfo=tags, dpi=(300, 150))


# What states all three, by the place where it states them.
SOURCES = {
    "JPEG EXIF": lambda: saved("JPEG", exif=exif()),
    "JPEG JFIF, XMP": lambda: saved("JPEG", dpi=(300, 150), xmp=packet()),
    "PNG eXIf": lambda: saved("PNG", exif=exif()),
    "PNG pHYs, texts": png_texts,
    "TIFF": tiff,
    "WebP EXIF": lambda: saved("WEBP", exif=exif(), lossless=True),
    "AVIF EXIF": lambda: saved("AVIF", exif=exif()),
    "HEIC EXIF": lambda: saved("HEIF", exif=exif()),
}
WANTED = Fields((300.0, 150.0), COPYRIGHT, AUTHOR)
SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif"}


def assert_said(data: bytes, format: str) -> None:
    """By Pillow, and by this package, which looks in more places."""
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        tags = opened.getexif()
        assert (float(tags[0x011A]), float(tags[0x011B]), tags[0x0128]) == (300, 150, 2)
        for tag, text in ((0x8298, COPYRIGHT), (0x013B, AUTHOR)):
            found = tags[tag]
            assert (found if format == "tiff" else found.encode("latin-1").decode()) in (
                text,
                text.encode().decode("latin-1"),
            )
        assert 0x0112 not in tags
        if format != "webp":
            assert opened.info["dpi"] == pytest.approx((300, 150), abs=0.02)
        if format == "png":
            assert (opened.info["Copyright"], opened.info["Author"]) == (COPYRIGHT, AUTHOR)
        assert not {GPS, SERIAL, MAKER_NOTE, 0x0110} & {*tags, *tags.get_ifd(0x8769)}
    assert PRIVATE.encode() not in data
    assert read_picture(data, name="x").fields == WANTED


@pytest.mark.parametrize("format", SUFFIXES)
@pytest.mark.parametrize("source", SOURCES)
def test_from_every_source_into_every_format(source: str, format: FormatId, tmp_path: Path) -> None:
    path = tmp_path / "shot.jpg"
    path.write_bytes(SOURCES[source]())
    assert read_picture(path, name="x").fields == WANTED
    out = tmp_path / f"cut{SUFFIXES[format]}"
    command = ["remove", str(path), "-o", str(out), "--backend", "keyer", "--background", "white"]
    assert main(command) == 0
    assert_said(out.read_bytes(), format)
    said = read_provenance(metadata_of(out.read_bytes()))
    assert said is not None
    assert COPYRIGHT not in said.attribution
    assert read_xmp(metadata_of(out.read_bytes()).xmp)["dc:rights"] == COPYRIGHT


@pytest.mark.parametrize("format", SUFFIXES)
def test_batch_keeps_them_and_resizing_leaves_dpi_as_stated(
    format: FormatId, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "shot.jpg").write_bytes(SOURCES["JPEG EXIF"]())
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'[canvas]\nsize = [50, 50]\nbackground = "white"\n[output]\nformat = "{format}"\n'
        "mask = true\n"
    )
    command = ["batch", str(tmp_path / "photos"), "-o", str(tmp_path / "out")]
    assert main([*command, "--backend", "keyer", "--recipe", str(recipe)]) == 0
    assert_said((tmp_path / "out" / f"shot{SUFFIXES[format]}").read_bytes(), format)
    mask = read_picture(tmp_path / "out" / "shot-mask.png", name="mask")
    assert mask.fields == Fields((300.0, 150.0))  # a mask is nobody's photograph


@pytest.mark.parametrize("format", SUFFIXES)
def test_without_provenance_they_stay(format: FormatId, tmp_path: Path) -> None:
    path, out = tmp_path / "shot.jpg", tmp_path / f"cut{SUFFIXES[format]}"
    path.write_bytes(SOURCES["JPEG EXIF"]())
    command = ["remove", str(path), "-o", str(out), "--backend", "keyer", "--background", "white"]
    assert main([*command, "--no-provenance"]) == 0
    assert_said(out.read_bytes(), format)
    assert read_provenance(metadata_of(out.read_bytes())) is None


def test_a_turned_picture_has_its_resolutions_turned_and_no_orientation(tmp_path: Path) -> None:
    path, out = tmp_path / "shot.jpg", tmp_path / "cut.tif"
    turned = {0x0112: (SHORT, struct.pack("<H", 6))}
    path.write_bytes(saved("JPEG", exif=exif(turned)))
    assert main(["remove", str(path), "-o", str(out), "--backend", "keyer"]) == 0
    picture = read_picture(out, name="x")
    assert picture.fields == Fields((150.0, 300.0), COPYRIGHT, AUTHOR)
    assert picture.pixels.shape == (80, 60, 3)


def test_mask_and_composite_keep_them_too(tmp_path: Path) -> None:
    path, mask = tmp_path / "shot.jpg", tmp_path / "painted.png"
    path.write_bytes(SOURCES["JPEG EXIF"]())
    Image.new("L", (80, 60), 255).save(mask)
    for command in ("mask", "composite"):
        out = tmp_path / f"{command}.png"
        arguments = {
            "mask": ["mask", str(path), str(mask), "-o", str(out)],
            "composite": ["composite", str(path), "--mask", str(mask), "-o", str(out)],
        }
        assert main(arguments[command]) == 0
        assert read_picture(out, name="x").fields == WANTED


def test_the_attribution_of_a_model_is_nobodys_copyright(tmp_path: Path) -> None:
    """A result that is cut out again: what XMP calls its rights are those in the weights."""
    path, first = tmp_path / "shot.png", tmp_path / "first.png"
    path.write_bytes(saved("PNG"))
    assert main(["remove", str(path), "-o", str(first), "--backend", "keyer"]) == 0
    assert read_picture(first, name="x").fields == Fields()


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ((RATIONAL, struct.pack("<II", 300, 0)), None),
        ((RATIONAL, struct.pack("<II", 0, 1)), None),
        ((RATIONAL, struct.pack("<II", 2**32 - 1, 1)), None),
        ((ASCII, b"300\0"), None),
        ((RATIONAL, struct.pack("<II", 7227, 100)), 72.27),
        ((SHORT, struct.pack("<H", 96)), 96.0),
    ],
)
def test_a_resolution_that_is_none(stated: tuple[int, bytes], found: float | None) -> None:
    data = saved("WEBP", exif=exif({0x011A: stated, 0x011B: stated}), lossless=True)
    fields = read_picture(data, name="x").fields
    assert fields.dpi == (None if found is None else (found, found))
    formats: tuple[FormatId, ...] = ("png", "jpeg", "webp", "tiff")
    for format in formats:
        again = encode(torch.rand(4, 4, 3), format, metadata=Metadata(fields=fields))
        dpi = read_picture(again, name="x").fields.dpi
        assert dpi == (None if found is None else pytest.approx((found, found), abs=0.5))


def test_dots_per_centimetre_and_pixels_per_metre() -> None:
    values = {0x0128: (SHORT, struct.pack("<H", 3))}
    fields = read_picture(saved("WEBP", exif=exif(values)), name="x").fields
    assert fields.dpi == pytest.approx((762, 381))
    assert read_picture(saved("PNG", dpi=(300, 300)), name="x").fields.dpi == (300, 300)


def test_a_text_without_end_is_cut_and_never_breaks_a_file() -> None:
    fields = read_picture(
        saved("WEBP", exif=exif({0x8298: (ASCII, "Ж\u0001".encode() * 100_000)})), name="x"
    ).fields
    assert len(fields.copyright) == 2000
    for format in ("png", "jpeg", "webp", "tiff"):
        data = encode(torch.rand(4, 4, 3), format, metadata=Metadata(fields=fields))
        assert read_picture(data, name="x").fields.copyright == fields.copyright
