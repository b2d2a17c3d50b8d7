"""Which way up: one rule for a file and for the PIL image that was opened from it."""

# Pins the inside of pictures.in_memory
# Pins the inside of pictures.png
# Pins the inside of pictures.tags
# Pins the inside of pictures.tiff

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.pictures.in_memory import to_images
from rmbg_nodes.pictures.png import _chunk
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.pictures.tags import ASCII, BYTE, SHORT, write_exif
from rmbg_nodes.pictures.tiff import encode_tiff

#: A quarter is white: where it is after turning tells the orientation, 120 x 80 as stored.
STORED = np.zeros((80, 120, 3), np.uint8)
STORED[:40, :60] = 255
STORED[40:, :60] = 90


def exif(orientation: int | None) -> bytes:
    values = {0x010F: (ASCII, b"A camera\0")}
    if orientation is not None:
        values[0x0112] = SHORT, struct.pack("<H", orientation)
    return write_exif(values)


def attribute(orientation: object) -> bytes:
    return _xmp(f"<rdf:Description rdf:about='' tiff:Orientation='{orientation}'/>")


def element(orientation: object) -> bytes:
    inner = f"<t:Orientation xmlns:t='http://ns.adobe.com/tiff/1.0/'>{orientation}</t:Orientation>"
    return _xmp(f"<rdf:Description rdf:about=''>{inner}</rdf:Description>")


def of_another(orientation: object) -> bytes:
    """What a packet says of an ingredient, and in a comment, is not said of the picture."""
    return _xmp(
        "<!-- tiff:Orientation='8' --><rdf:Description rdf:about='' "
        "xmlns:m='http://ns.adobe.com/xap/1.0/mm/'><m:Pantry><rdf:Bag><rdf:li>"
        f"<rdf:Description tiff:Orientation='{orientation}'/></rdf:li></rdf:Bag></m:Pantry>"
        "</rdf:Description>"
    )


def _xmp(inner: str) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "
        "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
        f"xmlns:tiff='http://ns.adobe.com/tiff/1.0/'>{inner}</rdf:RDF></x:xmpmeta>"
        "<?xpacket end='w'?>"
    ).encode()


def png(*chunks: bytes, deep: bool = False) -> bytes:
    if deep:
        rows = (STORED.astype(">u2") * 257).reshape(80, -1)
        lines = b"".join(b"\0" + row.tobytes() for row in rows)
        header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 120, 80, 16, 2, 0, 0, 0))
        end = _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + end
    data = _saved("PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def raw_profile(name: str, content: bytes, packed: bool = True) -> bytes:
    digits = content.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{name}\n{len(content):8}\n{lines}\n".encode()
    keyword = f"Raw profile type {name}".encode() + b"\0"
    if packed:
        return _chunk(b"zTXt", keyword + b"\0" + zlib.compress(text))
    return _chunk(b"tEXt", keyword + text)


def itxt(packet: bytes) -> bytes:
    return _chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + packet)


def app1(*bodies: bytes) -> bytes:
    data = _saved("JPEG", quality=95, subsampling=0)
    segments = [struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body for body in bodies]
    return data[:2] + b"".join(segments) + data[2:]


def tiff(packet: bytes, orientation: int | None, deep: bool = False) -> bytes:
    fields = {700: (BYTE, packet)} if packet else {}
    if orientation is not None:
        fields[0x0112] = SHORT, struct.pack("<H", orientation)
    levels = STORED.astype(np.uint16) * 257 if deep else STORED
    return encode_tiff(levels, None, fields=fields)


