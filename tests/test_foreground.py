"""Colours in the edge: against scenes whose foreground is known, and at every odd input."""

# Pins the inside of core.cutout
# Pins the inside of core.foreground
# Pins the inside of core.tiles

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rmbg_nodes.core import tiles
from rmbg_nodes.core.cutout import cutout
from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.core.foreground import estimate_foreground
from rmbg_nodes.demo.scenes import KINDS, Kind, render

# Levels of halo on 384 pixels; keeping the picture's colours measures 7 to 25 on these scenes.
HALO_BOUND: dict[str, float] = {
    "hard": 1.0,
    "soft": 1.5,
    "hair": 1.5,
    "holes": 1.0,
    "glass": 5.0,
    "thin": 1.5,
}


def scene(kind: Kind, seed: int = 0, side: int = 384) -> tuple[Tensor, Tensor, Tensor]:
    """Image (1, H, W, 3), alpha (1, H, W) and true foreground (1, H, W, 3)."""
    made = render(kind, seed, (side, side), "gradient")
    image, alpha = torch.from_numpy(made.image), torch.from_numpy(made.alpha)
    return image[None], alpha[None], torch.from_numpy(made.foreground)[None]


def halo(found: Tensor, truth: Tensor, alpha: Tensor) -> float:
    """Mean error in levels of the edge, composited on black, white and green."""
    edge = (alpha > 0) & (alpha < 1)
    weight = alpha[edge][:, None]
    # The new background is the same on both sides of the difference.
    return float((weight * (found[edge] - truth[edge])).abs().mean() * 255)


@pytest.mark.parametrize("kind", KINDS)
def test_edges_lose_the_old_background(kind: Kind):
    image, alpha, truth = scene(kind)
    found = estimate_foreground(image, alpha)
    assert halo(found, truth, alpha) <= HALO_BOUND[kind]
    assert halo(image, truth, alpha) > 3 * halo(found, truth, alpha)


def test_texture_behind_glass_is_not_taken_for_the_glass():
    rng = np.random.default_rng(0)
    backdrop = torch.from_numpy(rng.random((1, 256, 256, 1), np.float32)).expand(-1, -1, -1, 3)
    glass = torch.tensor([0.2, 0.5, 0.8]).expand(1, 256, 256, 3)
    alpha = torch.zeros(1, 256, 256)
    alpha[:, 48:208, 48:208] = 1
    alpha[:, 80:176, 80:176] = 0.5
    image = torch.lerp(backdrop, glass, alpha[..., None])
    inside = estimate_foreground(image, alpha)[:, 84:172, 84:172]
    shown = image[:, 84:172, 84:172]
    assert inside.std(dim=(1, 2)).mean() < 0.7 * shown.std(dim=(1, 2)).mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_opaque_pixels_return_bit_for_bit(dtype: torch.dtype):
    image, alpha, _ = scene("hair")
    image, alpha = image.to(dtype), alpha.to(dtype)
    found = estimate_foreground(image, alpha)
    assert found.dtype == dtype
    assert torch.equal(found[alpha == 1], image[alpha == 1])


def test_an_opaque_picture_survives_a_truncating_save():
    levels = (torch.arange(768) % 256).reshape(1, 16, 16, 3) / 255
    found = estimate_foreground(levels, torch.ones(1, 16, 16))
    assert torch.equal((found * 255).to(torch.uint8), (levels * 255).to(torch.uint8))


def test_values_above_one_stay_where_opaque_and_stay_out_elsewhere():
    image, alpha, _ = scene("soft", side=64)
    image = torch.where(image > 0.5, image * 1e30, image)
    found = estimate_foreground(image, alpha)
    assert torch.equal(found[alpha == 1], image[alpha == 1])
    assert found[alpha < 0.99].min() >= 0
    assert found[alpha < 0.99].max() <= 1


