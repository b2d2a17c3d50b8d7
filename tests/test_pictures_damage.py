"""What is no picture, or no longer one, is a BadPicture in words: never half a picture."""

# Pins the inside of pictures.png

from __future__ import annotations

import io
import os
import re
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, TiffImagePlugin

from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.pictures import png
from rmbg_nodes.pictures.png import _chunk
from rmbg_nodes.pictures.read import Picture, read_picture
from rmbg_nodes.pictures.write import encode

IMAGE = torch.rand(40, 31, 4, generator=torch.Generator().manual_seed(5))


def _pillow(format: str, mode: str, **options: object) -> bytes:
    file = io.BytesIO()
    pixels = (IMAGE.numpy() * 255).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, format, **options)
    return file.getvalue()


FILES = {
    "png 8": encode(IMAGE, "png"),
    "png 16": encode(IMAGE, "png", depth=16),
    "png grey": encode(IMAGE[..., :1], "png"),
    "png palette": _pillow("PNG", "P"),
    "jpeg": encode(IMAGE[..., :3], "jpeg"),
    "jpeg progressive": _pillow("JPEG", "RGB", progressive=True),
    "jpeg cmyk": _pillow("JPEG", "CMYK"),
    "webp lossless": encode(IMAGE, "webp"),
    "webp lossy": encode(IMAGE, "webp", quality=80),
    "tiff 8": encode(IMAGE, "tiff"),
    "tiff 16": encode(IMAGE, "tiff", depth=16),
    "tiff raw": _pillow("TIFF", "RGB"),
    "tiff lzw": _pillow("TIFF", "RGBA", compression="tiff_lzw"),
    "tiff palette": _pillow("TIFF", "P"),
    "tiff cmyk": _pillow("TIFF", "CMYK", compression="packbits"),
    "tiff big": _pillow("TIFF", "RGB", big_tiff=True),
    "jpeg restarts": _pillow("JPEG", "RGB", restart_marker_blocks=2),
}
WHOLE = {name: read_picture(data, name=name) for name, data in FILES.items()}
cases = pytest.mark.parametrize("case", FILES)


def _same(one: Picture, other: Picture) -> bool:
    if (one.alpha is None) != (other.alpha is None):
        return False
    alphas = one.alpha is None or other.alpha is None or torch.equal(one.alpha, other.alpha)
    return torch.equal(one.pixels, other.pixels) and alphas


def _picture_or_sentence(data: bytes) -> Picture | str:
    try:
        return read_picture(data, name="odd", max_megapixels=1)
    except BadPicture as refusal:
        return str(refusal)


def _is_sentence(result: Picture | str) -> bool:
    return isinstance(result, str) and bool(re.fullmatch(r"odd cannot be used: .+\.", result))


def _whole_or_refused(data: bytes, case: str) -> None:
    """A cut file is refused, unless what is missing was not part of the picture."""
    result = _picture_or_sentence(data)
    assert _is_sentence(result) or (isinstance(result, Picture) and _same(result, WHOLE[case]))


@cases
@pytest.mark.parametrize("lenient", [False, True])
@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1))
def test_a_file_cut_anywhere(case: str, lenient: bool, share: float) -> None:
    """`lenient`: another program has told Pillow to accept cut files; ours are still whole."""
    data = FILES[case]
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = lenient
    try:
        _whole_or_refused(data[: int(share * len(data))], case)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


@cases
def test_a_file_cut_near_its_ends(case: str) -> None:
    data = FILES[case]
    for length in [*range(64), *range(len(data) - 24, len(data))]:
        _whole_or_refused(data[:length], case)


