"""Composites: the closed form, exactness, placement, resizing, batches."""

# Pins the inside of core.colour
# Pins the inside of core.composite
# Pins the inside of core.layers
# Pins the inside of core.placement

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from rmbg_nodes.core.colour import parse_colour
from rmbg_nodes.core.composite import CompositeOptions, compose
from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.core.layers import Blend, to_linear, to_srgb
from rmbg_nodes.core.placement import ANCHORS, FITS, Anchor, Fit


def composite(
    foreground: torch.Tensor, mask: torch.Tensor | None, background: Any, **options: Any
) -> torch.Tensor:
    return compose(foreground, mask, background, CompositeOptions(**options))[0]


quick = settings(deadline=None, max_examples=25)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def three_level(*shape: int, seed: int = 0) -> torch.Tensor:
    """A mask with many exact zeros and ones, and the rest between."""
    return (noise(*shape, seed=seed) * 2 - 0.5).clamp(0, 1)


# The closed form


@quick
@given(
    seed=st.integers(0, 9999),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    opacity=st.floats(0, 1),
)
def test_composite_is_the_closed_form(seed: int, height: int, width: int, opacity: float) -> None:
    front, back = noise(2, 1, height, width, 3, seed=seed)
    mask = three_level(1, height, width, seed=seed + 1)
    a = (mask * opacity).double()[..., None]
    expected = a * front.double() + (1 - a) * back.double()
    result = composite(front, mask, back, opacity=opacity)
    assert (result.double() - expected).abs().max() <= 1e-6


