"""Masks: tone, shape, softness, corrections."""

# Pins the inside of core.alpha

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rmbg_nodes.core.alpha import (
    MaskOptions,
    adjust_mask,
    feather,
    fill_holes,
    grow,
    keep_and_drop,
    levels,
    match_mask,
    remove_islands,
    threshold,
)
from rmbg_nodes.core.errors import BadOption, BadPicture

quick = settings(deadline=None, max_examples=25)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def soft_disc(side: int, radius: float, ramp: float = 6.0) -> torch.Tensor:
    """A disc in the middle of (1, side, side) whose edge is a ramp `ramp` pixels wide."""
    axis = torch.arange(side) - (side - 1) / 2
    distance = (axis[:, None] ** 2 + axis[None, :] ** 2).sqrt()
    return ((radius - distance) / ramp + 0.5).clamp(0, 1)[None]


def disc(radius: int) -> npt.NDArray[np.bool_]:
    axis = np.arange(-radius, radius + 1)
    return np.asarray(axis[:, None] ** 2 + axis[None, :] ** 2 <= radius**2)


# Tone


def test_threshold_is_hard_and_takes_its_own_level_as_subject() -> None:
    mask = torch.tensor([[[0.0, 0.49, 0.5, 1.0]]])
    assert threshold(mask, 0.5).tolist() == [[[0, 0, 1, 1]]]
    assert threshold(mask, 0.0).tolist() == [[[0, 1, 1, 1]]]
    assert threshold(mask, 1.0).tolist() == [[[0, 0, 0, 1]]]


def test_levels_stretch_linearly() -> None:
    mask = torch.tensor([[[0.0, 0.2, 0.5, 0.8, 1.0]]])
    assert torch.allclose(levels(mask, 0.2, 0.8), torch.tensor([[[0.0, 0.0, 0.5, 1.0, 1.0]]]))


@quick
@given(point=st.floats(0, 1))
def test_equal_levels_are_a_step_that_keeps_0_and_1(point: float) -> None:
    mask = torch.tensor([[[0.0, 0.25, 0.5, 0.75, 1.0]]])
    result = levels(mask, point, point)
    assert set(result.flatten().tolist()) <= {0.0, 1.0}
    assert result[0, 0, 0] == 0
    assert result[0, 0, -1] == 1


def test_default_levels_change_nothing() -> None:
    mask = noise(1, 5, 7)
    assert torch.equal(levels(mask, 0, 1), mask)


def test_crossed_levels_are_refused() -> None:
    with pytest.raises(BadOption, match="black point"):
        levels(noise(1, 2, 2), 0.6, 0.4)


@pytest.mark.parametrize("level", [-0.1, 1.5, math.nan])
def test_a_threshold_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(BadOption, match="threshold"):
        threshold(noise(1, 2, 2), level)


# Grow and shrink


