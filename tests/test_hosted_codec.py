"""What is sent is the picture and nothing else; what comes back is its alpha, or refused."""

# Pins the inside of backends.hosted.codec

from __future__ import annotations

import hashlib
import io
import struct
import threading
import time
import warnings
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from rmbg_nodes.backends.hosted import codec
from rmbg_nodes.core.errors import BadPicture, UnusableResult
from rmbg_nodes.core.types import Frame

RNG = np.random.default_rng(7)
SIZE = (31, 20)  # width, height
ALPHA = RNG.integers(0, 256, SIZE[::-1], dtype=np.uint8)
ALPHA.flat[:3] = (0, 128, 255)
RGB = RNG.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)


def never() -> bool:
    return False


def chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def chunks_of(png: bytes) -> list[bytes]:
    kinds, position = [], 8
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        kinds.append(kind)
        position += 12 + length
    return kinds


def saved(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def deep_png(levels: np.ndarray, colour: int, *extra: bytes) -> bytes:
    """A 16-bit PNG written out by hand, so that one library does not judge the other."""
    height, width = levels.shape[:2]
    rows = levels.astype(">u2").reshape(height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    body = b"".join(extra) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def rgba(alpha: np.ndarray = ALPHA) -> Image.Image:
    return Image.fromarray(np.dstack([RGB, alpha]))


def refused(data: bytes, size: tuple[int, int] = SIZE) -> str:
    with pytest.raises(UnusableResult) as caught:
        codec.decode_alpha(data, size)
    text = str(caught.value)
    assert text.startswith("the provider")
    assert text.endswith(".")
    return text


def exact(levels: np.ndarray, top: int) -> torch.Tensor:
    return torch.from_numpy(levels.astype(np.float32) / np.float32(top))


# -- what is sent


def test_levels_are_the_nearest_ones() -> None:
    ties = torch.tensor([0.5, 1.5, 2.5, 253.5]) / 255
    values = torch.cat([torch.arange(256) / 255, ties, torch.tensor([-0.05, 1.05, 0.0, 1.0])])
    pixels = values.repeat_interleave(3).reshape(8, 33, 3)
    before = pixels.clone()
    levels = codec.levels_of(Frame(0, pixels, "p"))
    assert levels.dtype == np.uint8
    assert levels.shape == (8, 33, 3)
    assert levels[..., 0].ravel().tolist() == [*range(256), 0, 2, 2, 254, 0, 255, 0, 255]
    assert torch.equal(pixels, before)


def test_identity_is_the_size_and_the_levels() -> None:
    assert codec.identity(RGB) == hashlib.sha256(b"20x31:" + RGB.tobytes()).hexdigest()
    assert codec.identity(RGB.reshape(31, 20, 3)) != codec.identity(RGB)
    assert codec.identity(np.asfortranarray(RGB)) == codec.identity(RGB)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 3), (300, 400)])
def test_the_png_is_lossless_and_holds_nothing_else(size: tuple[int, int]) -> None:
    levels = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    png = codec.encode_png(levels, never)
    kinds = chunks_of(png)
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert set(kinds[1:-1]) == {b"IDAT"}
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), levels)
    assert codec.encode_png(levels, never) == png


def test_encoding_ends_soon_after_a_stop() -> None:
    levels = np.full((3000, 3000, 3), 250, np.uint8)
    levels[1000:2000, 1000:2000] = RNG.integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    stop = threading.Event()
    threading.Timer(0.02, stop.set).start()
    start = time.monotonic()
    with pytest.raises(codec.Stopped):
        codec.fit_png(levels, 1000, True, stop.is_set)
    assert time.monotonic() - start < 0.5


def test_a_picture_that_fits_is_sent_as_it_is() -> None:
    sent = codec.fit_png(RGB, 10_000, True, never)
    assert (sent.width, sent.height, sent.note) == (*SIZE, "")
    assert sent.png == codec.encode_png(RGB, never)


