"""TIFF files that say one thing and hold another."""

from __future__ import annotations

import io
import struct
import time

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.pictures.read import read_picture
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


@pytest.mark.parametrize(
    "lies",
    [{277: 0, 284: 2}, {256: 0}, {257: 2**32 - 1, 278: 1}, {256: 2**32 - 1}, {258: 0}],
)
def test_a_tiff_that_lies_about_its_size_is_refused_at_once(lies: dict[int, int]) -> None:
    """Nothing is counted out that the file only claims to have."""
    true = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: 16}
    values = {tag: (4, struct.pack("<I", value)) for tag, value in {**true, **lies}.items()}
    began = time.process_time()
    with pytest.raises(BadPicture):
        read_picture(_assemble(bytes(16), values), name="x")
    assert time.process_time() - began < 1


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