@quick
@given(
    radius=st.integers(1, 12),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_grow_and_shrink_equal_the_brute_force_disc(
    radius: int, height: int, width: int, seed: int
) -> None:
    mask = noise(1, height, width, seed=seed) ** 3 * 0.4  # faint values that 1 - m would round
    plane = mask[0].numpy()
    largest = ndimage.maximum_filter(plane, footprint=disc(radius), mode="nearest")
    smallest = ndimage.minimum_filter(plane, footprint=disc(radius), mode="nearest")
    assert np.array_equal(grow(mask, radius)[0].numpy(), largest)
    assert np.array_equal(grow(mask, -radius)[0].numpy(), smallest)


def test_tiles_leave_no_seams() -> None:
    mask = noise(1, 140, 530)
    expected = ndimage.maximum_filter(mask[0].numpy(), footprint=disc(9), mode="nearest")
    assert np.array_equal(grow(mask, 9)[0].numpy(), expected)
    blurred = ndimage.gaussian_filter(mask[0].numpy(), 4, truncate=3, mode="nearest")
    assert np.abs(feather(mask, 8)[0].numpy() - blurred).max() < 1e-5


def test_growing_moves_a_soft_edge_and_keeps_its_ramp() -> None:
    assert (grow(soft_disc(101, 20), 10) - soft_disc(101, 30)).abs().max() < 0.08
    assert (grow(soft_disc(101, 30), -10) - soft_disc(101, 20)).abs().max() < 0.08


@quick
@given(st.floats(-6, 6), st.floats(-6, 6))
def test_growing_more_never_makes_a_mask_smaller(one: float, other: float) -> None:
    mask = noise(1, 16, 16)
    low, high = sorted((one, other))
    assert bool((grow(mask, low) <= grow(mask, high) + 1e-6).all())


def test_half_a_pixel_moves_the_edge_by_half_a_pixel() -> None:
    mask = torch.zeros(1, 3, 20)
    mask[..., :10] = 1
    assert grow(mask, 0.5).sum() == mask.sum() + 3 * 0.5
    assert grow(mask, -1.25).sum() == mask.sum() - 3 * 1.25


def test_a_subject_cut_off_by_the_frame_is_not_shrunk_from_there() -> None:
    full = torch.ones(1, 9, 9)
    assert torch.equal(grow(full, -4), full)


def test_a_radius_beyond_the_picture_reaches_all_of_it() -> None:
    mask = noise(1, 7, 9)
    assert torch.equal(grow(mask, 1e9), mask.amax().expand(1, 7, 9))
    assert torch.equal(grow(mask, -1e9), mask.amin().expand(1, 7, 9))
    assert feather(mask, 1e9).std() < 0.2 * mask.std()


# Feather


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_feather_preserves_constants(value: float) -> None:
    mask = torch.full((2, 40, 30), value)
    assert torch.equal(feather(mask, 7), mask)


def test_feather_is_exact_beyond_its_reach() -> None:
    mask = torch.zeros(1, 40, 200)
    mask[..., :100] = 1
    result = feather(mask, 8)  # sigma 4, reach 12
    assert bool((result[..., :88] == 1).all())
    assert bool((result[..., 112:] == 0).all())
    row = result[0, 20]
    assert bool((row[1:] <= row[:-1]).all())
    expected = 0.5 * math.erfc(-0.5 / (4 * math.sqrt(2)))  # the Gaussian edge half a pixel inside
    assert row[99] == pytest.approx(expected, abs=0.01)


def test_a_negative_feather_is_refused() -> None:
    with pytest.raises(BadOption, match="feather"):
        feather(noise(1, 2, 2), -1)


# Holes and islands


def ring(side: int = 61) -> torch.Tensor:
    """A soft ring: outer radius 24, hole of radius 10."""
    return soft_disc(side, 24) - soft_disc(side, 10)


def test_fill_holes_fills_the_soft_rim_too_and_leaves_the_outside() -> None:
    assert torch.equal(fill_holes(ring()), soft_disc(61, 24))


def test_only_holes_up_to_the_given_share_are_filled() -> None:
    mask = torch.ones(1, 20, 20)
    mask[0, 3:5, 3:5] = 0  # 4 pixels, 1 % of the picture
    mask[0, 10:15, 10:15] = 0  # 25 pixels
    result = fill_holes(mask, 0.01)
    assert bool((result[0, 3:5, 3:5] == 1).all())
    assert bool((result[0, 10:15, 10:15] == 0).all())
    assert torch.equal(fill_holes(mask, 0.0), mask)
    assert bool((fill_holes(mask) == 1).all())


def test_a_gap_that_reaches_the_border_is_no_hole() -> None:
    mask = torch.ones(1, 9, 9)
    mask[0, 4, 4:] = 0
    assert torch.equal(fill_holes(mask), mask)


def test_glass_above_one_half_is_no_hole() -> None:
    mask = torch.ones(1, 20, 20)
    mask[0, 5:15, 5:15] = 0.6
    assert torch.equal(fill_holes(mask), mask)


@quick
@given(seed=st.integers(0, 999))
def test_filling_agrees_with_the_binary_definition(seed: int) -> None:
    mask = (noise(1, 24, 24, seed=seed) > 0.4).float()
    assert np.array_equal(fill_holes(mask)[0].numpy(), ndimage.binary_fill_holes(mask[0].numpy()))


def test_islands_go_with_their_soft_edge_and_the_subject_stays() -> None:
    subject, island = soft_disc(61, 12), soft_disc(61, 5)
    mask = torch.cat((subject, island), dim=2)
    result = remove_islands(mask)
    assert torch.equal(result[..., :61], subject)
    assert not result[..., 61:].any()


def test_islands_are_measured_against_the_largest() -> None:
    mask = torch.zeros(1, 20, 40)
    mask[0, 2:12, 2:12] = 1  # 100 pixels
    mask[0, 2:7, 20:24] = 0.4  # 20 pixels, faint
    mask[0, 15, 30] = 1
    kept = remove_islands(mask, 0.2)
    assert kept.sum() == mask.sum() - 1
    assert remove_islands(mask).sum() == 100
    assert torch.equal(remove_islands(mask, 0.0), mask)


def test_a_strand_that_touches_by_a_corner_belongs_to_the_subject() -> None:
    mask = torch.zeros(1, 6, 6)
    mask[0, :3, :3] = 1
    mask[0, 3, 3] = 1
    assert torch.equal(remove_islands(mask), mask)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 9), (2, 9, 1), (3, 8, 8)])
