"""A matte at the picture's size: exact where nothing is to be done, nearer the truth elsewhere."""

# Pins the inside of core.checks
# Pins the inside of core.finish
# Pins the inside of core.guided
# Pins the inside of core.smoothing
# Pins the inside of core.tiles

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from PIL import Image
from torch import Tensor

from rmbg_nodes.core import guided, tiles
from rmbg_nodes.core.checks import all_finite
from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.core.finish import to_size, upsample_mask
from rmbg_nodes.core.guided import estimate_noise, estimate_softness
from rmbg_nodes.core.smoothing import gaussian_blur
from rmbg_nodes.demo.scenes import KINDS, Kind, render


def scene(kind: Kind, seed: int = 0, side: int = 384) -> tuple[Tensor, Tensor]:
    made = render(kind, seed, (side, side), "gradient")
    return torch.from_numpy(made.image)[None], torch.from_numpy(made.alpha)[None]


def small(alpha: Tensor, side: int) -> Tensor:
    return functional.interpolate(alpha[:, None], (side, side), mode="area")[:, 0]


def edge_error(found: Tensor, alpha: Tensor) -> float:
    partial = ((alpha > 0) & (alpha < 1)).float()[:, None]
    edge = functional.max_pool2d(partial, 9, 1, 4)[:, 0] > 0
    return float((found - alpha)[edge].abs().mean())


def noisy(image: Tensor) -> Tensor:
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    return (image + noise * 8 / 255).clamp(0, 1)


def test_alpha_of_the_size_is_returned_unchanged():
    alpha = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(to_size(alpha, "alpha", 5, 6), alpha)
    assert torch.equal(upsample_mask(alpha, torch.rand(2, 5, 6, 3)), alpha)


def test_logits_of_the_size_become_their_sigmoid():
    logits = torch.tensor([[[-200.0, 0.0], [2.0, 200.0]]])
    assert torch.equal(to_size(logits, "logits", 2, 2), logits.sigmoid())


@pytest.mark.parametrize("size", [(3, 4), (20, 30), (64, 5), (1, 1)])
def test_plain_zero_and_plain_one_stay_exact(size: tuple[int, int]):
    for value in (0.0, 1.0):
        resized = to_size(torch.full((1, 20, 30), value), "alpha", *size)
        assert resized.shape == (1, *size)
        assert bool((resized == value).all())


def test_a_constant_stays():
    for size in ((40, 60), (7, 9)):
        resized = to_size(torch.full((1, 20, 30), 0.3), "alpha", *size)
        assert torch.allclose(resized, torch.full_like(resized, 0.3), atol=1e-3)


def test_shrinking_does_not_alias():
    stripes = (torch.arange(128) % 2).float().expand(1, 128, 128)
    shrunk = to_size(stripes, "alpha", 32, 32)[:, 4:-4, 4:-4]
    assert (shrunk - 0.5).abs().max() < 0.2


def test_out_of_range_alpha_and_huge_logits_stay_in_range():
    wild = torch.tensor([[[-5.0, 3.0], [1e6, -1e6]]])
    for kind in ("alpha", "logits"):
        resized = to_size(wild, kind, 9, 9)
        assert resized.min() >= 0
        assert resized.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_refined_edges_are_closer_to_the_truth(kind: Kind):
    image, alpha = scene(kind)
    mask = small(alpha, 192)
    plain = edge_error(upsample_mask(mask, image, refine=False), alpha)
    refined = edge_error(upsample_mask(mask, image), alpha)
    # A matte of wide ramps or of even glass is nearly right without a guide.
    assert refined < (0.5 if kind in ("hard", "hair", "holes", "thin") else 1.1) * plain


def test_a_softened_mask_is_sharpened():
    image, alpha = scene("hard")
    soft = small(alpha, 192)
    for _ in range(2):
        soft = functional.avg_pool2d(soft[:, None], 3, 1, 1)[:, 0]
    plain = edge_error(upsample_mask(soft, image, refine=False), alpha)
    assert edge_error(upsample_mask(soft, image), alpha) < 0.5 * plain


