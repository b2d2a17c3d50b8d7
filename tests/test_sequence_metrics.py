"""dtSSD and MESSDdt on sequences computed by hand."""

from __future__ import annotations

import pytest
import torch

from rmbg_nodes.bench.sequence_metrics import dtssd, messddt
from rmbg_nodes.core.errors import BadPicture


def test_a_steady_error_costs_nothing_and_a_change_its_root_mean_square() -> None:
    truth = torch.zeros(3, 4, 5)
    assert dtssd(truth + 0.3, truth) == 0
    alpha = truth.clone()
    alpha[1, 0, 0] = 0.5  # comes and goes: two changes of 0.5 at 1 of 20 pixels
    assert dtssd(alpha, truth) == pytest.approx((0.25 / 20) ** 0.5)


def test_an_error_that_moves_with_the_picture_costs_nothing_along_the_motion() -> None:
    truth = torch.zeros(2, 6, 10)
    alpha = truth.clone()
    alpha[0, 2, 3] = 0.5
    alpha[1, 2, 5] = 0.5
    along = torch.zeros(1, 2, 6, 10)
    along[:, 0] = 2
    assert messddt(alpha, truth, along) == pytest.approx(0, abs=1e-7)
    # Without the motion it goes at one place and comes at another.
    assert messddt(alpha, truth, torch.zeros_like(along)) == pytest.approx(2 * 0.25 / 60)


def test_a_cut_is_left_out_and_odd_sequences_are_refused() -> None:
    truth = torch.zeros(3, 4, 4)
    alpha = truth.clone()
    alpha[2] = 1
    motions = torch.zeros(2, 2, 4, 4)
    motions[1] = float("nan")
    assert messddt(alpha, truth, motions) == 0
    with pytest.raises(BadPicture, match="cut"):
        messddt(alpha[1:], truth[1:], motions[1:])
    with pytest.raises(BadPicture, match="two frames"):
        dtssd(truth[:1], truth[:1])