def test_empty_and_full_masks_of_any_size_survive_everything(
    value: float, shape: tuple[int, ...]
) -> None:
    mask = torch.full(shape, value)
    options = MaskOptions(
        black=0.1, white=0.9, fill_holes=1, remove_islands=1, grow=2.5, feather=3, threshold=0.5
    )
    assert torch.equal(adjust_mask(mask, options), mask)


# Corrections


@quick
@given(seed=st.integers(0, 999))
def test_keep_and_drop_bound_the_mask(seed: int) -> None:
    mask, keep, drop = noise(3, 1, 6, 6, seed=seed)
    result = keep_and_drop(mask, keep, drop)
    assert bool((result <= 1 - drop).all())
    assert bool((result >= torch.minimum(keep, 1 - drop)).all())
    untouched = (keep <= mask) & (mask <= 1 - drop)
    assert torch.equal(result[untouched], mask[untouched])


def test_painted_masks_may_have_another_size_and_one_serves_a_batch() -> None:
    keep = torch.zeros(4, 4)
    keep[:2] = 1
    result = keep_and_drop(torch.zeros(3, 16, 8), keep, None)
    assert result.shape == (3, 16, 8)
    assert bool((result[:, :4] == 1).all())
    assert bool((result[:, -4:] == 0).all())
    assert (
        keep_and_drop(torch.zeros(1, 4, 4), torch.ones(3, 4, 4), torch.ones(3, 8, 8)).shape[0] == 3
    )


# Sizes and batches


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (1, 1, 5, 7), (1, 5, 7, 1)])
def test_every_form_of_a_mask_is_taken(shape: tuple[int, ...]) -> None:
    values = noise(5, 7)
    assert torch.equal(match_mask(values.reshape(shape), 5, 7, 1), values[None])
    assert match_mask(values.reshape(shape), 10, 3, 4).shape == (4, 10, 3)


def test_one_pixel_wide_and_high_masks_are_told_apart_by_the_picture() -> None:
    values = noise(6)
    assert torch.equal(match_mask(values.reshape(1, 1, 6, 1), 6, 1, 1), values.reshape(1, 6, 1))
    assert torch.equal(match_mask(values.reshape(1, 1, 6, 1), 1, 6, 1), values.reshape(1, 1, 6))
    assert match_mask(noise(2, 1, 5, 7), 1, 5, 2).shape == (2, 1, 5)