@pytest.mark.parametrize("blend", ["srgb", "linear"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_opaque_is_the_foreground_and_clear_the_background_bit_for_bit(
    blend: Blend, dtype: torch.dtype
) -> None:
    front, back = noise(2, 2, 12, 12, 3).to(dtype)
    mask = three_level(2, 12, 12).to(dtype)
    result = composite(front, mask, back, blend=blend)
    assert result.dtype == dtype
    assert torch.equal(result[mask == 1], front[mask == 1])
    assert torch.equal(result[mask == 0], back[mask == 0])


def test_linear_light_is_the_closed_form_in_linear_light() -> None:
    front, back = noise(2, 1, 8, 8, 3)
    mask = noise(1, 8, 8)
    a = mask.double()[..., None]
    expected = to_srgb(a * to_linear(front.double()) + (1 - a) * to_linear(back.double()))
    assert (composite(front, mask, back, blend="linear").double() - expected).abs().max() < 1e-6
    assert (expected - (a * front + (1 - a) * back)).abs().max() > 0.05


def test_the_transfer_function_has_the_standard_values_and_inverts() -> None:
    encoded = torch.tensor([0.0, 0.04045, 0.5, 1.0], dtype=torch.float64)
    linear = torch.tensor([0.0, 0.0031308, 0.2140411, 1.0], dtype=torch.float64)
    assert torch.allclose(to_linear(encoded), linear, atol=1e-7)
    ramp = torch.linspace(0, 1, 1000)
    assert (to_srgb(to_linear(ramp)) - ramp).abs().max() < 1e-6


def test_over_a_background_with_alpha_is_porter_duff_over() -> None:
    front, back = noise(1, 9, 9, 3), noise(1, 9, 9, 4, seed=1)
    back[..., 3] = three_level(1, 9, 9, seed=2)
    mask = three_level(1, 9, 9, seed=3)
    result, coverage = compose(front, mask, back, CompositeOptions())
    assert result.shape[-1] == 4
    assert torch.equal(coverage, mask)
    a, b = mask[..., None], back[..., 3:]
    alpha = a + (1 - a) * b
    assert (result[..., 3:] - alpha).abs().max() <= 1e-6
    premultiplied = a * front + (1 - a) * b * back[..., :3]
    assert (result[..., :3] * alpha - premultiplied).abs().max() <= 1e-6
    assert torch.equal(result[mask == 0], back[mask == 0])
    assert torch.equal(result[..., :3][mask == 1], front[mask == 1])


def test_over_an_opaque_alpha_is_the_composite_without_alpha() -> None:
    front, back, mask = noise(1, 6, 6, 3), noise(1, 6, 6, 3, seed=1), noise(1, 6, 6)
    opaque = torch.cat((back, torch.ones(1, 6, 6, 1)), dim=-1)
    assert torch.equal(composite(front, mask, opaque)[..., :3], composite(front, mask, back))
    assert bool((composite(front, mask, opaque)[..., 3] == 1).all())


def test_a_white_background_is_exactly_white_outside_the_subject() -> None:
    front = torch.zeros(1, 40, 40, 4)
    front[:, 10:30, 10:30, 3] = 1
    cases: list[tuple[Fit, float]] = [
        ("none", 1.0),
        ("none", 1.37),
        ("none", 0.61),
        ("subject", 0.5),
    ]
    for fit, scale in cases:
        image, coverage = compose(front, None, "white", CompositeOptions(fit=fit, scale=scale))
        assert (coverage == 0).float().mean() > 0.3
        assert bool((image[coverage == 0] == 1).all())


# What a foreground is


def test_a_mask_replaces_the_alpha_and_never_multiplies_it() -> None:
    front = noise(1, 5, 5, 4)
    mask = noise(1, 5, 5, seed=1)
    assert torch.equal(composite(front, mask, "red"), composite(front[..., :3], mask, "red"))
    _, coverage = compose(front, None, "red", CompositeOptions())
    assert torch.equal(coverage, front[..., 3])


def test_without_mask_and_alpha_the_foreground_is_opaque() -> None:
    front, back = noise(1, 4, 4, 3), noise(1, 6, 6, 3)
    result = composite(front, None, back, anchor="top-left")
    assert torch.equal(result[:, :4, :4], front)
    assert torch.equal(result[:, 4:], back[:, 4:])


def test_grey_pictures_become_colour() -> None:
    result = composite(noise(1, 4, 4, 1), torch.full((4, 4), 0.5), noise(1, 4, 4, 1, seed=1))
    assert result.shape == (1, 4, 4, 3)
    assert torch.equal(result[..., 0], result[..., 2])


def test_the_colour_under_a_clear_alpha_never_shows() -> None:
    front = torch.zeros(1, 32, 32, 4)
    front[..., 0] = 1  # red lies under everything that is clear
    front[:, 8:24, 8:24] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    for scale in (0.4, 1.7):
        assert composite(front, None, "black", scale=scale)[..., 0].max() < 1e-5


# Placement


@quick
@given(
    x=st.integers(-12, 12),
    y=st.integers(-12, 12),
    anchor=st.sampled_from(sorted(ANCHORS)),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
def test_offsets_and_anchors_agree_with_a_loop_over_pixels(
    x: int, y: int, anchor: Anchor, height: int, width: int
) -> None:
    front, back = noise(1, height, width, 4), noise(1, 5, 7, 3, seed=1)
    share_y, share_x = ANCHORS[anchor]
    top = math.floor((5 - height) * share_y) + y
    left = math.floor((7 - width) * share_x) + x
    expected, covered = back.clone(), torch.zeros(1, 5, 7)
    for row in range(5):
        for column in range(7):
            if 0 <= row - top < height and 0 <= column - left < width:
                pixel = front[0, row - top, column - left]
                a = pixel[3]
                expected[0, row, column] = a * pixel[:3] + (1 - a) * back[0, row, column]
                covered[0, row, column] = a
    options = CompositeOptions(anchor=anchor, offset=(x, y))
    image, coverage = compose(front, None, back, options)
    assert (image - expected).abs().max() <= 1e-6
    assert torch.equal(coverage, covered)


def test_a_foreground_outside_the_canvas_leaves_the_background() -> None:
    back = noise(1, 8, 8, 3)
    for offset in ((99, 0), (-99, 0), (0, 8), (0, -8), (-8, 8)):
        options = CompositeOptions(offset=offset, shadow=1.0)
        image, coverage = compose(torch.ones(1, 8, 8, 3), None, back, options)
        assert torch.equal(image, back)
        assert not coverage.any()


def covered_box(coverage: torch.Tensor) -> tuple[int, int, int, int]:
    """(top, left, height, width) of what an opaque foreground covers."""
    rows = coverage[0].any(dim=1).nonzero().flatten()
    columns = coverage[0].any(dim=0).nonzero().flatten()
    return (int(rows[0]), int(columns[0]), len(rows), len(columns))


@pytest.mark.parametrize(
    ("fit", "scale", "anchor", "box"),
    [
        ("none", 1.0, "center", (20, 40, 10, 20)),
        ("none", 2.0, "bottom-right", (30, 60, 20, 40)),
        ("contain", 1.0, "center", (0, 0, 50, 100)),
        ("contain", 0.5, "top-left", (0, 0, 25, 50)),
        ("cover", 1.0, "left", (0, 0, 50, 100)),
        ("stretch", 0.5, "top", (0, 25, 25, 50)),
        ("subject", 1.0, "center", (5, 10, 40, 80)),
        ("subject", 0.5, "bottom", (25, 30, 20, 40)),
    ],
)
def test_fits(fit: Fit, scale: float, anchor: Anchor, box: tuple[int, int, int, int]) -> None:
    options = CompositeOptions(fit=fit, scale=scale, anchor=anchor, margin=0.1)
    _, coverage = compose(torch.ones(1, 10, 20, 3), None, torch.zeros(1, 50, 100, 3), options)
    assert covered_box(coverage) == box


@pytest.mark.parametrize("fit", ["contain", "cover"])
def test_contain_shows_all_and_cover_fills_all(fit: Fit) -> None:
    canvas = torch.zeros(1, 30, 31, 3)
    _, coverage = compose(torch.ones(1, 20, 10, 3), None, canvas, CompositeOptions(fit=fit))
    assert covered_box(coverage) == ((0, 8, 30, 15) if fit == "contain" else (0, 0, 30, 31))


def test_fit_subject_crops_to_the_subject_and_centres_it() -> None:
    front = noise(1, 40, 60, 4)
    front[..., 3] = 0
    front[:, 3:13, 35:55, 3] = 1
    image, coverage = compose(front, None, "white", CompositeOptions(fit="subject", margin=0.05))
    assert image.shape == (1, 40, 60, 3)
    assert covered_box(coverage) == (6, 3, 27, 54)
    exact = CompositeOptions(fit="subject", margin=0.0)
    image, _ = compose(front, None, torch.zeros(1, 10, 20, 3), exact)
    assert torch.equal(image, front[:, 3:13, 35:55, :3])


def test_fit_subject_takes_every_picture_of_a_batch_by_itself() -> None:
    mask = torch.zeros(2, 20, 20)
    mask[0, 2:6, 2:6] = 1
    mask[1, 10:18, 4:8] = 1
    options = CompositeOptions(fit="subject", margin=0.1)
    _, coverage = compose(noise(1, 20, 20, 3), mask, "black", options)
    assert covered_box(coverage[:1]) == (2, 2, 16, 16)
    assert covered_box(coverage[1:]) == (2, 6, 16, 8)


def test_an_empty_mask_has_no_subject_to_fit() -> None:
    mask = torch.stack((torch.ones(8, 8), torch.full((8, 8), 0.003)))
    with pytest.raises(BadPicture, match="mask of picture 2 is empty"):
        composite(noise(2, 8, 8, 3), mask, "white", fit="subject")


# Resizing


def soft_cutout(side: int) -> torch.Tensor:
    """RGBA: a soft-edged disc of noise; what is clear is of a glaring green."""
    axis = torch.arange(side) - (side - 1) / 2
    distance = (axis[:, None] ** 2 + axis[None, :] ** 2).sqrt()
    alpha = ((side * 0.35 - distance) / 4 + 0.5).clamp(0, 1)[None, ..., None]
    colour = torch.where(alpha > 0, 0.2 + 0.3 * noise(1, side, side, 3), torch.tensor([0.0, 1, 0]))
    return torch.cat((colour, alpha), dim=-1)


@pytest.mark.parametrize("colour", ["white", "black", "#ff00ff"])
@pytest.mark.parametrize("scale", [0.3125, 0.5, 2.0])
def test_scaling_then_compositing_is_compositing_then_scaling(colour: str, scale: float) -> None:
    """At most 0.5 of an 8-bit level off in the soft edge."""
    front, side = soft_cutout(160), round(160 * scale)
    canvas = torch.tensor(parse_colour(colour)).expand(1, side, side, 3)
    image, coverage = compose(front, None, canvas, CompositeOptions(scale=scale))
    whole = composite(front, None, colour).permute(0, 3, 1, 2)
    mode = "bicubic" if scale > 1 else "bilinear"
    expected = functional.interpolate(whole, (side, side), mode=mode, antialias=True)
    band = (coverage > 0) & (coverage < 1)
    error = (image - expected.permute(0, 2, 3, 1)).abs()[band].mean() * 255
    assert band.sum() > 100
    assert error <= 0.5


@quick
@given(
    fit=st.sampled_from(FITS),
    scale=st.floats(0.05, 3),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
)
def test_any_fit_stays_in_range_and_keeps_a_plain_colour(
    fit: Fit, scale: float, height: int, width: int
) -> None:
    front = torch.cat((torch.full((1, 9, 13, 3), 0.6), three_level(1, 9, 13, 1)), dim=-1)
    canvas = torch.full((1, height, width, 3), 0.6)
    image, coverage = compose(front, None, canvas, CompositeOptions(fit=fit, scale=scale))
    assert image.shape == (1, height, width, 3)
    assert (image - 0.6).abs().max() < 1e-3
    assert 0 <= coverage.min() <= coverage.max() <= 1


def test_a_foreground_enlarged_beyond_reason_is_refused() -> None:
    with pytest.raises(BadOption, match="smaller scale"):
        composite(noise(1, 64, 64, 3), None, "white", scale=1e4)


# Shadow


def test_a_shadow_darkens_the_ground_below_the_subject_only() -> None:
    front = torch.zeros(1, 100, 100, 4)
    front[:, 20:70, 30:70, 3] = 1
    image, coverage = compose(front, None, "white", CompositeOptions(shadow=0.6))
    plain = composite(front, None, "white")
    assert torch.equal(image[coverage == 1], plain[coverage == 1])
    assert torch.equal(image[:, :60], plain[:, :60])
    assert 0.4 <= image[0, 70, 50, 0] <= 0.7
    assert bool((image[:, 85:] == 1).all())
    clear = composite(front, None, "transparent", shadow=0.6)
    assert clear[0, 70, 50, 3] == pytest.approx(1 - float(image[0, 70, 50, 0]), abs=1e-6)


# Batches


@pytest.mark.parametrize(
    ("fronts", "masks", "backs", "expected"),
    [(1, 1, 3, 3), (3, 1, 1, 3), (3, 3, 3, 3), (1, 3, 1, 3), (1, 3, 3, 3), (3, 3, 1, 3)],
)
def test_one_picture_goes_with_any_number(
    fronts: int, masks: int, backs: int, expected: int
) -> None:
    front, mask, back = noise(fronts, 6, 6, 3), noise(masks, 6, 6), noise(backs, 6, 6, 3, seed=1)
    result = composite(front, mask, back)
    a = mask[..., None]
    assert result.shape[0] == expected
    assert (result - (a * front + (1 - a) * back)).abs().max() <= 1e-6


@pytest.mark.parametrize("sizes", [(2, 2, 3), (2, 3, 1), (1, 2, 3)])
def test_batches_that_do_not_pair_up_are_named(sizes: tuple[int, int, int]) -> None:
    fronts, masks, backs = sizes
    with pytest.raises(BadOption, match="do not pair up"):
        composite(noise(fronts, 4, 4, 3), noise(masks, 4, 4), noise(backs, 4, 4, 3))


def test_inputs_are_never_written_to() -> None:
    front, mask, back = noise(1, 9, 9, 4), noise(1, 9, 9), noise(1, 9, 9, 4, seed=1)
    before = [tensor.clone() for tensor in (front, mask, back)]
    composite(front, mask, back, offset=(2, 2), shadow=0.5, blend="linear")
    composite(front, None, back)
    assert all(torch.equal(*pair) for pair in zip((front, mask, back), before, strict=True))


# Refusals


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("fit", "fill", "contain, cover"),
        ("anchor", "middle", "top-left"),
        ("blend", "gamma", "linear"),
        ("scale", 0.0, "scale"),
        ("scale", math.inf, "scale"),
        ("margin", 0.5, "margin"),
        ("opacity", 1.1, "opacity"),
        ("shadow", math.nan, "shadow"),
    ],
)
def test_settings_that_cannot_work_are_named(setting: str, value: Any, told: str) -> None:
    with pytest.raises(BadOption, match=told):
        dataclasses.replace(CompositeOptions(), **{setting: value})


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (torch.ones(4, 4, 3), "shape"),
        (torch.ones(1, 4, 4, 2), "channels"),
        (torch.ones(1, 4, 4, 3, dtype=torch.uint8), "255"),
        (torch.full((1, 4, 4, 3), math.nan), "NaN"),
        (torch.ones(0, 4, 4, 3), "empty"),
    ],
)
def test_unusable_pictures_are_named(picture: torch.Tensor, told: str) -> None:
    with pytest.raises(BadPicture, match=f"foreground.*{told}"):
        composite(picture, None, "white")
    with pytest.raises(BadPicture, match=f"background.*{told}"):
        composite(torch.ones(1, 4, 4, 3), None, picture)


