"""Whatever form a picture has in memory: in, and the same form out."""

# Pins the inside of pictures.in_memory

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.pictures.in_memory import InMemory, like, to_images, to_masks

RNG = np.random.default_rng(3)


def bytes_like(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(2, 5, 4, 3), (5, 4, 3), (5, 4, 4), (5, 4, 1), (1, 5, 4, 3)])
def test_tensors(shape: tuple[int, ...]) -> None:
    value = torch.rand(shape)
    images, kind = to_images(value)
    assert images.shape == (shape if len(shape) == 4 else (1, *shape))
    assert images.data_ptr() == value.data_ptr()  # no copy
    returned = like(kind, images)
    assert isinstance(returned, torch.Tensor)
    assert torch.equal(returned, value)


def test_a_half_tensor_comes_back_as_half() -> None:
    value = torch.rand(3, 3, 3, dtype=torch.float16)
    images, kind = to_images(value)
    assert images.dtype == torch.float32
    returned = like(kind, images)
    assert isinstance(returned, torch.Tensor)
    assert torch.equal(returned, value)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (5, 4, 4), (2, 5, 4, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_arrays(shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    value = RNG.random(shape).astype(dtype)
    if dtype in (np.uint8, np.uint16):
        value = RNG.integers(0, 256 ** np.dtype(dtype).itemsize, shape).astype(dtype)
    before = value.copy()
    images, kind = to_images(value)
    assert images.dtype == torch.float32
    assert images.ndim == 4
    returned = like(kind, images)
    assert isinstance(returned, np.ndarray)
    assert (returned.dtype, returned.shape) == (value.dtype, value.shape)
    assert np.abs(returned.astype(np.float64) - value).max() <= (
        1e-7 if value.dtype.kind == "f" else 0
    )
    assert (value == before).all()


def test_big_endian_and_reversed_arrays() -> None:
    value = RNG.integers(0, 65536, (4, 5, 3)).astype(">u2")[:, ::-1]
    images, kind = to_images(value)
    assert np.array_equal(np.asarray(like(kind, images)), value)


def test_an_array_may_come_back_with_alpha() -> None:
    _, kind = to_images(bytes_like(5, 4))
    returned = like(kind, torch.rand(1, 5, 4, 4))
    assert isinstance(returned, np.ndarray)
    assert returned.shape == (5, 4, 4)
    assert returned.dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pil_images_come_back_unchanged(mode: str) -> None:
    channels = len(mode)
    value = Image.fromarray(bytes_like(6, 5, channels) if channels > 1 else bytes_like(6, 5))
    images, kind = to_images(value)
    assert images.shape == (1, 6, 5, channels)
    returned = like(kind, images)
    assert isinstance(returned, Image.Image)
    assert returned.mode == mode
    assert returned.tobytes() == value.tobytes()


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("P", 3), ("LA", 4), ("PA", 4), ("CMYK", 3), ("YCbCr", 3), ("HSV", 3), ("I;16", 1)],
)
def test_other_modes(mode: str, channels: int) -> None:
    images, kind = to_images(Image.new(mode, (3, 2)))
    assert images.shape == (1, 2, 3, channels)
    assert isinstance(like(kind, images), Image.Image)


def test_16_bit_grey_stays_16_bits() -> None:
    levels = RNG.integers(0, 65536, (4, 3), np.uint16)
    images, kind = to_images(Image.fromarray(levels))
    returned = like(kind, images)
    assert isinstance(returned, Image.Image)
    assert returned.mode == "I;16"
    assert (np.asarray(returned) == levels).all()
    coloured = like(kind, torch.rand(1, 4, 3, 4))
    assert isinstance(coloured, Image.Image)
    assert coloured.mode == "RGBA"


def test_mode_i_is_16_bits() -> None:
    """What Pillow made of 16-bit grey PNG files for long."""
    levels = RNG.integers(0, 65536, (4, 3)).astype(np.int32)
    levels[0, 0] = 65535
    images, kind = to_images(Image.fromarray(levels))
    assert (images[0, ..., 0].double().numpy() * 65535).round().tolist() == levels.tolist()
    returned = like(kind, images)
    assert isinstance(returned, Image.Image)
    assert (np.asarray(returned) == levels).all()
    masks, _ = to_masks(Image.fromarray(levels))
    assert torch.equal(masks, images[..., 0])


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bits_of_either_byte_order(order: str) -> None:
    levels = RNG.integers(0, 65536, (4, 3)).astype(f"{order}u2")
    mode = "I;16" if order == "<" else "I;16B"
    images, _ = to_images(Image.frombytes(mode, (3, 4), levels.tobytes()))
    assert (images[0, ..., 0].double().numpy() * 65535).round().tolist() == levels.tolist()


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (2, 5, 4, 3)])
def test_a_boolean_picture_comes_back_with_levels(shape: tuple[int, ...]) -> None:
    """A soft alpha would be lost in two levels."""
    value = RNG.random(shape) > 0.5
    images, kind = to_images(value)
    assert sorted(np.unique(images.numpy())) == [0, 1]
    half = like(kind, torch.full((len(images), 5, 4, 4), 0.5))
    assert isinstance(half, np.ndarray)
    assert (half.dtype, half.flat[0]) == (np.dtype(np.uint8), 128)
    if len(shape) > 2:
        _, kind = to_images(torch.from_numpy(value))
        half = like(kind, torch.full((len(images), 5, 4, 4), 0.5))
        assert isinstance(half, torch.Tensor)
        assert (half.dtype, float(half.flatten()[0])) == (torch.float32, 0.5)