def _saved(format: str, **settings: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(STORED).save(file, format, **settings)
    return file.getvalue()


EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
LOSSLESS = {"lossless": True}
STATED = {
    "PNG eXIf": lambda n: png(_chunk(b"eXIf", exif(n))),
    "PNG eXIf behind the pixels": lambda n: png()[:-12] + _chunk(b"eXIf", exif(n)) + png()[-12:],
    "PNG XMP attribute": lambda n: png(itxt(attribute(n))),
    "PNG XMP element": lambda n: png(itxt(element(n))),
    "PNG profile exif": lambda n: png(raw_profile("exif", EXIF + exif(n))),
    "PNG profile exif as tEXt": lambda n: png(raw_profile("exif", EXIF + exif(n), packed=False)),
    "PNG profile APP1": lambda n: png(raw_profile("APP1", EXIF + exif(n))),
    "PNG profile APP1 of XMP": lambda n: png(raw_profile("APP1", XMP + element(n))),
    "PNG profile xmp": lambda n: png(raw_profile("xmp", attribute(n))),
    "WebP EXIF": lambda n: _saved("WEBP", exif=exif(n), **LOSSLESS),
    "WebP XMP attribute": lambda n: _saved("WEBP", xmp=attribute(n), **LOSSLESS),
    "WebP XMP element": lambda n: _saved("WEBP", xmp=element(n), **LOSSLESS),
    "JPEG EXIF": lambda n: app1(EXIF + exif(n)),
    "JPEG XMP attribute": lambda n: app1(XMP + attribute(n)),
    "JPEG XMP element": lambda n: app1(XMP + element(n)),
    "TIFF tag": lambda n: tiff(b"", n),
    "TIFF XMP": lambda n: tiff(attribute(n).replace(b"'", b'"'), None),
    "AVIF": lambda n: _saved("AVIF", exif=EXIF + exif(n), quality=100, subsampling="4:4:4"),
}
# Of two that are stated: (file, what counts)
BOTH = {
    "PNG: EXIF before XMP": (png(itxt(attribute(3)), _chunk(b"eXIf", exif(6))), 6),
    "PNG: EXIF before a profile": (png(raw_profile("exif", exif(3)), _chunk(b"eXIf", exif(6))), 6),
    "PNG: a profile before XMP": (png(itxt(attribute(3)), raw_profile("exif", exif(6))), 6),
    "JPEG: EXIF before XMP": (app1(XMP + attribute(3), EXIF + exif(6)), 6),
    "JPEG: the first EXIF": (app1(EXIF + exif(6), EXIF + exif(3)), 6),
    "JPEG: the first EXIF, though silent": (app1(EXIF + exif(None), EXIF + exif(3)), 1),
    "JPEG: silent EXIF, XMP": (app1(EXIF + exif(None), XMP + element(6)), 6),
    "JPEG: EXIF that says 1": (app1(EXIF + exif(1), XMP + element(6)), 1),
    "JPEG: EXIF that says 9, XMP": (app1(EXIF + exif(9), XMP + element(6)), 6),
    "JPEG: EXIF that says 0": (app1(EXIF + exif(0)), 1),
    "JPEG: XMP that says 0": (app1(XMP + attribute(0)), 1),
    "JPEG: XMP that says nonsense": (app1(XMP + attribute("up")), 1),
    "JPEG: XMP of an ingredient": (app1(XMP + of_another(6)), 1),
    "JPEG: EXIF that is damaged, XMP": (app1(EXIF + b"II*\0\xff\xff\xff\xff", XMP + element(6)), 6),
    "JPEG: XMP that ends in zeros": (app1(XMP + attribute(6) + bytes(9)), 6),
    "WebP: EXIF before XMP": (_saved("WEBP", exif=exif(6), xmp=attribute(3), **LOSSLESS), 6),
    "TIFF: tag before XMP": (tiff(attribute(3).replace(b"'", b'"'), 6), 6),
    "TIFF: a tag that says 1": (tiff(attribute(3).replace(b"'", b'"'), 1), 1),
    "TIFF: a tag that says 9, XMP": (tiff(attribute(6).replace(b"'", b'"'), 9), 6),
    "PNG: a profile of nonsense": (
        png(_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n9\nxyz")),
        1,
    ),
    "AVIF: XMP has no say": (_saved("AVIF", xmp=attribute(6), quality=100), 1),
}


def expected(orientation: int) -> np.ndarray:
    """By EXIF's own words: where the stored first row and column are in the upright picture."""
    turns = {
        1: STORED,
        2: STORED[:, ::-1],
        3: STORED[::-1, ::-1],
        4: STORED[::-1],
        5: STORED.swapaxes(0, 1),
        6: np.rot90(STORED, -1),
        7: STORED[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(STORED),
    }
    return turns[orientation]


def both_ways(data: bytes) -> list[np.ndarray]:
    from_file = read_picture(data, name="x").pixels
    with Image.open(io.BytesIO(data)) as opened:
        from_pil = to_images(opened)[0][0, ..., :3]
    return [np.asarray(values) * 255 for values in (from_file, from_pil)]


def assert_upright(data: bytes, orientation: int) -> None:
    wanted = expected(orientation).astype(int)
    for found in both_ways(data):
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 30  # JPEG and AVIF


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("where", STATED)
def test_an_orientation_is_followed_wherever_it_stands(where: str, orientation: int) -> None:
    assert_upright(STATED[where](orientation), orientation)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's, when it opens the file
@pytest.mark.parametrize("case", BOTH)
def test_exif_counts_before_xmp_and_the_first_before_the_second(case: str) -> None:
    assert_upright(*BOTH[case])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("where", ["XMP", "profile", "TIFF tag", "TIFF XMP"])
def test_16_bits_are_turned_alike(where: str, orientation: int) -> None:
    files = {
        "XMP": lambda: png(itxt(element(orientation)), deep=True),
        "profile": lambda: png(raw_profile("exif", exif(orientation)), deep=True),
        "TIFF tag": lambda: tiff(b"", orientation, deep=True),
        "TIFF XMP": lambda: tiff(attribute(orientation), None, deep=True),
    }
    picture = read_picture(files[where](), name="x")
    assert picture.depth == 16
    assert np.abs(picture.pixels.numpy() * 255 - expected(orientation)).max() < 1e-3


def test_what_a_user_changed_in_the_exif_of_an_image_counts() -> None:
    with Image.open(io.BytesIO(app1(EXIF + exif(6)))) as opened:
        opened.getexif()[0x0112] = 1
        assert to_images(opened)[0].shape[1:3] == (80, 120)
    made = Image.fromarray(STORED)
    made.getexif()[0x0112] = 6
    assert to_images(made)[0].shape[1:3] == (120, 80)


def test_heic_is_turned_by_its_own_boxes() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    for packet in (b"", attribute(6)):
        assert_upright(_saved("HEIF", quality=100, chroma=444, xmp=packet), 1)