def test_the_subject_is_extended_and_the_background_never_returns():
    image = torch.tensor([0.0, 0.0, 1.0]).expand(1, 96, 96, 3).clone()
    alpha = torch.zeros(1, 96, 96)
    alpha[:, 32:64, 32:64] = 1
    image[:, 32:64, 32:64] = torch.tensor([1.0, 0.0, 0.0])
    for amount in (0.0, 0.5, 1.0):
        clear = estimate_foreground(image, alpha, amount=amount)[alpha == 0]
        assert clear[:, 0].min() > 0.9
        assert clear[:, 2].max() < 0.1


def test_no_subject_is_black_even_beside_a_picture_with_one():
    image, alpha, _ = scene("hard", side=64)
    images, alphas = image.repeat(2, 1, 1, 1), torch.cat([alpha, torch.zeros_like(alpha)])
    for amount in (0.0, 1.0):
        found = estimate_foreground(images, alphas, amount=amount)
        assert found[0].max() > 0
        assert found[1].abs().max() == 0


def test_amount_blends_inside_the_edge_only():
    image, alpha, _ = scene("soft", side=96)
    none, half, full = (estimate_foreground(image, alpha, amount=x) for x in (0.0, 0.5, 1.0))
    edge = (alpha > 0) & (alpha < 1)
    assert torch.equal(none[edge], image[edge])
    assert torch.allclose(half[edge], (none + full)[edge] / 2, atol=1e-6)
    assert torch.equal(none[~edge], full[~edge])


def test_a_constant_alpha_on_a_constant_picture_is_that_colour():
    image = torch.tensor([0.2, 0.4, 0.6]).expand(1, 40, 50, 3)
    found = estimate_foreground(image, torch.full((1, 40, 50), 0.5))
    assert torch.allclose(found, image, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 1), (1, 300), (5, 7), (33, 65), (257, 129)])
def test_any_size(size: tuple[int, int]):
    height, width = size
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((2, height, width, 3), generator=generator)
    alpha = torch.rand((2, height, width), generator=generator)
    found = estimate_foreground(image, alpha)
    assert found.shape == image.shape
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near_float32(dtype: torch.dtype):
    image, alpha, _ = scene("soft", side=128)
    image, alpha = image.to(dtype), alpha.to(dtype)
    exact = estimate_foreground(image.float(), alpha.float())
    assert (estimate_foreground(image, alpha).float() - exact).abs().max() <= 2 / 255


def test_a_batch_equals_its_pictures_one_by_one():
    first, second = scene("hard"), scene("hair", 1)
    images, alphas = (torch.cat([a, b]) for a, b in zip(first[:2], second[:2], strict=True))
    together = estimate_foreground(images, alphas)
    for number in range(2):
        one = slice(number, number + 1)
        alone = estimate_foreground(images[one], alphas[one])
        assert torch.allclose(together[one], alone, atol=1e-6)


def test_one_alpha_goes_with_many_images_and_one_image_with_many_alphas():
    image, alpha, _ = scene("hard", side=48)
    wanted = estimate_foreground(image, alpha)
    for pair in ((image.repeat(3, 1, 1, 1), alpha), (image, alpha.repeat(3, 1, 1))):
        assert torch.allclose(estimate_foreground(*pair), wanted.repeat(3, 1, 1, 1), atol=1e-6)


def test_grey_and_rgba_pictures_come_back_as_colours():
    image, alpha, _ = scene("hard", side=48)
    rgba = torch.cat([image, torch.rand(1, 48, 48, 1)], dim=-1)
    assert torch.equal(estimate_foreground(rgba, alpha), estimate_foreground(image, alpha))
    grey = estimate_foreground(image[..., :1], alpha)
    assert grey.shape == (1, 48, 48, 3)
    assert torch.equal(grey[..., 0], grey[..., 2])


def test_tiles_change_nothing_in_the_edge(monkeypatch: pytest.MonkeyPatch):
    image, alpha, _ = scene("hair", side=301)
    whole = estimate_foreground(image, alpha)
    assert tiles.tile_side("cpu") < 301
    monkeypatch.setattr(tiles, "_SIDE", {"cpu": 512})
    untiled = estimate_foreground(image, alpha)
    edge = (alpha > 0) & (alpha < 1)
    assert torch.allclose(whole[edge], untiled[edge], atol=1e-6)