def test_a_picture_over_the_limit_is_refused_with_both_sizes_and_the_ways_out() -> None:
    levels = RNG.integers(0, 256, (700, 900, 3), dtype=np.uint8)
    with pytest.raises(BadPicture, match=r"1\.9 MB as PNG.* takes 0\.5 MB.*downscale.*provider"):
        codec.fit_png(levels, 500_000, False, never)


@pytest.mark.parametrize("kind", ["noise", "smooth", "half"])
def test_downscaling_is_about_the_largest_that_fits(kind: str) -> None:
    y, x = np.mgrid[0:500, 0:800].astype(np.float32)
    smooth = np.stack([x / 4, y / 3, (x + y) / 6], -1) % 255
    noise = RNG.integers(0, 256, (500, 800, 3))
    split = np.where(x[..., None] < 400, noise, smooth)
    levels = {"noise": noise, "smooth": smooth, "half": split}[kind].astype(np.uint8)
    whole = len(codec.encode_png(levels, never))
    for share in (0.9, 0.3):
        sent = codec.fit_png(levels, int(whole * share), True, never)
        assert 0.75 * whole * share < len(sent.png) <= whole * share
        assert abs(sent.width / sent.height - 1.6) < 0.02
        with Image.open(io.BytesIO(sent.png)) as image:
            assert image.size == (sent.width, sent.height)
        assert f"sent at {sent.width} x {sent.height} instead of 800 x 500" in sent.note


def test_downscaling_does_not_alias() -> None:
    """A chessboard of pixels becomes grey, not another chessboard."""
    board = ((np.indices((400, 400)).sum(0) % 2) * 255).astype(np.uint8)
    levels = np.dstack([board] * 3)
    levels[:40] = RNG.integers(0, 256, (40, 400, 3))
    sent = codec.fit_png(levels, len(codec.encode_png(levels, never)) // 5, True, never)
    assert sent.width < 250
    with Image.open(io.BytesIO(sent.png)) as image:
        rest = np.asarray(image)[sent.height // 5 :]
    assert rest.std() < 20


def test_what_cannot_be_made_small_enough_is_refused() -> None:
    with pytest.raises(BadPicture, match="takes 0.0 MB"):
        codec.fit_png(RGB, 40, True, never)


# -- what comes back


def palette(transparency: bytes | int, bits: int = 8) -> bytes:
    image = Image.new("P", SIZE)
    image.putdata((ALPHA % 4).ravel().tolist())
    image.putpalette([value for level in range(4) for value in (level, 90, 200)])
    return saved(image, transparency=transparency, bits=bits)


EIGHT = {
    "rgba": (saved(rgba()), ALPHA),
    "la": (saved(rgba().convert("LA")), ALPHA),
    "l": (saved(Image.fromarray(ALPHA)), ALPHA),
    "webp lossless": (saved(rgba(), "WEBP", lossless=True), ALPHA),
    "webp lossy": (saved(rgba(), "WEBP", quality=50, alpha_quality=100), ALPHA),
    "palette, bytes": (palette(bytes([0, 80, 160, 255])), np.array([0, 80, 160, 255])[ALPHA % 4]),
    "palette, one entry": (palette(2), np.where(ALPHA % 4 == 2, 0, 255)),
    "palette, short": (palette(b"\x10\x20"), np.array([16, 32, 255, 255])[ALPHA % 4]),
    "palette of 2 bits": (palette(bytes([9, 8, 7, 6]), 2), np.array([9, 8, 7, 6])[ALPHA % 4]),
    "1": (saved(Image.fromarray(ALPHA > 99)), np.where(ALPHA > 99, 255, 0)),
    "key colour": (
        saved(Image.fromarray(RGB), transparency=tuple(RGB[0, 0].tolist())),
        np.where((RGB[0, 0] == RGB).all(-1), 0, 255),
    ),
}


@pytest.mark.parametrize("case", EIGHT)
def test_eight_bits_are_exact(case: str) -> None:
    data, levels = EIGHT[case]
    alpha = codec.decode_alpha(data, SIZE)
    assert alpha.dtype == torch.float32
    assert alpha.shape == SIZE[::-1]
    assert torch.equal(alpha, exact(levels, 255))


@pytest.mark.parametrize(("channels", "colour"), [(1, 0), (2, 4), (4, 6)])
def test_sixteen_bits_are_exact(channels: int, colour: int) -> None:
    levels = RNG.integers(0, 65536, (*SIZE[::-1], channels), dtype=np.uint16)
    alpha = codec.decode_alpha(deep_png(levels, colour), SIZE)
    assert torch.equal(alpha, exact(levels[..., -1], 65535))


def test_a_deep_key_colour_is_alpha() -> None:
    levels = RNG.integers(0, 65536, (*SIZE[::-1], 3), dtype=np.uint16)
    key = chunk(b"tRNS", struct.pack(">HHH", *levels[0, 0].tolist()))
    alpha = codec.decode_alpha(deep_png(levels, 2, key), SIZE)
    assert torch.equal(alpha, exact(np.where((levels == levels[0, 0]).all(-1), 0, 1), 1))


def test_an_interlaced_png_is_read() -> None:
    """Written by hand, because Pillow writes none."""
    levels = np.dstack([RGB, ALPHA])
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2))  # fmt: skip
    lines = b"".join(
        b"\0" + row.tobytes() for x, y, dx, dy in passes for row in levels[y::dy, x::dx]
    )
    header = struct.pack(">IIBBBBB", *SIZE, 8, 6, 0, 0, 1)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines))
    assert torch.equal(codec.decode_alpha(data + chunk(b"IEND", b""), SIZE), exact(ALPHA, 255))


