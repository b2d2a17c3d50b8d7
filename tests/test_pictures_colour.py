"""ICC profiles: sRGB is left alone, others are converted, 16-bit ones are carried."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from rmbg_nodes.pictures.formats import FormatId
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.pictures.write import encode

D50 = (0.9642, 1.0, 0.8249)
# Colorants of Display P3, adapted to D50 (columns of its matrix to PCS XYZ)
P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _profile(space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A small ICC version 2 profile: header, tag table, tags."""
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", space, pcs)
    header += bytes(12) + b"acsp" + bytes(28) + _fixed(D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _fixed(values: Sequence[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def wide_rgb() -> bytes:
    colorants = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, P3), strict=True))
    curves = {name: _gamma(2.2) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return _profile(b"RGB ", b"XYZ ", {b"wtpt": _xyz(D50), **colorants, **curves})


def rounded_srgb() -> bytes:
    """sRGB with colorants that differ in the fourth digit and a curve of 1024 points."""
    rows = ((0.4359, 0.2225, 0.0141), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
    colorants = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, rows), strict=True))
    value = np.linspace(0, 1, 1024)
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    table = (linear * 65535).round().astype(">u2").tobytes()
    curve = b"curv\0\0\0\0" + struct.pack(">I", 1024) + table
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(b"RGB ", b"XYZ ", {b"wtpt": _xyz(D50), **colorants, **curves})


def light_grey() -> bytes:
    return _profile(b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _gamma(1.0)})


def one_ink_cmyk() -> bytes:
    """Only black ink counts: L* = 100 - K. A 2 x 2 x 2 x 2 table of Lab (lut8)."""
    ramp = bytes(range(256))
    nodes = [bytes([0 if node & 1 else 255, 128, 128]) for node in range(16)]
    identity = _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + b"".join(nodes) + ramp * 3
    return _profile(b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": table})


def saved(image: Image.Image, format: str, profile: bytes, **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, icc_profile=profile, **settings)
    return file.getvalue()


LOSSLESS = [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True})]


@pytest.mark.parametrize(("format", "settings"), LOSSLESS)
def test_srgb_pictures_keep_every_value(format: str, settings: dict[str, object]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    picture = read_picture(saved(Image.fromarray(pixels), format, SRGB, **settings), name="s")
    assert (picture.pixels * 255).round().numpy().astype(np.uint8).tolist() == pixels.tolist()
    assert picture.icc_profile is None


def test_what_is_srgb_within_a_level_keeps_every_value_too() -> None:
    """Programs write sRGB with colorants and curves of their own rounding."""
    axis = np.linspace(0, 255, 18).astype(np.uint8)
    pixels = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(81, 72, 3)
    image = Image.fromarray(pixels)
    theirs = ImageCms.ImageCmsProfile(io.BytesIO(rounded_srgb()))
    ours = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, theirs, ours, ImageCms.Intent.PERCEPTUAL)
    assert converted is not None
    assert (np.asarray(converted) != pixels).any()
    picture = read_picture(saved(image, "PNG", rounded_srgb()), name="s")
    assert ((picture.pixels * 255).round().numpy() == pixels).all()


@pytest.mark.parametrize(
    ("format", "settings"), [*LOSSLESS, ("JPEG", {"quality": 100, "subsampling": 0})]
)
def test_a_wide_profile_is_converted(format: str, settings: dict[str, object]) -> None:
    """P3 green lies outside sRGB; a soft P3 red has a stronger sRGB red. Values by the matrices."""
    colour = (180, 100, 100)
    linear = (np.array(colour) / 255) ** 2.2
    to_srgb = np.linalg.inv(
        np.array(
            [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.7141]]
        )
    )
    expected = to_srgb @ np.array(P3).T @ linear
    expected = 1.055 * expected ** (1 / 2.4) - 0.055
    picture = read_picture(
        saved(Image.new("RGB", (8, 8), colour), format, wide_rgb(), **settings), name="w"
    )
    assert np.abs(picture.pixels.numpy() - expected).max() < 2.5 / 255
    assert picture.pixels[0, 0, 0] > 186 / 255
    assert picture.icc_profile is None


def test_alpha_is_no_colour() -> None:
    pixels = np.full((4, 4, 4), 128, np.uint8)
    pixels[..., 3] = np.arange(16).reshape(4, 4) * 17
    pixels[..., 0] = 220
    picture = read_picture(saved(Image.fromarray(pixels), "PNG", wide_rgb()), name="a")
    assert picture.alpha is not None
    assert (picture.alpha * 255).round().numpy().astype(int).tolist() == pixels[..., 3].tolist()
    assert np.ptp(picture.pixels.numpy().reshape(-1, 3), axis=0).max() == 0
    assert picture.pixels[0, 0, 0] > 221 / 255


def test_a_grey_profile_on_a_grey_picture() -> None:
    picture = read_picture(saved(Image.new("L", (2, 2), 55), "PNG", light_grey()), name="g")
    expected = 1.055 * (55 / 255) ** (1 / 2.4) - 0.055
    assert np.abs(picture.pixels.numpy() - expected).max() < 1.5 / 255


def test_cmyk_goes_through_its_profile() -> None:
    """Without the profile cyan would become cyan; with this one only black ink darkens."""
    picture = read_picture(
        saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF", one_ink_cmyk()), name="c"
    )
    assert picture.pixels.min() > 0.98


@pytest.mark.parametrize("profile", [b"nonsense", SRGB[:200], light_grey(), one_ink_cmyk()])
def test_a_profile_that_cannot_be_meant_is_ignored(profile: bytes) -> None:
    picture = read_picture(saved(Image.new("RGB", (2, 2), (9, 99, 199)), "PNG", profile), name="n")
    assert (picture.pixels[0, 0] * 255).round().tolist() == [9, 99, 199]


def test_16_bits_are_kept_with_their_profile() -> None:
    image = torch.rand(5, 6, 4, generator=torch.Generator().manual_seed(3))
    formats: tuple[FormatId, ...] = ("png", "tiff")
    for format in formats:
        picture = read_picture(encode(image, format, depth=16, icc_profile=wide_rgb()), name="d")
        assert picture.icc_profile == wide_rgb()
        assert (picture.pixels - image[..., :3]).abs().max() <= 0.51 / 65535
        srgb = read_picture(encode(image, format, depth=16, icc_profile=SRGB), name="d")
        assert srgb.icc_profile is None


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_a_profile_is_written(format: FormatId) -> None:
    data = encode(torch.rand(4, 4, 3), format, icc_profile=wide_rgb())
    assert Image.open(io.BytesIO(data)).info["icc_profile"] == wide_rgb()


def test_a_large_profile_is_joined_from_the_segments_of_a_jpeg() -> None:
    """A JPEG segment holds 64 kB; printers' profiles are larger."""
    large = wide_rgb()
    large = struct.pack(">I", len(large) + 150_000) + large[4:] + bytes(150_000)
    data = saved(Image.new("RGB", (8, 8), (180, 100, 100)), "JPEG", large, quality=100)
    assert read_picture(data, name="l").pixels[0, 0, 0] > 186 / 255