@cases
def test_a_file_without_its_second_half_is_refused(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = FILES[case]
    with pytest.raises(BadPicture):
        read_picture(data[: len(data) // 2], name="half")


@cases
@settings(max_examples=60, deadline=None)
@given(places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_give_a_picture_or_a_sentence(
    case: str, places: list[tuple[float, int]]
) -> None:
    data = bytearray(FILES[case])
    for share, value in places:
        data[min(int(share * len(data)), len(data) - 1)] = value
    result = _picture_or_sentence(bytes(data))
    if isinstance(result, Picture):
        assert result.pixels.shape[2] == 3
        assert 0 <= result.pixels.min() <= result.pixels.max() <= 1
    else:
        assert _is_sentence(result)


def test_a_directory_beyond_any_memory_is_refused() -> None:
    """BigTIFF's address of its first directory has eight bytes."""
    data = bytearray(FILES["tiff big"])
    data[8:16] = b"\xff" * 8
    assert _is_sentence(_picture_or_sentence(bytes(data)))


@settings(max_examples=100, deadline=None)
@given(
    magic=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*"]),
    rest=st.binary(max_size=200),
)
def test_arbitrary_bytes_are_refused(magic: bytes, rest: bytes) -> None:
    with pytest.raises(BadPicture, match="^x cannot be used: "):
        read_picture(magic + rest, name="x")


@pytest.mark.parametrize("case", ["png 8", "png 16"])
def test_a_wrong_checksum_is_seen(case: str) -> None:
    data = bytearray(FILES[case])
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(BadPicture, match="damaged"):
        read_picture(bytes(data), name="x")


def test_a_jpeg_that_libjpeg_gives_up_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to accept cut files, Pillow would return the rows it has, or black."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = bytearray(FILES["jpeg"])
    table = data.index(b"\xff\xc4") + 5
    data[table : table + 16] = b"\xff" * 16
    with pytest.raises(BadPicture, match="damaged"):
        read_picture(bytes(data), name="x")


def _png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = _chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + pixels + _chunk(b"IEND", b"")


def _patched(case: str, old: bytes, new: bytes) -> bytes:
    assert FILES[case].count(old) >= 1
    return FILES[case].replace(old, new, 1)


HUGE = {
    "png": _png_header(60_000, 60_000),
    "jpeg": _patched("jpeg", struct.pack(">HH", 40, 31), struct.pack(">HH", 60_000, 60_000)),
    "webp": b"RIFF"
    + struct.pack("<I", 22)
    + b"WEBPVP8X"
    + struct.pack("<I", 10)
    + b"\0" * 4
    + b"\xff" * 6,
    "tiff": _patched(
        "tiff 8", struct.pack("<HHII", 256, 4, 1, 31), struct.pack("<HHII", 256, 4, 1, 2**31)
    ),
}


@pytest.mark.parametrize("case", HUGE)
def test_a_bomb_is_refused_from_its_header(case: str) -> None:
    """Its pixels would need gigabytes. Nor does Pillow warn, which is an error in these tests."""
    with pytest.raises(BadPicture, match="more than the limit of 64 megapixels"):
        read_picture(HUGE[case], name="bomb")


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_packed_texts_have_one_limit_together(monkeypatch: pytest.MonkeyPatch, kind: bytes) -> None:
    """Each below a limit of its own, they would need gigabytes out of a small file."""
    monkeypatch.setattr(png, "_LARGEST_TEXTS", 1000)
    packed = (b"\0" if kind == b"zTXt" else b"\1\0\0\0") + zlib.compress(b"a" * 700)
    texts = b"".join(_chunk(kind, b"t%d\0" % n + packed) for n in range(9))
    data = FILES["png 8"]
    data = data[:33] + texts + _chunk(b"tEXt", b"plain\0b") + data[33:]
    assert png.texts_of(data) == {"t0": "a" * 700, "t1": "a" * 300, "plain": "b"}
    assert _same(read_picture(data, name="x"), WHOLE["png 8"])


def test_a_second_header_is_refused() -> None:
    """Pillow would decode by the last, whose size nobody has judged."""
    data = encode(torch.rand(4, 4, 3), "png")
    end = data.index(b"IDAT") - 4
    second = _chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    with pytest.raises(BadPicture, match="damaged"):
        read_picture(data[:end] + second + data[end:], name="two")


def test_the_limit_is_the_callers() -> None:
    assert read_picture(FILES["png 8"], name="x", max_megapixels=0.00124).depth == 8
    with pytest.raises(BadPicture, match="31 x 40 pixels are more than the limit of 0.001 mega"):
        read_picture(FILES["png 8"], name="x", max_megapixels=0.001)


def test_a_large_picture_within_the_limit_warns_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own limit would warn (an error in these tests) or refuse."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    for case in ("png 8", "png 16", "jpeg", "tiff 16"):
        assert _same(read_picture(FILES[case], name=case), WHOLE[case])


def test_where_pillow_insists_on_its_limit_the_message_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Newer versions ask for it once more when a TIFF is decoded."""

    def refuse(_: object) -> None:
        raise Image.DecompressionBombError

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", refuse)
    with pytest.raises(BadPicture, match="raise PIL.Image.MAX_IMAGE_PIXELS"):
        read_picture(FILES["tiff palette"], name="tiff palette")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"Dear Sir or Madam, please find enclosed", "it is not a PNG, JPEG, WebP, TIFF, AVIF"),
        (b"8BPS" + bytes(40), "it is not a PNG, JPEG, WebP, TIFF, AVIF"),
        (b"GIF89a" + bytes(40), "the file is damaged"),
        (b"\x89PNG\r\n\x1a\n", "the file ends before the picture does"),
        (_png_header(0, 5), "it has no pixels"),
        (_patched("jpeg", struct.pack(">HH", 40, 31), struct.pack(">HH", 0, 31)), "no pixels"),
        (_png_header(20, 20), "the file ends before the picture does"),
    ],
)
def test_the_reason_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(BadPicture, match=rf"^mail\.jpg cannot be used: .*{reason}"):
        read_picture(data, name="mail.jpg")


def test_paths_that_hold_no_picture(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="there is no such file"):
        read_picture(tmp_path / "none.png", name="none.png")
    with pytest.raises(BadPicture, match="it is a folder"):
        read_picture(tmp_path, name="folder")
    with pytest.raises(BadPicture, match="cannot be read"):
        read_picture(tmp_path / "a\0b.png", name="zero")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")
def test_devices_and_locked_files(tmp_path: Path) -> None:
    from pathlib import Path

    with pytest.raises(BadPicture, match="not a regular file"):
        read_picture(Path(os.devnull), name="null")
    locked = tmp_path / "locked.png"
    locked.write_bytes(FILES["png 8"])
    locked.chmod(0)
    if os.access(locked, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(BadPicture, match="cannot be read"):
        read_picture(locked, name="locked.png")