def test_no_subject_is_an_answer() -> None:
    assert not codec.decode_alpha(saved(rgba(np.zeros_like(ALPHA))), SIZE).any()


def test_metadata_is_not_even_looked_at() -> None:
    """A manifest, and a profile and a text that would trip a decoder."""
    png = saved(rgba())
    extra = [
        chunk(b"caBX", b"jumb" * 999),
        chunk(b"iCCP", b"x\0\0broken"),
        chunk(b"zTXt", b"a\0\0b"),
    ]
    broken = chunk(b"eXIf", b"MM\0*")[:-1] + b"?"
    data = png[:33] + b"".join(extra) + broken + png[33:]
    assert torch.equal(codec.decode_alpha(data, SIZE), exact(ALPHA, 255))


FULL = np.full_like(ALPHA, 255)
OPAQUE = {
    "rgb": saved(Image.fromarray(RGB)),
    "rgba": saved(rgba(FULL)),
    "la": saved(rgba(FULL).convert("LA")),
    "l": saved(Image.fromarray(FULL)),
    "palette": saved(rgba(FULL).convert("P")),
    "webp": saved(Image.fromarray(RGB), "WEBP"),
    "rgb 16": deep_png(RNG.integers(0, 9, (*SIZE[::-1], 3)), 2),
    "rgba 16": deep_png(np.full((*SIZE[::-1], 4), 65535), 6),
}


@pytest.mark.parametrize("case", OPAQUE)
def test_an_opaque_answer_is_refused(case: str) -> None:
    assert refused(OPAQUE[case]) == "the provider gave an opaque answer: it holds no mask."


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<!DOCTYPE html><html>secret</html>", "a web page (HTML)"),
        (b"\n<HTML><body>", "a web page (HTML)"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'{"detail": "gone"}', "JSON"),
        (b"no such file", "text"),
        (saved(Image.fromarray(RGB), "JPEG"), "a JPEG, which holds no mask"),
        (saved(Image.fromarray(RGB), "GIF"), "a GIF"),
        (b"\x00\x01\x02\x03" * 9, "something unknown"),
    ],
)
def test_what_is_no_picture_is_told_by_its_looks(data: bytes, words: str) -> None:
    text = refused(data)
    assert words in text
    assert "secret" not in text


def test_another_size_is_refused_with_both() -> None:
    assert refused(saved(rgba()), (20, 31)) == (
        "the provider answered 31 x 20 pixels for a picture of 20 x 31."
    )
    assert "31 x 20" in refused(saved(rgba(), "WEBP"), (20, 31))
    assert "31 x 20" in refused(saved(Image.fromarray(RGB), "WEBP"), (20, 31))
    assert "31 x 20" in refused(saved(rgba(), "WEBP", lossless=True), (20, 31))


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_animation_is_refused(format: str) -> None:
    data = saved(rgba(), format, save_all=True, append_images=[rgba(ALPHA.T.reshape(20, 31))])
    assert "animation" in refused(data)