def test_clear_tiles_hold_the_subject_extended_or_the_new_background():
    image = torch.tensor([0.0, 0.0, 1.0]).expand(1, 600, 520, 3).clone()
    alpha = torch.zeros(1, 600, 520)
    alpha[:, 200:300, 200:300] = 1
    image[:, 200:300, 200:300] = torch.tensor([1.0, 0.0, 0.0])
    alpha[:, 200, 200:300] = 0.5
    image[:, 200, 200:300] = torch.tensor([0.5, 0.0, 0.5])
    clear = estimate_foreground(image, alpha)[alpha == 0]
    assert clear[:, 0].min() > 0.8
    assert clear[:, 2].max() < 0.2
    assert bool((cutout(image, alpha, background=(1.0, 1.0, 1.0))[alpha == 0] == 1).all())


def test_on_a_colour_is_the_cut_out_composited():
    image, alpha, _ = scene("soft", side=400)
    alpha = alpha.clamp(min=1e-3)  # a matte that was not settled shows its colours everywhere
    over = cutout(image, alpha)
    colour, weight = over[..., :3], over[..., 3:]
    wanted = weight * colour + (1 - weight) * torch.tensor([0.2, 0.4, 0.6])
    found = cutout(image, alpha, background=(0.2, 0.4, 0.6))
    assert torch.allclose(found, wanted, atol=1e-6)


def test_inputs_are_not_written_to():
    image, alpha, _ = scene("soft", side=48)
    before = image.clone(), alpha.clone()
    estimate_foreground(image, alpha, amount=0.3)
    assert torch.equal(image, before[0])
    assert torch.equal(alpha, before[1])


def test_what_cannot_work_is_said():
    image, alpha = torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 4)
    with pytest.raises(BadOption, match="between 0 and 1"):
        estimate_foreground(image, alpha, amount=1.5)
    with pytest.raises(BadPicture, match="upsample_mask"):
        estimate_foreground(image, torch.zeros(1, 4, 5))
    with pytest.raises(BadPicture):
        estimate_foreground(torch.zeros(1, 4, 4, 2), alpha)
    with pytest.raises(BadPicture):
        estimate_foreground(torch.zeros(1, 0, 4, 3), torch.zeros(1, 0, 4))
    with pytest.raises(BadOption, match="pair up"):
        estimate_foreground(image.repeat(2, 1, 1, 1), alpha.repeat(3, 1, 1))


@pytest.mark.parametrize("amount", [0.0, 0.4, 1.0])
def test_what_is_put_on_something_opaque_needs_no_colours_under_alpha_0(amount: float) -> None:
    """The same where anything shows, and never the old background where nothing does."""
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(1, 300, 280, 3, generator=generator)
    across = torch.linspace(-1, 2, 280).clamp(0, 1).expand(1, 300, 280)
    whole = cutout(image, across, decontaminate=amount)
    short = cutout(image, across, decontaminate=amount, extended=False)
    visible = across > 0
    assert torch.equal(short[visible], whole[visible])
    hidden = short[..., :3][~visible]
    assert bool(((hidden == 0) | (hidden == whole[..., :3][~visible])).all())


@pytest.mark.parametrize("faint", [0.0, 1e-4, 1 / 520])
def test_what_8_bits_call_clear_holds_nothing_of_the_background(faint: float) -> None:
    """A network's alpha never reaches 0; a file of 8 bits does, and keeps the colours there."""
    image = torch.zeros(1, 64, 96, 3)
    image[..., 48:, 1] = 1.0  # a green backdrop
    image[..., :48, 0] = 1.0
    alpha = torch.full((1, 64, 96), faint)
    alpha[..., :48] = 1.0
    colour = cutout(image, alpha, decontaminate=0.0)[..., :3]
    assert float(colour[..., 60:, 1].max()) < 0.1
