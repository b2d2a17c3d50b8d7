"""Edges follow the colours on both sides of them where a mask is seen to err, and nowhere else."""

# Pins the inside of core.finish
# Pins the inside of core.local_colours
# Pins the inside of core.tiles
# Pins the inside of pictures.fields

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor

from rmbg_nodes.core import tiles
from rmbg_nodes.core.finish import to_size, upsample_mask
from rmbg_nodes.core.local_colours import follow_colours
from rmbg_nodes.core.types import Facts, Frame, Job, Matte, Outcome
from rmbg_nodes.pictures.fields import Origin
from rmbg_nodes.pipeline.finishing import Done, Finishing, finish
from rmbg_nodes.pipeline.inputs import Prepared

SIDE = 256
SUBJECT = torch.tensor([0.8, 0.6, 0.3])
BACKDROP = torch.tensor([0.2, 0.3, 0.5])


def picture(alpha: Tensor, subject: Tensor = SUBJECT) -> Tensor:
    """One subject before one backdrop, with a camera's noise: (1, H, W, 3)."""
    noise = torch.randn((*alpha.shape, 3), generator=torch.Generator().manual_seed(5)) * 2 / 255
    pixels = alpha[..., None] * subject + (1 - alpha[..., None]) * BACKDROP
    return (pixels + noise).clamp(0, 1)[None]


def tufts() -> Tensor:
    """A body, and six tufts of eight pixels that stand up from it."""
    alpha = torch.zeros(SIDE, SIDE)
    alpha[140:, 30:226] = 1
    for left in range(50, 210, 28):
        alpha[60:140, left : left + 8] = 1
    return alpha


def dotted(alpha: Tensor) -> Tensor:
    """As a network draws strands: every fourth stretch of 4 pixels is missing."""
    mask = alpha.clone()
    for top in range(68, 132, 16):
        mask[top : top + 4] = 0
    return mask


def mean_error(found: Tensor, alpha: Tensor, where: Tensor) -> float:
    return float((found - alpha)[where].abs().mean())


def test_a_dotted_strand_is_joined() -> None:
    alpha = tufts()
    mask = dotted(alpha)[None]
    missing = alpha != mask[0]
    found = upsample_mask(mask, picture(alpha), refine_same_size=True)[0]
    assert mean_error(mask[0], alpha, missing) == 1
    assert mean_error(found, alpha, missing) < 0.35


def test_alpha_falls_over_the_backdrop_between_strands() -> None:
    alpha = tufts()
    mask = alpha.clone()
    mask[137:140, 30:226] = 1  # the gaps are filled at their roots
    found = upsample_mask(mask[None], picture(alpha), refine_same_size=True)[0]
    filled = alpha != mask
    assert mean_error(mask, alpha, filled) == 1
    assert mean_error(found, alpha, filled) < 0.5


def test_an_outline_off_by_some_pixels_is_found() -> None:
    alpha = torch.zeros(SIDE, SIDE)
    alpha[80:180, 80:180] = 1
    mask = torch.zeros_like(alpha)
    mask[78:178, 82:182] = 1
    found = upsample_mask(mask[None], picture(alpha), refine_same_size=True)[0]
    wrong = alpha != mask
    assert mean_error(found, alpha, wrong) < 0.2
    assert torch.equal(found[~wrong][:1000], alpha[~wrong][:1000])


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.5])
def test_a_true_mask_stays(scale: float) -> None:
    alpha = tufts()
    side = int(SIDE * scale)
    mask = functional.interpolate(alpha[None, None], (side, side), mode="area")[0]
    plain = to_size(mask, "alpha", SIDE, SIDE)[0]
    followed = plain.clone()
    follow_colours(mask[0], picture(alpha)[0], followed)
    assert torch.equal(followed, plain)


def test_one_colour_on_both_sides_tells_nothing() -> None:
    alpha = tufts()
    mask = dotted(alpha)
    followed = mask.clone()
    follow_colours(mask, picture(alpha, BACKDROP + 0.01)[0], followed)
    assert float((followed - mask).abs().max()) < 0.1


def test_a_wide_doubt_is_no_edge() -> None:
    alpha = tufts()
    mask = dotted(alpha)
    # Planks behind, which the network half takes for the subject.
    image, planks = picture(alpha), slice(0, 50)
    image[0, planks] = BACKDROP
    image[0, 10:14] = image[0, 26:30] = SUBJECT
    mask[planks] = torch.linspace(0.3, 0.7, SIDE)
    followed = mask.clone()
    follow_colours(mask, image[0], followed)
    assert torch.equal(followed[:40], mask[:40])
    assert not torch.equal(followed, mask)


def test_a_landscape_smaller_than_the_mask_on_one_side_is_refined() -> None:
    alpha = tufts()[:192]
    mask = functional.interpolate(dotted(tufts())[None, None, :192], (240, 240), mode="area")[0]
    image = picture(alpha)
    plain = upsample_mask(mask, image, refine=False)[0]
    found = upsample_mask(mask, image)[0]
    missing = alpha != dotted(tufts())[:192]
    assert mean_error(found, alpha, missing) < 0.6 * mean_error(plain, alpha, missing)


def finished(mask: Tensor, pixels: Tensor, architecture: str) -> Tensor:
    facts = Facts("fake/local", "fake", "keyer", "cpu", 0.0, architecture=architecture)
    prepared = Prepared(Frame(0, pixels, "tufts"), None, None, torch.float32, (), Origin())
    outcome = Outcome(0, Matte(mask, "alpha", facts))
    done = finish(prepared, outcome, Finishing(refine=True), ("commercial", "a test"), Job())
    assert isinstance(done, Done)
    return done.mask


def test_a_network_is_refined_at_its_own_size_and_a_service_is_not() -> None:
    alpha = tufts()
    mask, pixels = dotted(alpha), picture(alpha)[0]
    assert torch.equal(finished(mask, pixels, ""), mask)
    missing = alpha != mask
    assert mean_error(finished(mask, pixels, "IS-Net"), alpha, missing) < 0.35


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = tufts()
    mask, image = dotted(alpha), picture(alpha)[0]
    whole, tiled = mask.clone(), mask.clone()
    follow_colours(mask, image, whole)
    monkeypatch.setattr(tiles, "_SIDE", {"cpu": 32})
    follow_colours(mask, image, tiled)
    assert torch.allclose(tiled, whole, atol=1e-3)
    assert not torch.equal(whole, mask)
