"""Which subject is meant: pieces told apart, touching ones cut, rough masks fitted, boxes drawn."""

# Pins the inside of core.coarse
# Pins the inside of core.subject

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rmbg_nodes import BadOption, BadPicture, remove_background
from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.core.coarse import fit_mask
from rmbg_nodes.core.subject import boxes_mask, keep_subject
from rmbg_nodes.core.types import Backend, Frame, Job
from rmbg_nodes.pipeline.gate import load
from rmbg_nodes.tests.conformance import BackendContract, disc_frame

HEIGHT, WIDTH = 240, 320
ROWS, COLUMNS = torch.meshgrid(
    torch.arange(float(HEIGHT)), torch.arange(float(WIDTH)), indexing="ij"
)


def disc(x: float, y: float, radius: float) -> Tensor:
    """Alpha (H, W) of a disc, one pixel soft."""
    return (radius - torch.hypot(COLUMNS - x, ROWS - y) + 0.5).clamp(0, 1)


def scene(*parts: tuple[Tensor, tuple[float, float, float]]) -> Tensor:
    """Paint parts one over the other on a backdrop with a slope: (1, H, W, 3)."""
    image = torch.stack([0.2 + COLUMNS / 2000, 0.25 + ROWS / 2000, 0.3 + 0 * ROWS], -1)
    for alpha, colour in parts:
        image = torch.lerp(image, torch.tensor(colour), alpha[..., None])
    return image[None]


def union(*alphas: Tensor) -> Tensor:
    return torch.stack(alphas).amax(0)[None]


RED, GREEN = (0.8, 0.2, 0.2), (0.2, 0.8, 0.3)


def test_what_lies_apart_is_dropped_and_the_rest_untouched() -> None:
    left, right = disc(80, 120, 40), disc(240, 120, 40)
    rough = disc(84, 116, 36)[None]
    kept = keep_subject(union(left, right), rough, scene((left, RED), (right, GREEN)))
    assert torch.equal(kept[0], left)


def test_what_touches_is_cut_where_the_picture_changes() -> None:
    left, right = disc(110, 120, 50), disc(200, 120, 50)
    truth = left * (1 - right)
    image = scene((left, RED), (right, GREEN))
    kept = keep_subject(union(left, right), disc(108, 120, 47)[None], image)[0]
    wrong = (kept - truth).abs()
    # Along the cut, 90 pixels long, less than three; in the middle of either nothing.
    assert wrong.sum() < 90 * 3
    assert wrong[120, 60:140].max() == 0
    assert kept[120, 180:].max() == 0


def test_hair_that_reaches_out_of_the_mask_stays() -> None:
    head = disc(160, 140, 50)
    hair = ((COLUMNS - 160).abs() < 1.5) & (ROWS > 10) & (ROWS < 140)
    wisp = ((COLUMNS - 130).abs() < 1.5) & (ROWS > 92) & (ROWS < 98)
    alpha = union(head, 0.7 * hair.float(), 0.4 * wisp.float())
    kept = keep_subject(alpha, disc(160, 140, 46)[None], scene((alpha[0], RED)))
    assert torch.equal(kept, alpha)


def test_a_mask_of_nothing_and_one_beside_everything_are_errors() -> None:
    alpha = disc(80, 120, 40)[None]
    image = scene((alpha[0], RED))
    with pytest.raises(BadPicture, match="points at nothing"):
        keep_subject(alpha, torch.zeros_like(alpha), image)
    with pytest.raises(BadPicture, match="found nothing where the subject mask is"):
        keep_subject(alpha, disc(280, 40, 20)[None], image)


def test_a_batch_equals_its_pictures_and_the_dtype_stays() -> None:
    left, right = disc(80, 120, 40), disc(240, 120, 40)
    image = scene((left, RED), (right, GREEN)).expand(2, -1, -1, -1)
    alpha = union(left, right).expand(2, -1, -1).half()
    rough = torch.stack([left, right])
    kept = keep_subject(alpha, rough, image)
    assert kept.dtype == torch.float16
    for number in range(2):
        one = slice(number, number + 1)
        assert torch.equal(kept[one], keep_subject(alpha[one], rough[one], image[one]))


def test_boxes_are_drawn_and_cut_at_the_picture() -> None:
    boxes = [{"x": -5, "y": 2, "width": 10, "height": 4, "score": 0.9}]
    mask = boxes_mask(boxes, 20, 30)
    assert mask.shape == (1, 20, 30)
    assert mask.sum() == 5 * 4
    assert mask[0, 2:6, :5].min() == 1
    assert boxes_mask([], 20, 30).sum() == 0


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ({"x": 1, "y": 2}, "needs the numbers"),
        ({"x": "a", "y": 2, "width": 3, "height": 4}, "needs the numbers"),
        ({"x": 40, "y": 2, "width": 3, "height": 4}, "has no area in a picture of 30 x 20"),
        ({"x": 1, "y": 2, "width": 0, "height": 4}, "has no area"),
    ],
)
def test_what_is_no_box_is_refused(box: dict[str, float], words: str) -> None:
    with pytest.raises(BadOption, match=words):
        boxes_mask([box], 20, 30)