@pytest.mark.parametrize("kind", ["hard", "holes", "thin"])
def test_noise_never_makes_it_worse_than_plain(kind: Kind):
    image, alpha = scene(kind)
    mask = small(alpha, 192)
    plain = edge_error(upsample_mask(mask, image, refine=False), alpha)
    assert edge_error(upsample_mask(mask, noisy(image)), alpha) < 1.05 * plain


def test_far_from_edges_nothing_changes():
    image, alpha = scene("hard")
    refined = upsample_mask(small(alpha, 192), noisy(image))
    near = functional.max_pool2d(((alpha > 0) & (alpha < 1)).float()[:, None], 65, 1, 32)[:, 0]
    far = near == 0
    assert far.float().mean() > 0.1
    assert torch.equal(refined[far], alpha[far])


def test_noise_is_measured_and_texture_is_not():
    image, _ = scene("hard")
    planes = image.permute(0, 3, 1, 2)
    grain = torch.randn(planes.shape, generator=torch.Generator().manual_seed(2))
    clean = float(estimate_noise(planes)) * 255
    measured = float(estimate_noise(planes * 0.8 + 0.1 + grain * 6 / 255)) * 255
    assert clean < 0.3
    assert measured == pytest.approx(6 / 3**0.5, rel=0.15)
    assert float(estimate_noise(torch.ones(1, 3, 64, 64))) == 0
    assert float(estimate_noise(torch.rand(1, 3, 8, 8))) == 0


def test_a_sample_of_the_blocks_tells_the_noise(monkeypatch: pytest.MonkeyPatch):
    planes = noisy(scene("hard", side=600)[0] * 0.8 + 0.1).permute(0, 3, 1, 2)
    whole = float(estimate_noise(planes))
    monkeypatch.setattr(guided, "_NOISE_BLOCKS", 300)
    assert float(estimate_noise(planes)) == pytest.approx(whole, rel=0.05)


@pytest.mark.parametrize("size", [(60, 70), (173, 400), (61, 700)])
def test_tiles_of_an_enlargement_are_those_of_the_whole(size: tuple[int, int]):
    planes = torch.rand(2, 60, 70, generator=torch.Generator().manual_seed(6))
    whole = functional.interpolate(planes[None], size, mode="bilinear")[0]
    enlargement = tiles.Enlargement((60, 70), size)
    for tile in tiles.all_tiles(*size, 64):
        below = enlargement.below(tile)
        found = enlargement.tile(planes[below.window], tile)
        assert torch.allclose(found, whole[tile.window], atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_one_value_that_is_no_number_is_found_and_large_ones_pass(dtype: torch.dtype):
    values = torch.full((3, 50, 50), torch.finfo(dtype).max, dtype=dtype)
    assert all_finite(values)
    assert all_finite(-values)
    for wrong in ([torch.nan], [torch.inf], [-torch.inf], [torch.inf, -torch.inf]):
        damaged = values.clone()
        damaged.view(-1)[-len(wrong) :] = torch.tensor(wrong, dtype=dtype)
        assert not all_finite(damaged)


def test_flat_pictures_and_flat_masks_give_numbers():
    for level in (0.0, 0.5, 1.0):
        for value in (0.0, 0.4, 1.0):
            image = torch.full((1, 40, 40, 3), level)
            refined = upsample_mask(torch.full((1, 16, 16), value), image)
            assert torch.allclose(refined, torch.full_like(refined, value), atol=2e-3)
    edge = (torch.arange(16) > 7).float().expand(1, 16, 16)
    refined = upsample_mask(edge, torch.full((1, 40, 40, 3), 0.5))
    assert torch.isfinite(refined).all()
    assert torch.allclose(refined, upsample_mask(edge, torch.zeros(1, 40, 40, 3)), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (40, 1)])
def test_any_size(size: tuple[int, int]):
    height, width = size
    generator = torch.Generator().manual_seed(3)
    image = torch.rand((1, height, width, 3), generator=generator)
    for mask_size in ((1, 1), (1, 2), (3, 5), (64, 64)):
        mask = torch.rand((1, *mask_size), generator=generator)
        refined = upsample_mask(mask, image, refine_same_size=True)
        assert refined.shape == (1, height, width)
        assert refined.min() >= 0
        assert refined.max() <= 1


