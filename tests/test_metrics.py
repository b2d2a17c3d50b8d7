"""The measures against written-out definitions and cases computed by hand."""

# Pins the inside of core.metrics

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.core.metrics import (
    f_curve,
    iou,
    mean_absolute_error,
    pixel_accuracy,
    s_measure,
    score,
)

EMPTY, FULL = torch.zeros(6, 8), torch.ones(6, 8)


def pair(
    seed: int, height: int = 13, width: int = 17, levels: bool = True
) -> tuple[Tensor, Tensor]:
    """A truth of yes and no and a prediction that resembles it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    middle, reach = random.uniform(2, 10, 2), random.uniform(2, 6)
    truth = (np.hypot(y - middle[0], x - middle[1]) < reach).astype(np.float32)
    alpha = np.clip(0.7 * truth + random.uniform(0, 0.5, truth.shape), 0, 1)
    alpha = np.round(alpha * 255) / 255 if levels else alpha
    return torch.from_numpy(alpha.astype(np.float32)), torch.from_numpy(truth)


def half(value: float = 1.0) -> Tensor:
    """Four by four, the left half of this value."""
    picture = torch.zeros(4, 4)
    picture[:, :2] = value
    return picture


def test_iou_and_accuracy_by_hand() -> None:
    wider = torch.zeros(4, 4)
    wider[:, :3] = 1
    assert iou(wider, half()) == 8 / 12
    assert pixel_accuracy(wider, half()) == 12 / 16
    assert iou(1 - half(), half()) == 0
    assert pixel_accuracy(1 - half(), half()) == 0
    assert iou(half(0.5), half()) == 0  # one half itself is not above it
    assert iou(half(0.51), half()) == 1


def test_mae_takes_a_soft_truth_as_it_is() -> None:
    assert mean_absolute_error(half(0.25), half(0.75)) == 0.25
    assert mean_absolute_error(half(), half()) == 0
    assert mean_absolute_error(EMPTY, FULL) == 1


def test_f_by_hand() -> None:
    alpha = half(0.8)
    alpha[0, 3] = 0.4  # one wrong pixel, of less alpha
    curve = f_curve(alpha, half())
    # Up to 0.4: precision 8/9, recall 1. Up to 0.8: both 1. Above: nothing.
    assert curve[101].item() == pytest.approx(1.3 * (8 / 9) / (0.3 * 8 / 9 + 1), rel=1e-12)
    assert curve[102].item() == 1
    assert curve[203].item() == 1
    assert curve[204].item() == 0


@pytest.mark.parametrize("seed", range(4))
def test_f_against_its_definition(seed: int) -> None:
    alpha, truth = pair(seed)
    levels, there = (alpha.double() * 255).round().int(), truth.bool()
    for k, value in enumerate(f_curve(alpha, truth).tolist(), start=1):
        found = levels >= k
        hits = int((found & there).sum())
        if hits == 0:
            assert value == 0
            continue
        precision, recall = hits / int(found.sum()), hits / int(there.sum())
        assert value == pytest.approx(1.3 * precision * recall / (0.3 * precision + recall))


def test_every_eight_bit_level_meets_its_own_threshold() -> None:
    for k in range(1, 256):
        alpha = half(k / 255)
        curve = f_curve(alpha, half())
        assert int((curve == 1).sum()) == k


def written_out_s_measure(alpha: np.ndarray, truth: np.ndarray) -> float:
    """Fan et al. 2017, pixel by pixel."""
    height, width = truth.shape
    pixels = [(i, j) for i in range(height) for j in range(width)]
    inside = [p for p in pixels if truth[p] == 1]
    outside = [p for p in pixels if truth[p] == 0]

    def object_part(values: list[float]) -> float:
        mean = math.fsum(values) / len(values)
        spread = math.fsum((v - mean) ** 2 for v in values) / max(1, len(values) - 1)
        return 2 * mean / (mean**2 + 1 + math.sqrt(spread))

    mu = len(inside) / len(pixels)
    s_object = mu * object_part([float(alpha[p]) for p in inside])
    s_object += (1 - mu) * object_part([1 - float(alpha[p]) for p in outside])

    cut_y = round(sum(i for i, _ in inside) / len(inside)) + 1
    cut_x = round(sum(j for _, j in inside) / len(inside)) + 1
    s_region = 0.0
    for upper in (True, False):
        for left in (True, False):
            part = [p for p in pixels if (p[0] < cut_y) == upper and (p[1] < cut_x) == left]
            if not part:
                continue
            n = len(part)
            xs, ys = [float(alpha[p]) for p in part], [float(truth[p]) for p in part]
            x, y = math.fsum(xs) / n, math.fsum(ys) / n
            flat_x, flat_y = len(set(xs)) == 1, len(set(ys)) == 1
            if flat_x and flat_y:
                ssim = 1.0
            elif flat_x or flat_y:
                ssim = 0.0
            else:
                var_x = math.fsum((v - x) ** 2 for v in xs) / (n - 1)
                var_y = math.fsum((v - y) ** 2 for v in ys) / (n - 1)
                cov = math.fsum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / (n - 1)
                # As a product: luminance, contrast and structure.
                luminance = 2 * x * y / (x**2 + y**2)
                contrast = 2 * math.sqrt(var_x * var_y) / (var_x + var_y)
                ssim = luminance * contrast * cov / math.sqrt(var_x * var_y)
            s_region += n / len(pixels) * ssim
    return max(0.0, 0.5 * s_object + 0.5 * s_region)


@pytest.mark.parametrize("seed", range(12))
def test_s_measure_against_its_definition(seed: int) -> None:
    alpha, truth = pair(seed, levels=bool(seed % 2))
    expected = written_out_s_measure(alpha.double().numpy(), truth.double().numpy())
    assert s_measure(alpha, truth) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_s_measure_of_flat_quarters_and_corners(seed: int) -> None:
    """Constant quarters, a subject in the last corner (empty quarters), a subject of one pixel."""
    alpha, truth = pair(seed)
    corner = torch.zeros_like(truth)
    corner[-1 - seed :, -1:] = 1
    for prediction in (alpha, torch.full_like(truth, 0.8), corner * 0.3, truth):
        for there in (truth, corner):
            expected = written_out_s_measure(prediction.double().numpy(), there.double().numpy())
            assert s_measure(prediction, there) == pytest.approx(expected, abs=1e-12)


def test_a_constant_prediction_by_hand() -> None:
    # Object: 2 * 0.5 / (0.25 + 1) = 0.8 inside and outside. The centre is column 0 (0.5, rounded to
    # even): column 0, a quarter of the area, is constant in both, 1; the rest only in one, 0.
    alpha, truth = torch.full((4, 4), 0.5), half()
    assert s_measure(alpha, truth) == pytest.approx(0.5 * 0.8 + 0.5 * 0.25, abs=1e-12)


def test_perfect_is_perfect() -> None:
    _, truth = pair(1)
    scores = score(truth, truth)
    assert (scores.iou, scores.accuracy, scores.mae, scores.max_f) == (1, 1, 0, 1)
    assert scores.s_measure == pytest.approx(1, abs=1e-12)
    assert score(1 - truth, truth).s_measure < 0.1


@pytest.mark.parametrize(
    ("alpha", "truth", "expected"),
    [
        (EMPTY, EMPTY, (1, 1, 0, 1, 1)),
        (FULL, EMPTY, (0, 0, 1, 0, 0)),
        (EMPTY, FULL, (0, 0, 1, 0, 0)),
        (FULL, FULL, (1, 1, 0, 1, 1)),
        (torch.full((6, 8), 0.25), EMPTY, (1, 1, 0.25, 0, 0.75)),
        (torch.full((6, 8), 0.25), FULL, (0, 0, 0.75, 1, 0.25)),
    ],
    ids=["nothing", "all wrong", "all missed", "all", "haze on nothing", "haze on all"],
)
def test_pictures_without_subject_or_background(
    alpha: Tensor, truth: Tensor, expected: tuple[float, ...]
) -> None:
    scores = score(alpha, truth)
    measured = (scores.iou, scores.accuracy, scores.mae, scores.max_f, scores.s_measure)
    assert measured == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("alpha", "truth", "words"),
    [
        (torch.zeros(4, 5), torch.zeros(5, 4), "5 x 4 pixels and the truth 4 x 5"),
        (torch.zeros(4, 4, 1), torch.zeros(4, 4), "prediction must be one height x width"),
        (torch.full((4, 4), 1.5), torch.zeros(4, 4), "values from 1.5"),
        (torch.full((4, 4), float("nan")), torch.zeros(4, 4), "NaN"),
        (torch.zeros(0, 4), torch.zeros(0, 4), "empty"),
        (torch.zeros(4, 4), torch.zeros(4, 4, dtype=torch.uint8), "divide 8-bit"),
    ],
)
def test_what_cannot_be_compared_is_refused(alpha: Tensor, truth: Tensor, words: str) -> None:
    with pytest.raises(BadPicture, match=words):
        score(alpha, truth)