def blocky(alpha: Tensor, side: int) -> Tensor:
    """Alpha (H, W) as a detector's coarse mask draws it: blocks of this side, 0 or 1."""
    means = torch.nn.functional.avg_pool2d(alpha[None, None], side)
    return (means > 0.5).float().repeat_interleave(side, 2).repeat_interleave(side, 3)[0]


@pytest.mark.parametrize("shift", [(0, 0), (6, -5)])
def test_a_rough_mask_comes_to_lie_on_the_outline(shift: tuple[int, int]) -> None:
    truth = union(disc(140, 110, 60), disc(220, 140, 30))
    rough = torch.roll(blocky(truth[0], 16), shift, (1, 2))
    fitted = fit_mask(rough, scene((truth[0], RED)), reach=16)
    assert (fitted - truth).abs().mean() < 0.05 * (rough - truth).abs().mean()


def test_a_picture_that_says_nothing_leaves_the_mask_near_where_it_was() -> None:
    rough = blocky(disc(160, 120, 60), 16)
    fitted = fit_mask(rough, torch.full((1, HEIGHT, WIDTH, 3), 0.5), reach=16)
    moved = (fitted > 0.5) != (rough > 0.5)
    inside = disc(160, 120, 30)[None] == 1
    outside = disc(160, 120, 95)[None] == 0
    assert fitted[inside].min() == 1
    assert fitted[outside].max() == 0
    assert moved.float().mean() < 0.1


@pytest.mark.parametrize("make", [torch.zeros, torch.ones])
def test_a_mask_without_an_outline_is_left_alone(make: Callable[..., Tensor]) -> None:
    mask = make(1, 30, 40)
    assert torch.equal(fit_mask(mask, torch.rand(1, 30, 40, 3), 16), mask)


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (3, 3), (9, 200)])
def test_no_size_is_too_small(size: tuple[int, int]) -> None:
    mask = torch.zeros(1, *size)
    mask[..., : max(size[1] // 2, 1)] = 1
    fitted = fit_mask(mask, torch.rand(1, *size, 3), 16)
    assert fitted.shape == mask.shape
    assert bool(((fitted >= 0) & (fitted <= 1)).all())


def test_a_thin_subject_does_not_vanish() -> None:
    stem = ((COLUMNS - 160).abs() < 4).float() * (ROWS > 20) * (ROWS < 220)
    rough = ((COLUMNS - 162).abs() < 6).float() * (ROWS > 20) * (ROWS < 220)
    fitted = fit_mask(rough[None], scene((stem, RED)), reach=16)[0]
    assert fitted[60:180, 160].min() > 0.5


def edges() -> Backend:
    return load(find("edges"), {"reach": 16}, PlainHost())


class TestEdges(BackendContract):
    @pytest.fixture
    def make(self) -> Callable[[], Backend]:
        return edges


def test_a_picture_without_a_mask_is_told_so_and_the_others_go_on() -> None:
    with_mask = disc_frame(0)
    without = Frame(1, with_mask.pixels, "shoe.jpg")
    first, second = edges().run([without, with_mask], Job())
    assert str(first.error).startswith("shoe.jpg has no subject mask")
    assert second.error is None


def test_python_takes_a_subject_and_the_report_says_so() -> None:
    left, right = disc(80, 120, 40), disc(240, 120, 40)
    image = scene((left, RED), (right, RED))[0]
    whole = remove_background(image, "keyer")
    one = remove_background(image, "keyer", subject=disc(80, 120, 36))
    assert whole.mask[120, 240] == one.mask[120, 80] == 1
    assert one.mask[:, 160:].max() == 0
    assert "only what the subject mask points at was kept" in one.reports[0].text()
    assert "subject mask" not in whole.reports[0].text()


def test_python_cuts_out_along_a_mask_of_another_kind_and_size() -> None:
    truth = disc(160, 120, 60)
    image = (scene((truth, RED))[0].numpy() * 255).round().astype(np.uint8)
    rough = (blocky(truth, 16)[0, ::2, ::2].numpy() * 255).astype(np.uint8)
    result = remove_background(image, "edges", subject=rough)
    assert isinstance(result.mask, np.ndarray)
    assert np.abs(result.mask / 255 - truth.numpy()).mean() < 0.005
    with pytest.raises(BadPicture, match="has no subject mask"):
        remove_background(image, "edges")