def test_huge_picture_values_do_no_harm():
    image, alpha = scene("hard", side=96)
    refined = upsample_mask(small(alpha, 48), image * 1e30)
    assert torch.isfinite(refined).all()


def test_a_mask_of_the_picture_size_is_refined_only_on_request():
    image, alpha = scene("hard", side=192)
    soft = functional.avg_pool2d(alpha[:, None], 5, 1, 2, count_include_pad=False)[:, 0]
    assert torch.equal(upsample_mask(soft, image), soft)
    asked = upsample_mask(soft, image, refine_same_size=True)
    assert edge_error(asked, alpha) < 0.6 * edge_error(soft, alpha)
    assert torch.equal(upsample_mask(soft, image, refine=False, refine_same_size=True), soft)


def test_a_larger_mask_is_only_shrunk():
    image, alpha = scene("hair", side=128)
    mask = functional.interpolate(alpha[:, None], (200, 200), mode="bilinear")[:, 0]
    assert torch.equal(upsample_mask(mask, image), to_size(mask, "alpha", 128, 128))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near_float32(dtype: torch.dtype):
    image, alpha = scene("soft", side=128)
    image, mask = image.to(dtype), small(alpha, 64).to(dtype)
    refined = upsample_mask(mask, image)
    assert refined.dtype == dtype
    exact = upsample_mask(mask.float(), image.float())
    assert (refined.float() - exact).abs().max() <= 2 / 255


def test_a_batch_equals_its_pictures_one_by_one_and_one_goes_with_many():
    pictures = [scene("hard", side=96), scene("hair", side=96)]
    images = torch.cat([image for image, _ in pictures])
    masks = torch.cat([small(alpha, 48) for _, alpha in pictures])
    together = upsample_mask(masks, images)
    for number in range(2):
        one = slice(number, number + 1)
        assert torch.allclose(together[one], upsample_mask(masks[one], images[one]), atol=1e-6)
        assert torch.allclose(upsample_mask(masks[one], images)[one], together[one], atol=1e-6)
        assert torch.allclose(upsample_mask(masks, images[one])[one], together[one], atol=1e-6)


def test_logits_and_their_alpha_agree():
    image, alpha = scene("hard", side=96)
    mask = small(alpha, 48).clamp(0.01, 0.99)
    by_logits = upsample_mask(mask.logit(), image, kind="logits")
    assert (by_logits - upsample_mask(mask, image)).abs().max() < 0.02


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch):
    image, alpha = scene("hair", side=400)
    mask = small(alpha, 300)
    tiled = upsample_mask(mask, image)
    monkeypatch.setattr(tiles, "_SIDE", {"cpu": 512})
    assert torch.allclose(tiled, upsample_mask(mask, image), atol=1e-4)


def test_grey_and_rgba_guides():
    image, alpha = scene("hard", side=96)
    mask = small(alpha, 48)
    rgba = torch.cat([image, torch.rand(1, 96, 96, 1)], dim=-1)
    assert torch.equal(upsample_mask(mask, rgba), upsample_mask(mask, image))
    grey = image.mean(dim=-1, keepdim=True)
    plain = edge_error(upsample_mask(mask, grey, refine=False), alpha)
    assert edge_error(upsample_mask(mask, grey), alpha) < plain


def test_what_cannot_work_is_said():
    image, mask = torch.zeros(2, 8, 8, 3), torch.zeros(1, 4, 4)
    with pytest.raises(BadOption, match="logits"):
        to_size(mask, "mask", 8, 8)
    with pytest.raises(BadOption, match="logits"):
        upsample_mask(mask, image, kind="mask")
    with pytest.raises(BadPicture):
        upsample_mask(mask[0], image)
    with pytest.raises(BadPicture):
        upsample_mask(mask, image[0])
    with pytest.raises(BadPicture):
        upsample_mask(mask * torch.nan, image)
    with pytest.raises(BadOption, match="pair up"):
        upsample_mask(mask.repeat(3, 1, 1), image)


