"""Metadata in real files: where every reader looks, beside pixels that nothing has touched."""

from __future__ import annotations

import io
import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from rmbg_nodes.pictures.formats import Depth, FormatId
from rmbg_nodes.pictures.metadata import NOTHING, Metadata, has_workflow, metadata_of, with_workflow
from rmbg_nodes.pictures.provenance import KEYWORD, Provenance, read_provenance
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.pictures.write import encode

SAID = Provenance(
    software="rmbg-nodes 1.2.3",
    date="2026-03-01T12:30:00Z",
    backend="bria/rmbg-2.0",
    model="rmbg-2.0 <猫>",
    licence="Bria terms of service",
    usage="commercial",
    attribution="Background removal: BRIA RMBG, Bria API.",
    web_statement="https://bria.ai/terms?a=1&b=2",
    left_machine="yes",
    usage_terms="Background removed for commercial use.",
    request_id="req-1",
    receipt="R-0123456789ab",
)
IMAGE = torch.rand(9, 13, 4, generator=torch.Generator().manual_seed(5))
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FILES: list[tuple[FormatId, Depth, int]] = [
    ("png", 8, 4),
    ("png", 16, 4),
    ("png", 8, 1),
    ("webp", 8, 4),
    ("webp", 8, 3),
    ("tiff", 8, 4),
    ("tiff", 16, 3),
    ("jpeg", 8, 3),
]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def png_chunks(data: bytes) -> list[tuple[str, bytes]]:
    """Kind and body of every chunk; the checksums must be right."""
    found, at = [], 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        assert checksum == zlib.crc32(kind + body)
        found.append((kind.decode(), body))
        at += 12 + length
    return found


@pytest.mark.parametrize("icc_profile", [None, PROFILE], ids=["plain", "profile"])
@pytest.mark.parametrize(("format", "depth", "channels"), FILES)
def test_it_comes_back_and_no_pixel_has_changed(
    format: FormatId, depth: Depth, channels: int, icc_profile: bytes | None
) -> None:
    image = IMAGE[..., :channels]
    settings = {"depth": depth, "icc_profile": icc_profile}
    bare = encode(image, format, **settings)  # type: ignore[arg-type]
    data = encode(image, format, metadata=SAID.metadata(), **settings)  # type: ignore[arg-type]
    assert data == encode(image, format, metadata=SAID.metadata(), **settings)  # type: ignore[arg-type]
    assert read_provenance(metadata_of(data)) == SAID
    assert read_provenance(metadata_of(bare)) is None
    with_it, without = read_picture(data, name="x"), read_picture(bare, name="x")
    assert with_it.depth == depth
    assert torch.equal(with_it.pixels, without.pixels)
    if with_it.alpha is not None and without.alpha is not None:
        assert torch.equal(with_it.alpha, without.alpha)
    assert opened(data).info.get("icc_profile") == opened(bare).info.get("icc_profile")
    np.testing.assert_array_equal(np.asarray(opened(data)), np.asarray(opened(bare)))


@pytest.mark.parametrize(("format", "depth", "channels"), FILES)
def test_nothing_is_written_without_metadata(format: FormatId, depth: Depth, channels: int) -> None:
    data = encode(IMAGE[..., :channels], format, depth=depth, metadata=NOTHING)
    assert data == encode(IMAGE[..., :channels], format, depth=depth)
    for word in (b"rmbg", b"xmp", b"adobe", b"Software"):
        assert word not in data


@pytest.mark.parametrize(("format", "depth", "channels"), FILES)
def test_pillow_finds_the_packet(format: FormatId, depth: Depth, channels: int) -> None:
    metadata = SAID.metadata()
    image = opened(encode(IMAGE[..., :channels], format, depth=depth, metadata=metadata))
    found = {
        "png": lambda: image.info["XML:com.adobe.xmp"].encode(),
        "webp": lambda: image.info["xmp"],
        "jpeg": lambda: image.info["xmp"],
        "tiff": lambda: bytes(image.tag_v2[700]),  # type: ignore[attr-defined]
    }[format]()
    assert found == metadata.xmp


def test_png_says_it_in_text_chunks_before_the_pixels() -> None:
    chunks = png_chunks(encode(IMAGE, "png", icc_profile=PROFILE, metadata=SAID.metadata()))
    kinds = [kind for kind, _ in chunks]
    assert kinds[0] == "IHDR"
    assert kinds[-1] == "IEND"
    assert kinds.index("iTXt") < kinds.index("IDAT")
    assert kinds.index("iCCP") < kinds.index("IDAT")
    texts = dict(body.split(b"\0", 1) for kind, body in chunks if kind == "tEXt")
    assert texts[b"Software"] == b"rmbg-nodes 1.2.3"
    assert texts[b"Comment"] == SAID.attribution.encode()
    assert json.loads(texts[KEYWORD.encode()])["receipt"] == "R-0123456789ab"
    (packet,) = [body for kind, body in chunks if kind == "iTXt"]
    assert packet.startswith(b"XML:com.adobe.xmp\0\0\0\0\0<?xpacket")