def test_a_huge_header_is_judged_before_anything_is_reserved() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert "60000 x 60000" in refused(png)
    body = b"\x10\0\0\0" + b"\xfe\x3f\0" * 2
    webp = b"WEBPVP8X" + struct.pack("<I", 10) + body
    assert "16383 x 16383" in refused(b"RIFF" + struct.pack("<I", len(webp)) + webp)


@pytest.mark.parametrize("truncated", [False, True])
def test_a_second_header_cannot_change_the_size(
    monkeypatch: pytest.MonkeyPatch, truncated: bool
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", truncated)
    headers = [
        chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 6, 0, 0, 0)) for size in (SIZE, (300, 200))
    ]
    pixels = chunk(b"IDAT", zlib.compress(bytes(200 * (1 + 300 * 4))))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(headers) + pixels + chunk(b"IEND", b"")
    assert refused(png) == "the provider's file is damaged."


def test_a_webp_that_ends_in_its_header_is_damaged() -> None:
    webp = b"WEBPVP8 " + struct.pack("<I", 6) + b"\0\0\0\x9d\x01\x2a"
    assert refused(b"RIFF" + struct.pack("<I", len(webp)) + webp) == (
        "the provider's file is damaged."
    )


def test_a_large_picture_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIZE[0] * SIZE[1] - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for case in ("rgba", "webp lossless"):
            assert codec.decode_alpha(EIGHT[case][0], SIZE).any()
        codec.fit_png(np.concatenate([RGB, RGB]), 2000, True, never)


def test_half_a_picture_is_refused_also_in_a_program_that_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as ComfyUI does
    for case in ("rgba", "webp lossless", "webp lossy"):
        data = EIGHT[case][0]
        for length in (12, 40, len(data) // 2, len(data) - 1):
            assert "ends before" in refused(data[:length]) or "damaged" in refused(data[:length])
    for bits, colour, samples in ((8, 6, 4), (16, 6, 8)):
        lines = zlib.compress(bytes(9 * (1 + SIZE[0] * samples)))
        header = struct.pack(">IIBBBBB", *SIZE, bits, colour, 0, 0, 0)
        parts = chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
        assert "ends before" in refused(b"\x89PNG\r\n\x1a\n" + parts)


def resealed(png: bytes) -> bytes:
    """The same chunks with checksums that fit, so that damage reaches the decoders."""
    parts, position = [png[:8]], 8
    while position + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        parts.append(chunk(kind, png[position + 8 : position + 8 + length]))
        position += 12 + length
    return b"".join(parts)


@pytest.mark.parametrize("case", ["rgba", "palette, bytes", "webp lossless", "webp lossy", "deep"])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damage_is_a_sentence_or_an_alpha(case: str, data: st.DataObject) -> None:
    """Any byte: never another exception, never an alpha of another shape or range."""
    whole = deep_png(np.dstack([RGB, ALPHA]), 6) if case == "deep" else EIGHT[case][0]
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[place] ^ data.draw(st.integers(1, 255))
    damaged = whole[:place] + bytes([flipped]) + whole[place + 1 :]
    if damaged.startswith(b"\x89PNG") and data.draw(st.booleans()):
        damaged = resealed(damaged)
    try:
        alpha = codec.decode_alpha(damaged, SIZE)
    except UnusableResult:
        refused(damaged)
    else:
        assert alpha.shape == SIZE[::-1]
        assert 0 <= float(alpha.min()) <= float(alpha.max()) <= 1


def test_the_cap_on_answers_lets_every_honest_one_through() -> None:
    levels = RNG.integers(0, 65536, (*SIZE[::-1], 4), dtype=np.uint16)
    assert len(deep_png(levels, 6)) < codec.most_bytes(SIZE)
    assert codec.most_bytes((10_000, 10_000)) > 8 * 10**8
