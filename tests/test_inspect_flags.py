"""Quality flags: measures of an alpha, and what they warn of."""

# Pins the inside of core.doubt
# Pins the inside of core.inspect

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from rmbg_nodes.core.doubt import Doubt
from rmbg_nodes.core.inspect import quality_flags, read_flags
from rmbg_nodes.core.report import kinds_of


def disc(side: int = 200, *, row: float = 0.0, column: float = 0.0, radius: float = 0.5) -> Tensor:
    axis = torch.linspace(-1, 1, side)
    distance = ((axis[:, None] - row) ** 2 + (axis[None] - column) ** 2).sqrt()
    return ((radius - distance) * side / 4 + 0.5).clamp(0, 1)


def test_a_good_mask_has_measures_and_no_warnings() -> None:
    flags = quality_flags(disc())
    assert flags.warnings == ()
    assert flags.coverage == pytest.approx(torch.pi * 0.25 / 4, abs=0.01)
    assert 0 < flags.uncertain < 0.05
    assert (flags.islands, flags.sides, flags.border) == (1, (), 0)
    assert flags.doubt < 0.3


def test_no_subject_and_nothing_removed() -> None:
    empty, full = quality_flags(torch.zeros(40, 60)), quality_flags(torch.ones(40, 60))
    assert (empty.worth_a_look["no_subject"], empty.worth_a_look["nothing_removed"]) == (
        True,
        False,
    )
    assert (full.worth_a_look["no_subject"], full.worth_a_look["nothing_removed"]) == (False, True)
    assert empty.warnings == ("no subject found",)
    assert "nothing was removed" in full.warnings[0]
    assert quality_flags(torch.full((40, 60), 0.3)).worth_a_look["no_subject"]


@pytest.mark.parametrize(
    ("place", "sides"),
    [
        ({"row": -0.9}, ("top",)),
        ({"row": 0.9}, ("bottom",)),
        ({"column": -0.9}, ("left",)),
        ({"row": 0.8, "column": 0.8}, ("bottom", "right")),
    ],
)
def test_the_sides_that_cut_the_subject_off(place, sides) -> None:
    flags = quality_flags(disc(**place))
    assert flags.worth_a_look["touches_border"]
    assert flags.sides == sides
    assert f"({', '.join(sides)})" in flags.warnings[0]


def test_uncertain_masks_and_masks_in_pieces() -> None:
    haze = quality_flags(disc() * 0.3 + 0.3)
    assert haze.worth_a_look["is_uncertain"]
    assert haze.uncertain == 1
    pieces = torch.zeros(200, 200)
    for row in range(10, 200, 40):
        for column in range(10, 200, 40):
            pieces[row : row + 20, column : column + 20] = 1
    flags = quality_flags(pieces)
    assert (flags.islands, flags.worth_a_look["in_pieces"]) == (25, True)
    assert flags.warnings[-1] == "the mask has 25 separate pieces"
    assert kinds_of(flags.warnings) == ("doubtful", "in-pieces")
    pieces[0, 0] = 1  # a speck is no piece
    assert quality_flags(pieces).islands == 25


def test_large_masks_are_counted_as_small_ones() -> None:
    assert quality_flags(disc(1500, radius=0.4)).islands == 1


def test_a_thin_stem_is_one_piece() -> None:
    """Large masks are counted at a smaller size, where every other pixel would be left out."""
    alpha = torch.zeros(1500, 1500)
    steps = torch.arange(1400)
    alpha[steps + 50, steps + 50] = 1
    assert quality_flags(alpha).islands == 1


def test_the_order_of_doubt() -> None:
    pieces = torch.cat([disc(), disc(radius=0.3)], dim=1)
    ordered = [
        torch.zeros(200, 200),
        disc() * 0.3 + 0.3,
        pieces,
        disc(row=0.8),
        disc(row=0.95, radius=0.2),
        disc(),
    ]
    doubts = [quality_flags(alpha).doubt for alpha in ordered]
    assert doubts == sorted(doubts, reverse=True)
    assert len(set(doubts)) == len(doubts)


def test_an_empty_and_a_full_mask_are_doubted_most() -> None:
    for alpha in (torch.zeros(40, 60), torch.ones(40, 60)):
        assert quality_flags(alpha).doubt == quality_flags(alpha).data()["doubt"] == 1


def test_a_doubtful_mask_is_said_with_the_number_and_the_reason() -> None:
    flags = quality_flags(disc(), Doubt(uncertain=0.1, loose=0.0, border=0.0, shared=0.9))
    assert flags.worth_a_look["is_doubtful"]
    (said,) = flags.warnings
    assert said == f"the mask may be wrong (doubt {flags.doubt:.2f}): {flags.signs.reason}"
    assert kinds_of(flags.warnings) == ("doubtful",)


@pytest.mark.parametrize("shared", [0.9, None])
def test_flags_are_read_as_they_were_written(shared: float | None) -> None:
    flags = quality_flags(
        disc(row=0.8), Doubt(uncertain=0.125, loose=0.25, border=0.5, shared=shared)
    )
    read = read_flags(flags.data())
    assert read is not None
    assert read.data() == flags.data()
    assert read.doubt == flags.doubt
    assert read_flags({**flags.data(), "signs": None}) is None


def test_the_data_is_json() -> None:
    data = quality_flags(disc(row=0.8)).data()
    assert json.loads(json.dumps(data)) == data
    assert data["sides"] == ["bottom"]
    assert data["touches_border"] is True


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_every_float(dtype: torch.dtype) -> None:
    assert quality_flags(disc().to(dtype)).islands == 1
