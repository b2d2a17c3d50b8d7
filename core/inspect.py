"""What is worth a second look in a finished matte: as numbers, and as the report's warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .doubt import Doubt, doubt_of, read_doubt
from .report import NO_SUBJECT, JsonValue, Remark

#: Share of the picture below which there is no subject worth the name.
_EMPTY_SHARE = 1e-4
#: Share of the four borders that a subject may cover before it counts as cut off by the frame.
_BORDER_SHARE = 0.02
#: Share of the subject's area that may be neither clearly subject nor clearly background.
_UNCERTAIN_SHARE = 0.30
#: Separate pieces, each above a ten-thousandth of the picture.
_MANY_ISLANDS = 12
_ISLAND_SHARE = 1e-4
#: Longest side at which pieces are counted; an island that counts is five pixels wide there.
_ISLAND_SIDE = 512
_DIGITS = 5
#: A mask that is more likely wrong than not.
DOUBTFUL = 0.5
#: A subject enlarged less than this does not look soft.
_ENLARGED = 1.25


@dataclass(frozen=True)
class QualityFlags:
    """Measures of one alpha; shares are of the picture's area unless they say otherwise."""

    coverage: float
    """Alpha above 0.5: the subject."""
    uncertain: float
    """Alpha between 0.1 and 0.9."""
    islands: int
    """The subject's separate pieces, specks left aside."""
    sides: tuple[str, ...]
    """Of "top", "bottom", "left" and "right", those that the subject covers to more than 2 %."""
    border: float
    """What it covers of all four together."""
    signs: Doubt
    """That the mask may be wrong, as the model gave it."""
    enlarged: float = 1.0
    """How many times larger the subject was made for its canvas; 1 where it was not."""

    @property
    def worth_a_look(self) -> dict[str, bool]:
        """Tell what of these measures a person should look at."""
        empty = self.coverage < _EMPTY_SHARE
        many = _UNCERTAIN_SHARE * max(self.coverage, self.uncertain)
        return {
            "no_subject": empty,
            "nothing_removed": self._nothing_removed,
            "touches_border": not empty and self.coverage < 1 and self.border > _BORDER_SHARE,
            "is_uncertain": self.uncertain > many,
            "in_pieces": self.islands > _MANY_ISLANDS,
            "is_doubtful": self.doubt > DOUBTFUL,
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return sentences (without a full stop) for the report; none when all is well."""
        worth = self.worth_a_look
        if worth["no_subject"]:
            return (Remark("no subject found", NO_SUBJECT),)
        if worth["nothing_removed"]:
            said = "nothing was removed, the whole picture is subject"
            return (Remark(said, "nothing-removed"),)
        sides = ", ".join(self.sides)
        found: list[Remark] = []
        if worth["is_doubtful"]:
            wrong = f"the mask may be wrong (doubt {self.doubt:.2f}): {self.signs.reason}"
            found.append(Remark(wrong, "doubtful"))
        if worth["touches_border"]:
            border = f"the subject touches the picture's border ({sides})"
            found.append(Remark(border, "touches-border"))
        if worth["is_uncertain"]:
            found.append(Remark(f"{self.uncertain:.0%} of the picture is uncertain", "uncertain"))
        if worth["in_pieces"]:
            found.append(Remark(f"the mask has {self.islands} separate pieces", "in-pieces"))
        return (*found, *softness(self.enlarged))

    @property
    def doubt(self) -> float:
        """Return how far the mask is to be doubted, 0..1 (core/doubt.py): 1 where it is empty or
        removed nothing."""
        found_nothing = self.coverage < _EMPTY_SHARE or self._nothing_removed
        return 1.0 if found_nothing else self.signs.value

    @property
    def _nothing_removed(self) -> bool:
        return self.coverage == 1 and self.uncertain == 0

    def data(self) -> dict[str, JsonValue]:
        """Return the measures, and which of them are worth a look, for programs."""
        return {
            "coverage": round(self.coverage, _DIGITS),
            "uncertain": round(self.uncertain, _DIGITS),
            "islands": self.islands,
            "border": round(self.border, _DIGITS),
            "sides": [*self.sides],
            **self.worth_a_look,
            "enlarged": round(self.enlarged, 2),
            "doubt": round(self.doubt, _DIGITS),
            "signs": self.signs.data(),
        }


def softness(enlarged: float) -> tuple[Remark, ...]:
    """Warn of a subject that was made so many times larger; empty where it does not show."""
    if enlarged < _ENLARGED:
        return ()
    said = f"the subject was enlarged {enlarged:.1f} times, it may look soft"
    return (Remark(said, "enlarged"),)


def read_flags(data: JsonValue) -> QualityFlags | None:
    """Read what `QualityFlags.data` has written; None where this is something else."""
    if not isinstance(data, dict):
        return None
    shares = [data.get(name) for name in ("coverage", "uncertain", "border")]
    islands, sides = data.get("islands"), data.get("sides")
    if not all(isinstance(share, (int, float)) for share in shares) or not isinstance(islands, int):
        return None
    signs = read_doubt(data.get("signs"))
    if not isinstance(sides, list) or signs is None:
        return None
    coverage, uncertain, border = (float(cast("float", share)) for share in shares)
    times = data.get("enlarged")
    enlarged = float(times) if isinstance(times, (int, float)) else 1.0
    named = tuple(map(str, sides))
    return QualityFlags(coverage, uncertain, islands, named, border, signs, enlarged)


def doubt_in(data: Mapping[str, JsonValue]) -> float:
    """Return the doubt that `QualityFlags.data` has written; 0 where there is none."""
    doubt = data.get("doubt")
    return float(doubt) if isinstance(doubt, (int, float)) else 0.0


def quality_flags(alpha: Tensor, signs: Doubt | None = None) -> QualityFlags:
    """Measure one alpha, (H, W) floats in 0..1 on any device.

    signs: None = those that this alpha shows without its picture.
    """
    # numpy compares and counts several times as fast as torch on one thread.
    values = alpha.detach().float().cpu().numpy()
    subject = values > 0.5
    edges = {
        "top": subject[0],
        "bottom": subject[-1],
        "left": subject[:, 0],
        "right": subject[:, -1],
    }
    unclear = np.count_nonzero(values > 0.1) - np.count_nonzero(values >= 0.9)
    return QualityFlags(
        coverage=int(np.count_nonzero(subject)) / subject.size,
        uncertain=int(unclear) / subject.size,
        islands=_islands(subject),
        sides=tuple(side for side, edge in edges.items() if edge.mean() > _BORDER_SHARE),
        border=float(np.concatenate(list(edges.values())).mean()),
        signs=signs or doubt_of(alpha),
    )


def _islands(subject: NDArray[np.bool_]) -> int:
    step = -(-max(subject.shape) // _ISLAND_SIDE)
    small = subject
    for axis, side in enumerate(subject.shape):
        # A block is subject where any of its pixels is: a stem of one pixel stays in one piece.
        small = np.logical_or.reduceat(small, np.arange(0, side, step), axis=axis)
    labels, _ = ndimage.label(small, np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    return int(np.count_nonzero(areas > _ISLAND_SHARE * small.size))