def test_one_against_many_and_impossible_batches() -> None:
    assert match_mask(noise(3, 4, 4), 4, 4, 1).shape[0] == 3
    assert match_mask(noise(1, 4, 4), 4, 4, 3).shape[0] == 3
    with pytest.raises(BadOption, match="2 in the mask and 3 in the image"):
        match_mask(noise(2, 4, 4), 4, 4, 3)
    with pytest.raises(BadOption, match="do not pair up"):
        keep_and_drop(noise(1, 4, 4), noise(3, 4, 4), noise(2, 4, 4))


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (torch.ones(4), "shape"),
        (torch.ones(1, 4, 4, 3), "shape"),
        (torch.ones(1, 0, 4), "empty"),
        (torch.full((1, 4, 4), math.nan), "NaN"),
        (torch.full((1, 4, 4), 255, dtype=torch.uint8), "255"),
    ],
)
def test_unusable_masks_are_named(mask: torch.Tensor, told: str) -> None:
    with pytest.raises(BadPicture, match=told):
        match_mask(mask, 4, 4, 1)


@quick
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_resized_masks_stay_in_range_and_keep_constants(height: int, width: int) -> None:
    resized = match_mask((noise(1, 9, 11) > 0.5).float(), height, width, 1)
    assert resized.min() >= 0
    assert resized.max() <= 1
    assert torch.allclose(match_mask(torch.ones(1, 9, 11), height, width, 1), torch.ones(1))


# All together


def test_default_options_do_nothing() -> None:
    mask = noise(2, 9, 9)
    assert torch.equal(adjust_mask(mask, MaskOptions()), mask)


def test_the_order_is_the_documented_one() -> None:
    mask = ring()
    options = MaskOptions(
        invert=True, black=0.1, white=0.8, threshold=0.4, fill_holes=0.1, grow=-2, feather=4
    )
    expected = threshold(levels(1 - mask, 0.1, 0.8), 0.4)
    expected = feather(grow(fill_holes(expected, 0.1), -2), 4)
    keep, drop = torch.zeros(61, 61), torch.zeros(61, 61)
    keep[:9], drop[-9:] = 1, 1
    expected[:, :9], expected[:, -9:] = 1, 0
    assert torch.equal(adjust_mask(mask, options, keep, drop), expected)


def test_inputs_are_never_written_to() -> None:
    mask, keep, drop = ring(), noise(61, 61), noise(61, 61)
    before = [tensor.clone() for tensor in (mask, keep, drop)]
    options = MaskOptions(True, 0.1, 0.9, 0.3, 1, 1, 3, 3)
    adjust_mask(mask, options, keep, drop)
    assert all(torch.equal(*pair) for pair in zip((mask, keep, drop), before, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_is_kept_and_computed_in_float32(dtype: torch.dtype) -> None:
    mask = ring().to(dtype)
    options = MaskOptions(False, 0.1, 0.9, 0, 1, 1, 1.5, 3)
    result = adjust_mask(mask, options, torch.zeros(61, 61), torch.zeros(61, 61))
    assert result.dtype == dtype
    exact = adjust_mask(mask.float(), options)
    assert (result.float() - exact).abs().max() <= torch.finfo(dtype).eps * 4 + 1e-6


def test_a_batch_is_its_pictures_one_by_one() -> None:
    batch = torch.cat((ring(), soft_disc(61, 9), noise(1, 61, 61)))
    options = MaskOptions(False, 0.1, 0.9, 0, 0.2, 0.5, 2, 3)
    one_by_one = torch.cat([adjust_mask(mask[None], options) for mask in batch])
    assert torch.equal(adjust_mask(batch, options), one_by_one)


def test_values_outside_0_to_1_are_clamped() -> None:
    mask = torch.tensor([[[-0.5, 0.5, 1.5]]])
    assert adjust_mask(mask, MaskOptions(invert=True)).tolist() == [[[1, 0.5, 0]]]