def blurred(mask: Tensor, sigma: float) -> Tensor:
    return gaussian_blur(mask, sigma) if sigma else mask


def guide_of(image: Tensor, side: int) -> Tensor:
    planes = image.permute(0, 3, 1, 2)
    return functional.interpolate(planes, (side, side), mode="bilinear", antialias=True)[0]


def camera(image: Tensor) -> Tensor:
    """Noise of 3 levels, then JPEG of quality 85 with halved colour."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(4)) * 3 / 255
    levels = ((image + noise).clamp(0, 1) * 255).round().to(torch.uint8)
    data = io.BytesIO()
    Image.fromarray(levels[0].numpy()).save(data, "JPEG", quality=85, subsampling=2)
    return torch.from_numpy(np.array(Image.open(data), np.float32) / 255)[None]


@pytest.mark.parametrize("kind", ["hard", "hair", "thin"])
@pytest.mark.parametrize("sigma", [0.0, 1.0, 1.7])
def test_a_masks_softness_is_found(kind: Kind, sigma: float):
    image, alpha = scene(kind)
    mask = blurred(small(alpha, 192), sigma)
    assert estimate_softness(mask[0], guide_of(image, 192)) == pytest.approx(sigma, abs=0.2)


def test_nothing_to_measure_is_no_softness():
    for value in (0.0, 0.4, 1.0):
        flat = torch.full((40, 40), value)
        assert estimate_softness(flat, torch.rand(3, 40, 40)) == 0
    edge = (torch.arange(40) > 19).float().expand(40, 40)
    assert 0 <= estimate_softness(edge, torch.full((3, 40, 40), 0.5)) <= 2.5


@pytest.mark.parametrize(("sigma", "share"), [(0.0, 0.4), (1.0, 0.15), (2.0, 0.2)])
def test_soft_masks_come_back_sharp(sigma: float, share: float):
    errors, plain = 0.0, 0.0
    for kind in KINDS:
        image, alpha = scene(kind, seed=5)
        mask = blurred(small(alpha, 192), sigma)
        errors += edge_error(upsample_mask(mask, image), alpha)
        plain += edge_error(upsample_mask(mask, image, refine=False), alpha)
    assert errors < share * plain


@pytest.mark.parametrize(("sigma", "share"), [(0.0, 1.0), (1.0, 0.8)])
def test_camera_pictures_are_never_worse_than_plain(sigma: float, share: float):
    errors, plain = 0.0, 0.0
    for kind in KINDS:
        image, alpha = scene(kind, seed=6)
        image, mask = camera(image), blurred(small(alpha, 256), sigma)
        one = edge_error(upsample_mask(mask, image), alpha)
        other = edge_error(upsample_mask(mask, image, refine=False), alpha)
        assert one < 1.03 * other + 0.001
        errors, plain = errors + one, plain + other
    assert errors < share * plain


@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_a_picture_that_has_nothing_to_do_with_the_mask_leaves_it_alone(sigma: float):
    _, alpha = scene("hard", side=256)
    generator = torch.Generator().manual_seed(5)
    grain = torch.rand((1, 64, 64, 3), generator=generator).permute(0, 3, 1, 2)
    texture = functional.interpolate(grain, (256, 256), mode="bicubic").clamp(0, 1)
    # Texture coincides with an edge here and there; what has no colours to follow never does.
    pictures = {
        "flat": (torch.full((1, 256, 256, 3), 0.5), 1e-3),
        "grain": (0.5 + 0.03 * (torch.rand((1, 256, 256, 3), generator=generator) - 0.5), 1e-3),
        "texture": (texture.permute(0, 2, 3, 1), 0.02),
    }
    mask = blurred(small(alpha, 128), sigma)
    for name, (image, most) in pictures.items():
        plain = upsample_mask(mask, image, refine=False)
        assert edge_error(upsample_mask(mask, image), plain) < most, name
