"""The scene generator: what it says of a picture is true of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from rmbg_nodes.demo.product import product_shot
from rmbg_nodes.demo.scenes import KINDS, LOOKS, Kind, Look, render
from rmbg_nodes.demo.shapes import Scene


def composite(scene: Scene) -> np.ndarray:
    alpha = scene.alpha[..., None]
    return alpha * scene.foreground + (1 - alpha) * scene.background


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("look", LOOKS)
def test_the_image_is_the_composite_on_the_8_bit_grid(kind: Kind, look: Look):
    scene = render(kind, 3, (90, 120), look)
    for part in (scene.image, scene.foreground, scene.background):
        assert part.shape == (90, 120, 3)
        assert part.dtype == np.float32
        assert part.min() >= 0
        assert part.max() <= 1
    assert scene.alpha.shape == (90, 120)
    assert scene.alpha.dtype == np.float32
    levels = scene.image * 255
    assert np.abs(levels - np.rint(levels)).max() < 1e-4
    assert np.abs(scene.image - composite(scene)).max() <= 0.5 / 255 + 1e-5


def test_the_same_seed_makes_the_same_scene_and_another_another():
    first, again, other = (render("hair", seed, (80, 80)) for seed in (4, 4, 5))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.alpha, again.alpha)
    assert not np.array_equal(first.alpha, other.alpha)


def test_each_kind_has_its_edge():
    alphas = {kind: render(kind, 1, (256, 256)).alpha for kind in KINDS}
    partial = {kind: ((a > 0) & (a < 1)).sum() / (a > 0).sum() for kind, a in alphas.items()}
    assert partial["hard"] < 0.05
    assert partial["soft"] > 2 * partial["hard"]
    assert partial["hair"] > 3 * partial["hard"]
    assert partial["thin"] > 0.4
    glass = alphas["glass"]
    assert 0.3 <= glass.max() <= 0.7
    assert np.median(glass[glass > 0]) == glass.max()


def test_holes_show_the_backdrop():
    alpha = render("holes", 2, (256, 256)).alpha
    rows, columns = np.nonzero(alpha > 0.5)
    assert (alpha[rows.min() : rows.max(), int(columns.mean())] < 0.5).any() or (
        alpha[int(rows.mean()), columns.min() : columns.max()] < 0.5
    ).any()


def test_a_photograph_stands_behind_the_subject():
    photo = np.random.default_rng(0).random((60, 200, 3), np.float32)
    scene = render("hard", 1, (96, 64), photo)
    assert scene.background.shape == (96, 64, 3)
    assert scene.background.std() > 0.05
    assert not np.array_equal(scene.background, render("hard", 2, (96, 64), photo).background)


@pytest.mark.parametrize("size", [(120, 120), (90, 160), (160, 90)])
def test_the_product_shot_is_a_whole_jug_with_a_handle(size: tuple[int, int]):
    scene = product_shot(size)
    assert scene.image.shape == (*size, 3)
    assert np.abs(scene.image - composite(scene)).max() <= 0.5 / 255 + 1e-5
    for side in (scene.alpha[0], scene.alpha[-1], scene.alpha[:, 0], scene.alpha[:, -1]):
        assert side.max() == 0
    unit = min(size)
    middle, centre = size[0] // 2, size[1] // 2
    assert scene.alpha[middle + unit // 5, centre] == 1
    assert scene.alpha[middle, centre + unit // 6] == 0  # between jug and handle
    assert scene.alpha[middle, centre + unit // 4 - 2 : centre + unit // 4].max() == 1
