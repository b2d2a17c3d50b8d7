"""How close an alpha is to the true one, by the measures that papers on segmentation report.

The region measures (IoU, pixel accuracy, F-measure, S-measure) are defined on a truth of yes and
no: a soft truth counts as subject above one half. The mean absolute error takes it as it is.
Nothing is stretched to 0..1 first, as some evaluation scripts do: that would score another picture
than the user gets.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import check_values
from .errors import BadPicture

HALF = 0.5
#: Weight of precision against recall (Achanta et al. 2009).
BETA_SQUARED = 0.3
#: The F-measure is taken at alpha >= 1/255, 2/255, ..., 1: every cut that 8 bits can tell apart.
THRESHOLDS = 255
# An alpha of k/255 in float32 may lie this far, in levels, below the threshold that it equals.
_ROUNDING = 1e-3
# Share of the object's score in the S-measure, the rest is the regions'.
_OBJECT_SHARE = 0.5


@dataclass(frozen=True)
class Scores:
    """One picture's measures, all in 0..1; `mae` is best at 0, the others at 1."""

    iou: float
    accuracy: float
    mae: float
    max_f: float
    s_measure: float


def score(alpha: Tensor, truth: Tensor) -> Scores:
    """Take every measure of one alpha; both (H, W) float in 0..1. Raises BadPicture for anything
    else and for two sizes."""
    return Scores(
        iou=iou(alpha, truth),
        accuracy=pixel_accuracy(alpha, truth),
        mae=mean_absolute_error(alpha, truth),
        max_f=float(f_curve(alpha, truth).max()),
        s_measure=s_measure(alpha, truth),
    )


def iou(alpha: Tensor, truth: Tensor) -> float:
    """Return intersection over union, |A and T| / |A or T|, of what is above one half in each
    (Jaccard 1901). 1 when there is nothing in either."""
    check_pair(alpha, truth)
    found, there = alpha > HALF, truth > HALF
    either = int((found | there).sum())
    return int((found & there).sum()) / either if either else 1.0


def pixel_accuracy(alpha: Tensor, truth: Tensor) -> float:
    """Return the share of pixels that lie on the same side of one half in both."""
    check_pair(alpha, truth)
    return int(((alpha > HALF) == (truth > HALF)).sum()) / truth.numel()


def mean_absolute_error(alpha: Tensor, truth: Tensor) -> float:
    """Return the mean of |alpha - truth| over the pixels (Perazzi et al. 2012, "Saliency Filters");
    a soft truth counts as it is."""
    check_pair(alpha, truth)
    return float((alpha.double() - truth.double()).abs().mean())


def f_curve(alpha: Tensor, truth: Tensor) -> Tensor:
    """Return the F-measure at every threshold; the best of them is the "max F-measure".

    Achanta et al. 2009, "Frequency-tuned Salient Region Detection", with beta^2 = 0.3:
    F = (1 + beta^2) P R / (beta^2 P + R), P = precision and R = recall of alpha >= k / 255.

    Returns (255,) float64, k = 1 first. 0 where nothing true is found. A truth without a subject
    has no recall: then all are 1 for an alpha that finds nothing at any threshold, else all 0.
    """
    check_pair(alpha, truth)
    there = truth > HALF
    total = int(there.sum())
    levels = (alpha.float() * THRESHOLDS + _ROUNDING).to(torch.uint8)  # rounds down
    found = _at_least(levels)
    if total == 0:
        return torch.full_like(found, float(found[0] == 0))
    hits = _at_least(levels[there])
    # P = hits / found and R = hits / total, put into F and freed of the divisions by zero.
    return ((1 + BETA_SQUARED) * hits / (BETA_SQUARED * total + found)).clamp(max=1)