def test_a_boolean_tensor_is_a_mask() -> None:
    value = torch.rand(5, 4) > 0.5
    masks, kind = to_masks(value)
    assert torch.equal(masks[0], value.float())
    returned = like(kind, masks * 0.9)
    assert isinstance(returned, torch.Tensor)
    assert torch.equal(returned, value)


def test_a_mixed_list_gets_the_channels_of_its_richest_picture() -> None:
    grey, colour, cutout = (Image.new(mode, (3, 2), 255) for mode in ("L", "RGB", "RGBA"))
    images, kind = to_images([grey, colour, cutout])
    assert images.shape == (3, 2, 3, 4)
    assert images[0].min() == 1
    assert images[1, ..., 3].min() == 1
    returned = like(kind, images)
    assert isinstance(returned, list)
    assert [one.mode for one in returned] == ["RGBA"] * 3


def test_a_list_of_one_comes_back_as_a_list() -> None:
    images, kind = to_images([Image.new("RGB", (2, 2))])
    assert isinstance(like(kind, images), list)


def test_a_pil_image_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (4, 2)).save(file, "PNG", exif=exif)
    images, _ = to_images(Image.open(file))
    assert images.shape == (1, 4, 2, 3)


@pytest.mark.parametrize("shape", [(2, 5, 4), (5, 4)])
def test_masks_of_tensors_and_arrays(shape: tuple[int, ...]) -> None:
    for value in (torch.rand(shape), bytes_like(*shape), RNG.random(shape) > 0.5):
        masks, kind = to_masks(value)
        assert masks.shape == (shape if len(shape) == 3 else (1, *shape))
        returned = like(kind, masks)
        assert type(returned) is type(value)
        assert (np.asarray(returned) == np.asarray(value)).all()


@pytest.mark.parametrize("mode", ["1", "L"])
def test_masks_of_pil_images(mode: str) -> None:
    value = Image.fromarray(bytes_like(5, 4)).convert(mode)
    masks, kind = to_masks([value, value])
    assert masks.shape == (2, 5, 4)
    returned = like(kind, masks)
    assert isinstance(returned, list)
    assert returned[1].tobytes() == value.convert("L").tobytes()


def test_a_small_overshoot_is_clamped_on_a_copy() -> None:
    value = torch.tensor([-0.09, 0.5, 1.09]).view(1, 3, 1)
    assert to_images(value)[0].flatten().tolist() == [0, 0.5, 1]
    assert value.min() < 0


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.rand(2, 3, 4, 5), "not \\(2, 3, 4, 5\\).*permute"),
        (torch.rand(3, 8, 8), "not \\(1, 3, 8, 8\\).*permute"),
        (torch.rand(8, 8), "not \\(8, 8\\)"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), "not torch.uint8"),
        (torch.full((8, 8, 3), float("nan")), "NaN"),
        (torch.full((8, 8, 3), float("inf")), "NaN or infinity"),
        (torch.full((8, 8, 3), 255.0), "from 255 to 255"),
        (torch.linspace(-1, 1, 12).view(2, 2, 3), "from -1 to 1.*halve them and add 0.5"),
        (torch.linspace(-2.1, 2.6, 12).view(2, 2, 3), "mean and deviation"),
        (torch.linspace(0, 255, 12).view(2, 2, 3), "8-bit levels: divide by 255"),
        (torch.linspace(-9, 264, 12).view(2, 2, 3), "8-bit levels: divide by 255"),
        (torch.linspace(0, 65535, 12).view(2, 2, 3), "16-bit levels: divide by 65535"),
        (torch.linspace(-14, 9, 12).view(2, 2, 3), "0..1. Look at the step before this"),
        (torch.zeros(8, 8, 3, dtype=torch.uint16), "divide 16-bit values by 65535"),
        (Image.fromarray(np.full((2, 2), 70_000, np.int32)), "levels are 0 to 70000"),
        (Image.fromarray(np.full((2, 2), -3, np.int32)), "levels are -3 to 0"),
        (Image.fromarray(np.full((2, 2), 200, np.int32)), "highest level is 200"),
        (torch.rand(0, 8, 8, 3), "no pixels"),
        (np.zeros((4, 4, 3), np.int64), "not int64"),
        (np.zeros((4, 4, 7)), "1, 3 or 4 channels"),
        ([], "holds no picture"),
        ([Image.new("RGB", (2, 2)), Image.new("RGB", (3, 2))], "one size"),
        (Image.new("LAB", (2, 2)), "convert it to RGB"),
    ],
)
def test_what_is_no_picture_is_refused(value: InMemory, words: str) -> None:
    with pytest.raises(BadPicture, match=words):
        to_images(value)


@pytest.mark.parametrize("value", ["shoe.jpg", None, [1, 2], {"a": 1}])
def test_other_types_are_refused(value: InMemory) -> None:
    with pytest.raises(BadOption, match="a PIL image or a list"):
        to_images(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.rand(1, 4, 4, 1), "A mask needs"),
        (Image.new("RGBA", (2, 2)), "getchannel"),
        (np.full((2, 2), np.nan), "NaN"),
    ],
)
def test_what_is_no_mask_is_refused(value: InMemory, words: str) -> None:
    with pytest.raises(BadPicture, match=words):
        to_masks(value)


def test_a_damaged_pil_image_is_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(bytes_like(64, 64, 3)).save(file, "PNG")
    with pytest.raises(BadPicture, match="damaged"):
        to_images(Image.open(io.BytesIO(file.getvalue()[:4000])))


def test_several_results_for_one_picture_are_refused() -> None:
    _, kind = to_images(torch.rand(4, 4, 3))
    with pytest.raises(BadPicture, match="2 cannot be returned"):
        like(kind, torch.rand(2, 4, 4, 3))
