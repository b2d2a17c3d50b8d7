"""Translucent interiors: what becomes opaque, and what is see-through and stays."""

# Pins the inside of core.finish
# Pins the inside of core.solid

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rmbg_nodes.core.errors import BadOption
from rmbg_nodes.core.finish import to_size
from rmbg_nodes.core.solid import solid_interiors

HEIGHT, WIDTH = 192, 256
DARK, BRIGHT = torch.tensor([0.1, 0.2, 0.5]), torch.tensor([0.9, 0.7, 0.2])


def distance(row: float = 96, column: float = 128) -> Tensor:
    rows, columns = torch.arange(HEIGHT)[:, None] - row, torch.arange(WIDTH)[None] - column
    return (rows.square() + columns.square()).sqrt()


def disc(radius: float, row: float = 96, column: float = 128) -> Tensor:
    return (radius - distance(row, column)).clamp(0, 1)[None]


def picture(alpha: Tensor) -> Tensor:
    """A bright subject with this true alpha on a dark backdrop."""
    return alpha[..., None] * BRIGHT + (1 - alpha[..., None]) * DARK


def test_an_opaque_interior_that_the_mask_half_sees_becomes_opaque() -> None:
    subject = disc(70)
    mask = torch.minimum(subject, 1 - 0.7 * disc(40))
    result = solid_interiors(mask, picture(subject))
    assert bool((result[0][distance() < 60] == 1).all())
    assert bool((result[mask == 0] == 0).all())
    assert bool((result >= mask).all())


def test_a_subject_without_certain_parts_becomes_opaque_along_with_its_outline() -> None:
    subject = disc(70)
    result = solid_interiors(subject * 0.3, picture(subject))
    assert bool((result[0][distance() < 66] == 1).all())
    assert bool((result[subject == 0] == 0).all())


def test_a_subject_over_the_border_is_thick() -> None:
    subject = disc(70, row=192, column=0)
    result = solid_interiors(subject * 0.4, picture(subject))
    assert bool((result[0][distance(192, 0) < 64] == 1).all())


def test_a_thin_thing_stays() -> None:
    strip = torch.zeros(1, HEIGHT, WIDTH)
    strip[:, 90:110] = 1
    assert torch.equal(solid_interiors(strip * 0.4, picture(strip)), strip * 0.4)


def test_the_hole_of_a_ring_stays() -> None:
    ring = disc(80) - disc(30)
    assert torch.equal(solid_interiors(ring, picture(ring)), ring)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.7])
def test_glass_stays(alpha: float) -> None:
    whole = disc(70) * alpha
    framed = disc(80) - (1 - alpha) * disc(50)
    for mask in (whole, framed):
        assert torch.equal(solid_interiors(mask, picture(mask)), mask)


def test_smoke_stays() -> None:
    smoke = (0.8 - distance() / 100).clamp(0, 1)[None]
    assert torch.equal(solid_interiors(smoke, picture(smoke)), smoke)


def test_all_nothing_and_all_subject_stay() -> None:
    image = torch.rand(1, HEIGHT, WIDTH, 3)
    for mask in (torch.zeros(1, HEIGHT, WIDTH), torch.ones(1, HEIGHT, WIDTH)):
        assert solid_interiors(mask, image) is mask


def test_a_batch_equals_its_frames() -> None:
    masks = torch.cat([disc(70) * 0.3, disc(50), disc(80) * 0.6])
    images = picture(torch.cat([disc(70), disc(50), disc(80) * 0.6]))
    batch = solid_interiors(masks, images)
    single = [solid_interiors(masks[n : n + 1], images[n : n + 1]) for n in range(3)]
    assert torch.equal(batch, torch.cat(single))


def test_a_larger_picture_is_judged_alike() -> None:
    subject = to_size(disc(70), "alpha", 4 * HEIGHT, 4 * WIDTH)
    result = solid_interiors(subject * 0.3, picture(subject))
    assert bool((result[:, 300:468, 400:624] == 1).all())
    assert bool((result[subject == 0] == 0).all())


def test_sizes_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(BadOption, match="size"):
        solid_interiors(disc(40), torch.rand(1, 64, 64, 3))
