"""Digests of pixels: the same in memory and in the lossless file, different for any other pixel."""

# Pins the inside of core.digest

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rmbg_nodes.core import digest
from rmbg_nodes.core.digest import PixelDigests, pixel_digests, work_digests
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.pictures.write import encode


def picture(channels: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(37, 53, channels, generator=torch.Generator().manual_seed(seed))


def read_back(data: bytes) -> torch.Tensor:
    found = read_picture(data, name="file")
    parts = [found.pixels] if found.alpha is None else [found.pixels, found.alpha[..., None]]
    return torch.cat(parts, dim=-1)


def test_anybody_can_compute_it() -> None:
    image = picture(4)
    for bits, kind in ((8, "u1"), (16, "<u2")):
        levels = np.floor(image.numpy() * np.float32(2**bits - 1) + np.float32(0.5)).astype(kind)
        by_hand = hashlib.sha256(f"37x53x4:{bits}:".encode() + levels.tobytes()).hexdigest()
        assert by_hand == getattr(pixel_digests(image), f"levels{bits}")


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
def test_a_lossless_file_has_the_digest_of_what_was_written(channels: int, format) -> None:
    image = picture(channels)
    assert pixel_digests(read_back(encode(image, format))) == PixelDigests(
        pixel_digests(image).levels8
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_so_has_one_of_16_bits(channels: int, format) -> None:
    image = picture(channels)
    back = pixel_digests(read_back(encode(image, format, depth=16)))
    assert back.levels16 is not None
    assert back.levels16 == pixel_digests(image).levels16


def test_half_precision_is_hashed_as_it_is_written() -> None:
    image = picture(4).half()
    back = pixel_digests(read_back(encode(image, "png")))
    assert back.levels8 == pixel_digests(image).levels8


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 36), st.integers(0, 52), st.integers(0, 3))
def test_one_level_of_one_sample_shows(row: int, column: int, channel: int) -> None:
    image = (picture(4) * 254).round() / 255
    other = image.clone()
    other[row, column, channel] += 1 / 255
    assert pixel_digests(image).levels8 != pixel_digests(other).levels8


def test_the_shape_is_part_of_it() -> None:
    image = picture(3)
    turned = image.reshape(53, 37, 3)
    assert pixel_digests(image) != pixel_digests(turned)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(4)
    whole = pixel_digests(image)
    monkeypatch.setattr(digest, "_BLOCK", 100)
    assert pixel_digests(image) == whole


def test_grey_is_one_channel_however_it_is_held() -> None:
    grey = picture(1)
    assert pixel_digests(grey.expand(-1, -1, 3)) == pixel_digests(grey)
    almost = grey.repeat(1, 1, 3)
    almost[-1, -1, 2] = 1 - almost[-1, -1, 2]
    assert pixel_digests(almost) != pixel_digests(grey)


@pytest.mark.parametrize("steps", [255, 256, 65535])
def test_16_bits_only_where_8_do_not_hold_the_picture(steps: int) -> None:
    image = (picture(3) * steps).round() / steps
    assert (pixel_digests(image).levels16 is None) == (steps == 255)
    times_the_inverse = (image * steps).round() * (1 / steps)
    assert (pixel_digests(times_the_inverse).levels16 is None) == (steps == 255)


def test_what_goes_out_follows_what_came_in() -> None:
    flat, deep = (picture(3) * 255).round() / 255, picture(3)
    image, mask = picture(4, 1), picture(1, 2)[..., 0]
    of_flat, of_deep = work_digests(flat, image, mask), work_digests(deep, image, mask)
    assert of_flat.image.levels16 is of_flat.mask.levels16 is of_flat.source.levels16 is None
    assert of_deep.image == pixel_digests(image)
    assert of_deep.mask == pixel_digests(mask[..., None])
    assert of_deep.source == pixel_digests(deep)


def test_pixels_are_only_read(tmp_path: Path) -> None:
    image = picture(4) * 1.2 - 0.1
    before = image.clone()
    with torch.inference_mode():
        assert work_digests(image, image, image[..., 3]).image == pixel_digests(image.clamp(0, 1))
    assert torch.equal(image, before)
