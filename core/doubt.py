"""How far a mask can be trusted, by what the mask and the picture show; the truth is not at hand.

Each of four signs may be the reason why a mask is wrong, and they add up as independent chances do:
doubt = 1 - exp(-sum of what each adds). What they add was fitted to photographs with a true mask
(docs/quality.md), where the doubt is the chance that mask and truth overlap (IoU) by less than 0.9.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from .layout import to_pixels, to_planes
from .morphology import EIGHT_NEIGHBOURS, Plane, Region
from .report import JsonValue

#: Longest side at which mask and picture are looked at, in pixels.
_SIDE = 256
#: Below it a pixel is background, without a doubt.
_CLEAR = 0.1
#: Levels of a channel that count as one colour each.
_LEVELS = 8
#: How far around the subject its surroundings reach, in pixels of _SIDE.
_NEAR = 12
_DIGITS = 4

# Sign -> what it adds to the exponent, and why a mask with it may be wrong. Pieces add little more
# than a stray find does (two shoes are one subject), and the border little (as in every portrait).
_ADDS: dict[str, Callable[[float], float]] = {
    "uncertain": lambda share: 7.0 * share**2,
    "shared": lambda share: 1.5 * share**2,
    "loose": lambda share: 6.0 * min(share, 0.1),
    "border": lambda share: 0.5 * share,
}
_REASONS = {
    "uncertain": "much of it is neither subject nor background",
    "shared": "the subject's colours are around it too",
    "loose": "the subject is in pieces",
    "border": "the picture's border cuts the subject",
}
# Where there is no picture beside the mask: what this sign is on the middle photograph.
_USUAL_SHARE = 0.25


@dataclass(frozen=True)
class Doubt:
    """The signs that a mask may be wrong, each 0..1."""

    uncertain: float
    """What would be wrong of the subject if alpha were the chance that a pixel belongs to it."""
    loose: float
    """What of the subject's area lies outside its largest piece."""
    border: float
    """What the subject covers of the picture's four sides."""
    shared: float | None
    """How alike the colours of the subject and of its surroundings are; None without a picture."""

    @property
    def value(self) -> float:
        """Return the doubt, 0..1."""
        return 1 - math.exp(-sum(self._added().values()))

    @property
    def reason(self) -> str:
        """Return what adds most to it, as words."""
        added = self._added()
        return _REASONS[max(added, key=added.__getitem__)]

    def data(self) -> dict[str, JsonValue]:
        """Return the signs for programs."""
        signs = asdict(self)
        return {
            name: sign if sign is None else round(sign, _DIGITS) for name, sign in signs.items()
        }

    def _added(self) -> dict[str, float]:
        signs = {**asdict(self), "shared": _USUAL_SHARE if self.shared is None else self.shared}
        return {name: adds(signs[name]) for name, adds in _ADDS.items()}


def read_doubt(data: JsonValue) -> Doubt | None:
    """Read what `Doubt.data` has written; None where this is something else."""
    if not isinstance(data, dict):
        return None
    signs = [data.get(name) for name in ("uncertain", "loose", "border")]
    uncertain, loose, border = (sign if isinstance(sign, (int, float)) else None for sign in signs)
    if uncertain is None or loose is None or border is None:
        return None
    shared = data.get("shared")
    return Doubt(uncertain, loose, border, shared if isinstance(shared, (int, float)) else None)


def doubt_of(alpha: Tensor, pixels: Tensor | None = None) -> Doubt:
    """Look at a mask (h, w) in 0..1 and, where it is there, at the picture (H, W, 3) that it is of.

    On any device; the sizes may differ: both are reduced to the same small one, the picture's.
    """
    height, width = alpha.shape if pixels is None else pixels.shape[:2]
    reduction = max(1.0, max(height, width) / _SIDE)
    size = (max(1, round(height / reduction)), max(1, round(width / reduction)))
    values = _reduced(alpha[..., None], size)[..., 0]
    subject = values > 0.5
    return Doubt(
        uncertain=_uncertain(values, subject),
        loose=_loose(subject),
        border=_border(values),
        shared=None if pixels is None else _shared(_reduced(pixels, size), values, subject),
    )


def _reduced(picture: Tensor, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    planes = to_planes(picture.detach()[None].float())
    return to_pixels(functional.interpolate(planes, size, mode="area"))[0].cpu().numpy()


def _uncertain(values: Plane, subject: Region) -> float:
    wrong = float(np.minimum(values, 1 - values).sum())
    either = float(np.maximum(values, subject).sum())
    return wrong / either if either else 0.0


def _loose(subject: Region) -> float:
    labels, _ = ndimage.label(subject, EIGHT_NEIGHBOURS)
    areas = np.bincount(labels.ravel())[1:]
    return 1 - float(areas.max() / areas.sum()) if len(areas) else 0.0


def _border(values: Plane) -> float:
    sides = (values[0], values[-1], values[:, 0], values[:, -1])
    return float(np.concatenate(sides).mean())


def _shared(colours: npt.NDArray[np.float32], values: Plane, subject: Region) -> float:
    """Bhattacharyya's coefficient of the two histograms; 1 where there is nothing to compare."""
    window = 2 * _NEAR + 1
    around = (values < _CLEAR) & ndimage.maximum_filter(subject, window)
    if not subject.any() or not around.any():
        return 1.0
    levels = np.minimum((colours * _LEVELS).astype(np.intp), _LEVELS - 1)
    codes = (levels[..., 0] * _LEVELS + levels[..., 1]) * _LEVELS + levels[..., 2]
    inside, outside = (
        np.bincount(codes[region], minlength=_LEVELS**3) / np.count_nonzero(region)
        for region in (subject, around)
    )
    return float(np.sqrt(inside * outside).sum())