def s_measure(alpha: Tensor, truth: Tensor) -> float:
    """Return the structure measure, S = 0.5 S_object + 0.5 S_region (Fan et al. 2017,
    "Structure-measure: A New Way to Evaluate Foreground Maps"), never below 0.

    A truth without a subject scores 1 - mean(alpha), one without a background mean(alpha), as in
    the authors' program.
    """
    check_pair(alpha, truth)
    values, there = alpha.double(), (truth > HALF).double()
    share = float(there.mean())
    if share == 0:
        return 1 - float(values.mean())
    if share == 1:
        return float(values.mean())
    structure = _OBJECT_SHARE * _object_score(values, there, share)
    structure += (1 - _OBJECT_SHARE) * _region_score(values, there)
    return max(0.0, structure)


def check_pair(alpha: Tensor, truth: Tensor) -> None:
    """Raise BadPicture unless both are (H, W) floats in 0..1 of the same size."""
    for values, name in ((alpha, "prediction"), (truth, "truth")):
        check_values(values, name)
        low, high = torch.aminmax(values)
        if values.ndim != 2 or float(low) < 0 or float(high) > 1:
            raise BadPicture(
                f"The {name} must be one height x width alpha in 0..1; it has the shape "
                f"{tuple(values.shape)} and values from {float(low):.3g} to {float(high):.3g}."
            )
    if alpha.shape != truth.shape:
        sizes = [f"{size[1]} x {size[0]}" for size in (alpha.shape, truth.shape)]
        raise BadPicture(f"The prediction has {sizes[0]} pixels and the truth {sizes[1]}.")


def _at_least(levels: Tensor) -> Tensor:
    """Count how many levels are >= 1, >= 2, ..., >= 255; (255,) float64."""
    counts = torch.bincount(levels.flatten(), minlength=THRESHOLDS + 1)
    return counts.flip(0).cumsum(0).flip(0)[1:].double()


def _object_score(alpha: Tensor, there: Tensor, share: float) -> float:
    """Score the object: inside the subject alpha, outside of it 1 - alpha, should be 1 and even."""
    subject, background = alpha[there == 1], 1 - alpha[there == 0]
    return share * _evenly_one(subject) + (1 - share) * _evenly_one(background)


def _evenly_one(values: Tensor) -> float:
    """Return 2 m / (m^2 + 1 + s), m = mean, s = deviation (of a sample, as the authors')."""
    mean = float(values.mean())
    deviation = float(values.std()) if values.numel() > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + deviation)


def _region_score(alpha: Tensor, there: Tensor) -> float:
    """Return the four quarters that meet at the subject's centre of mass, by their area."""
    height, width = there.shape
    total = float(there.sum())
    row = float(there.sum(dim=1) @ _numbers(height, there)) / total
    column = float(there.sum(dim=0) @ _numbers(width, there)) / total
    # The row and column of the centre belong to the upper and left quarters.
    below, right = round(row) + 1, round(column) + 1
    score = 0.0
    for rows in (slice(0, below), slice(below, height)):
        for columns in (slice(0, right), slice(right, width)):
            part, part_there = alpha[rows, columns], there[rows, columns]
            if part.numel():
                score += part.numel() / there.numel() * _similarity(part, part_there)
    return score


def _numbers(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=like.dtype, device=like.device)


def _similarity(values: Tensor, there: Tensor) -> float:
    """Return the structural similarity of one quarter, 4 x y s_xy / ((x^2 + y^2) (s_x^2 + s_y^2))
    without the constants of Wang et al. 2004: 1 where both are constant, 0 where only one is."""
    x, from_x = _centred(values)
    y, from_y = _centred(there)
    degrees = max(1, values.numel() - 1)
    both = float((from_x * from_y).sum()) / degrees
    above = 4 * x * y * both
    below = (x * x + y * y) * float((from_x.square() + from_y.square()).sum()) / degrees
    if below == 0:
        return 1.0
    return above / below


def _centred(values: Tensor) -> tuple[float, Tensor]:
    """Return the mean and the distances from it. Taken from the first value on, so that the
    distances in a constant region are exactly 0 and not rounding, of which a quotient would be
    made."""
    first = values[0, 0]
    offsets = values - first
    mean = offsets.mean()
    return float(first + mean), offsets - mean