# Colours


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("white", (255, 255, 255)),
        (" Black ", (0, 0, 0)),
        ("#f80", (255, 136, 0)),
        ("#FF8800", (255, 136, 0)),
        ("#ff880080", (255, 136, 0, 128)),
        ("#f808", (255, 136, 0, 136)),
        ("255, 136,0", (255, 136, 0)),
        ("1,2,3,4", (1, 2, 3, 4)),
        ("transparent", (0, 0, 0, 0)),
    ],
)
def test_colours_as_people_write_them(text: str, expected: tuple[int, ...]) -> None:
    assert parse_colour(text) == tuple(value / 255 for value in expected)


def test_numbers_are_taken_as_they_are() -> None:
    assert parse_colour((0, 0.5, 1)) == (0.0, 0.5, 1.0)
    assert composite(torch.zeros(1, 2, 2, 4), None, (0.0, 0.5, 1.0))[0, 0, 0].tolist() == [
        0,
        0.5,
        1,
    ]


@pytest.mark.parametrize(
    "colour",
    ["", "whit", "#ff", "#fffff", "256,0,0", "1,2", "-1,0,0", (255, 0, 0), (0.5,), (math.nan,) * 3],
)
def test_what_is_no_colour_is_told_how_to_write_one(colour: str | tuple[float, ...]) -> None:
    with pytest.raises(BadOption, match="is not a colour"):
        parse_colour(colour)
