"""How far a mask is to be doubted, by its signs and by pictures made for each of them."""

# Pins the inside of core.doubt
# Pins the inside of core.inspect

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rmbg_nodes.core.doubt import Doubt, doubt_of, read_doubt
from rmbg_nodes.core.inspect import DOUBTFUL
from rmbg_nodes.core.report import JsonValue

RED, GREY, BLUE = (
    torch.tensor(colour) for colour in ((0.8, 0.2, 0.1), (0.5,) * 3, (0.1, 0.2, 0.8))
)


def disc(side: int = 256, *, radius: float = 0.5, soft: float = 4.0, column: float = 0.0) -> Tensor:
    """Alpha with an edge of about `soft` pixels."""
    axis = torch.linspace(-1, 1, side)
    distance = (axis[:, None] ** 2 + (axis[None] - column) ** 2).sqrt()
    return ((radius - distance) * side / 2 / soft + 0.5).clamp(0, 1)


def picture(alpha: Tensor, subject: Tensor, behind: Tensor) -> Tensor:
    return alpha[..., None] * subject + (1 - alpha[..., None]) * behind


def test_more_uncertain_area_is_more_doubt() -> None:
    image = picture(disc(), RED, GREY)
    doubts = [doubt_of(disc(soft=soft), image).value for soft in (2, 8, 32, 128)]
    assert doubts == sorted(doubts)
    assert doubts[0] < 0.1
    assert doubts[-1] > 0.5


def test_a_translucent_subject_is_doubted_and_a_solid_one_is_not() -> None:
    image = picture(disc(), RED, GREY)
    doubts = [doubt_of(disc() * level, image).value for level in (1.0, 0.9, 0.75, 0.6)]
    assert doubts == sorted(doubts)
    assert doubts[-1] > 3 * doubts[0]


def test_more_of_the_subject_in_other_pieces_is_more_doubt() -> None:
    doubts = []
    for radius in (0.0, 0.05, 0.08, 0.12, 0.15):
        second = disc(radius=radius) if radius else torch.zeros(256, 256)
        alpha = torch.cat([disc(), second], dim=1)
        doubts.append(doubt_of(alpha, picture(alpha, RED, GREY)).value)
    assert doubts == sorted(doubts)
    assert len(set(doubts)) == len(doubts)


def test_two_of_a_kind_are_doubted_and_still_not_called_wrong() -> None:
    """Two shoes are one subject: pieces alone are no reason to expect the worst."""
    alpha = torch.cat([disc(), disc()], dim=1)
    one, two = (doubt_of(mask, picture(mask, RED, GREY)).value for mask in (disc(), alpha))
    assert one < two < DOUBTFUL


def test_more_of_the_border_is_more_doubt() -> None:
    masks = [disc(column=column) for column in (0.0, 0.6, 0.8, 1.0)]
    doubts = [doubt_of(alpha, picture(alpha, RED, GREY)).value for alpha in masks]
    assert doubts == sorted(doubts)
    assert len(set(doubts)) == len(doubts)


def test_a_subject_whose_colours_go_on_around_it_is_doubted() -> None:
    """The mask holds half of a disc, the other half stays behind; so does a subject of one colour
    with what it stands before."""
    whole = disc()
    half = whole.clone()
    half[:, 128:] = 0
    image = picture(whole, RED, GREY)
    assert doubt_of(half, image).value > 2 * doubt_of(whole, image).value
    assert doubt_of(whole, picture(whole, GREY, GREY)).value > 0.5


def test_without_a_picture_the_mask_alone_decides() -> None:
    alone, beside = doubt_of(disc(soft=40)), doubt_of(disc(soft=40), picture(disc(), RED, BLUE))
    assert alone.shared is None
    assert (alone.uncertain, alone.loose) == (beside.uncertain, beside.loose)
    assert beside.value < alone.value < doubt_of(disc(soft=40), torch.zeros(256, 256, 3)).value


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_mask_of_one_value_has_nothing_to_compare(level: float) -> None:
    doubt = doubt_of(torch.full((60, 90), level), torch.rand(60, 90, 3))
    assert doubt.shared == 1
    assert doubt.value > 0.5


def test_sizes_and_shapes_hardly_matter() -> None:
    """A network's square mask of a wide picture, and the picture four times as large."""
    values = []
    for height, width, side in ((200, 300, 256), (800, 1200, 1024), (133, 200, 97)):
        axes = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None]
        truth = ((axes[0] ** 2 + axes[1] ** 2).sqrt() < 0.6).float()
        mask = disc(side, radius=0.6, soft=side / 64)
        values.append(doubt_of(mask, picture(truth, RED, GREY)).value)
    assert max(values) - min(values) < 0.05


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float(dtype: torch.dtype) -> None:
    alpha = disc(soft=30)
    image = picture(alpha, RED, GREY)
    assert doubt_of(alpha.to(dtype), image).value == pytest.approx(
        doubt_of(alpha, image).value, abs=0.02
    )


def test_tiny_pictures_are_judged_too() -> None:
    assert 0 <= doubt_of(torch.ones(1, 1), torch.rand(1, 1, 3)).value <= 1
    assert 0 <= doubt_of(torch.eye(3), torch.rand(3, 3, 3)).value <= 1
    assert 0 <= doubt_of(torch.rand(3, 900), torch.rand(3, 900, 3)).value <= 1


def test_the_reason_is_the_sign_that_adds_most() -> None:
    assert "neither" in Doubt(0.9, 0.0, 0.0, 0.1).reason
    assert "pieces" in Doubt(0.0, 0.9, 0.0, None).reason
    assert "border" in Doubt(0.0, 0.0, 0.9, 0.1).reason
    assert "colours" in Doubt(0.1, 0.0, 0.0, 0.9).reason


def test_the_data_are_read_as_written() -> None:
    for doubt in (Doubt(0.5, 0.25, 0.75, 0.125), Doubt(0.5, 0.25, 0.0, None)):
        assert read_doubt(doubt.data()) == doubt
    whole = Doubt(0.5, 0.25, 0.75, 0.125).data()
    others: tuple[JsonValue, ...] = (None, {}, {**whole, "loose": "much"}, {"uncertain": 1})
    for other in others:
        assert read_doubt(other) is None