def test_jpeg_says_it_in_one_segment_behind_the_jfif_header() -> None:
    data = encode(IMAGE[..., :3], "jpeg", icc_profile=PROFILE, metadata=SAID.metadata())
    assert data[2:4] == b"\xff\xe0"
    at = 4 + int.from_bytes(data[4:6], "big")
    assert data[at : at + 2] == b"\xff\xe1"
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    segment = data[at + 4 : at + 2 + length]
    assert segment == b"http://ns.adobe.com/xap/1.0/\0" + SAID.metadata().xmp


def test_a_packet_too_long_for_jpeg_costs_no_picture() -> None:
    data = encode(IMAGE[..., :3], "jpeg", metadata=Metadata(b"x" * 70_000))
    assert data == encode(IMAGE[..., :3], "jpeg")


def test_webp_says_so_in_its_header() -> None:
    data = encode(IMAGE, "webp", metadata=SAID.metadata())
    assert data[12:16] == b"VP8X"
    assert data[20] & 0b100  # XMP (RFC 9649, section 2.7)
    assert b"VP8L" in data  # lossless
    levels = (IMAGE * 255 + 0.5).floor().numpy()
    np.testing.assert_array_equal(np.asarray(opened(data)), levels)


def test_texts_beyond_ascii_are_international() -> None:
    chunks = png_chunks(encode(IMAGE, "png", metadata=Metadata(texts={"Title": "猫 é"})))
    assert ("iTXt", b"Title\0\0\0\0\0" + "猫 é".encode()) in chunks
    assert opened(encode(IMAGE, "png", metadata=Metadata(texts={"Title": "猫 é"}))).info == {
        "Title": "猫 é"
    }


def test_packed_texts_of_other_programs_are_read() -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("a", "one é", zip=True)
    info.add_itxt("b", "two 猫", "ja", "b", zip=True)
    info.add_text("a", "second")
    file = io.BytesIO()
    Image.new("L", (2, 2)).save(file, "PNG", pnginfo=info)
    assert metadata_of(file.getvalue()).texts == {"a": "one é", "b": "two 猫"}


def test_a_source_type_is_read_from_any_format() -> None:
    term = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    said = replace(SAID, source_type=term).metadata()
    for format, depth, channels in FILES:
        data = encode(IMAGE[..., :channels], format, depth=depth, metadata=said)
        assert read_picture(data, name="x").source_type == term


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_a_file_that_is_cut_off_says_less_and_never_fails(format: FormatId) -> None:
    data = encode(IMAGE[..., :3], format, metadata=SAID.metadata())
    for end in range(0, len(data), 7):
        metadata_of(data[:end])
    noise = np.random.default_rng(3)
    for _ in range(200):
        broken = bytearray(data)
        broken[noise.integers(4, len(data))] ^= 0xFF
        read_provenance(metadata_of(bytes(broken)))


# ---------------------------------------------------------------- ComfyUI's workflow

WORKFLOW = {"prompt": '{"1": {}}', "workflow": '{"nodes": []}', "extra": '"x"'}


def test_png_keeps_comfyuis_chunks_beside_ours() -> None:
    data = encode(IMAGE, "png", metadata=with_workflow(SAID.metadata(), WORKFLOW))
    info = opened(data).info
    assert {name: info[name] for name in WORKFLOW} == WORKFLOW
    assert read_provenance(metadata_of(data)) == SAID
    assert has_workflow(metadata_of(data))
    assert not has_workflow(metadata_of(encode(IMAGE, "png", metadata=SAID.metadata())))


def test_webp_keeps_the_workflow_where_the_frontend_looks() -> None:
    data = encode(IMAGE, "webp", metadata=with_workflow(SAID.metadata(), WORKFLOW))
    exif = opened(data).getexif()
    assert exif[0x0110] == 'prompt:{"1": {}}'
    assert exif[0x010F] == 'workflow:{"nodes": []}'
    assert exif[0x010E] == 'extra:"x"'
    assert has_workflow(metadata_of(data))
    assert read_provenance(metadata_of(data)) == SAID


def test_no_workflow_leaves_nothing_behind() -> None:
    assert with_workflow(SAID.metadata(), {}) == SAID.metadata()


def test_names_that_png_cannot_hold_and_taken_names_are_left_out() -> None:
    odd = {"": "1", "é": "2", "x" * 80: "3", "a\nb": "4", "Software": "5"}
    texts = with_workflow(SAID.metadata(), odd).texts
    assert texts == SAID.metadata().texts
