"""What is worth a second look in a finished matte: as numbers, and as the report's warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .remarks import NO_SUBJECT, Remark

if TYPE_CHECKING:
    from .report import JsonValue

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
#: A subject enlarged less than this does not look soft.
_ENLARGED = 1.25


@dataclass(frozen=True)
class QualityFlags:
    """Measures of one alpha; shares are of the picture's area unless they say otherwise.

    coverage: alpha above 0.5, the subject. uncertain: alpha between 0.1 and 0.9. islands: the
    subject's separate pieces, specks left aside. sides: the borders that the subject covers to more
    than two hundredths, of "top", "bottom", "left" and "right". border: what it covers of all four
    together. enlarged: how many times larger the subject was made for its canvas; 1 where it was
    not.
    """

    coverage: float
    uncertain: float
    islands: int
    sides: tuple[str, ...]
    border: float
    enlarged: float = 1.0

    @property
    def no_subject(self) -> bool:
        """Nothing, or next to nothing, was found."""
        return self.coverage < _EMPTY_SHARE

    @property
    def nothing_removed(self) -> bool:
        """The whole picture is subject."""
        return self.coverage == 1 and self.uncertain == 0

    @property
    def touches_border(self) -> bool:
        """The frame may have cut the subject off."""
        return not self.no_subject and self.coverage < 1 and self.border > _BORDER_SHARE

    @property
    def is_uncertain(self) -> bool:
        """Much of the subject is neither clearly there nor clearly not."""
        return self.uncertain > _UNCERTAIN_SHARE * max(self.coverage, self.uncertain)

    @property
    def in_pieces(self) -> bool:
        """More pieces than a subject usually has."""
        return self.islands > _MANY_ISLANDS

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences (without a full stop) for the report; empty when all is well."""
        if self.no_subject:
            return (Remark("no subject found", NO_SUBJECT),)
        if self.nothing_removed:
            said = "nothing was removed, the whole picture is subject"
            return (Remark(said, "nothing-removed"),)
        sides = ", ".join(self.sides)
        border = f"the subject touches the picture's border ({sides})"
        found = {
            Remark(border, "touches-border"): self.touches_border,
            Remark(f"{self.uncertain:.0%} of the picture is uncertain", "uncertain"): (
                self.is_uncertain
            ),
            Remark(f"the mask has {self.islands} separate pieces", "in-pieces"): self.in_pieces,
        }
        worth = tuple(words for words, holds in found.items() if holds)
        return (*worth, *softness(self.enlarged))

    @property
    def doubt(self) -> tuple[float, ...]:
        """Larger is more doubtful: an empty mask and one that removed nothing before an uncertain
        one, before one in pieces, before one that the border cuts, before an enlarged one; within
        each, the more of it."""
        return (
            float(self.no_subject or self.nothing_removed),
            self.uncertain if self.is_uncertain else 0.0,
            float(self.islands) if self.in_pieces else 0.0,
            self.border if self.touches_border else 0.0,
            self.enlarged if softness(self.enlarged) else 0.0,
        )

    def data(self) -> dict[str, JsonValue]:
        """For programs: the measures, and which of them are worth a look."""
        return {
            "coverage": round(self.coverage, _DIGITS),
            "uncertain": round(self.uncertain, _DIGITS),
            "islands": self.islands,
            "border": round(self.border, _DIGITS),
            "sides": [*self.sides],
            "no_subject": self.no_subject,
            "nothing_removed": self.nothing_removed,
            "touches_border": self.touches_border,
            "is_uncertain": self.is_uncertain,
            "in_pieces": self.in_pieces,
            "enlarged": round(self.enlarged, 2),
        }


def softness(enlarged: float) -> tuple[Remark, ...]:
    """What is said of a subject that was made so many times larger; empty where none sees it."""
    if enlarged < _ENLARGED:
        return ()
    said = f"the subject was enlarged {enlarged:.1f} times, it may look soft"
    return (Remark(said, "enlarged"),)


def read_flags(data: JsonValue) -> QualityFlags | None:
    """What `QualityFlags.data` has written; None where this is something else."""
    if not isinstance(data, dict):
        return None
    shares = [data.get(name) for name in ("coverage", "uncertain", "border")]
    islands, sides = data.get("islands"), data.get("sides")
    if not all(isinstance(share, (int, float)) for share in shares) or not isinstance(islands, int):
        return None
    if not isinstance(sides, list):
        return None
    coverage, uncertain, border = (float(cast("float", share)) for share in shares)
    times = data.get("enlarged")
    enlarged = float(times) if isinstance(times, (int, float)) else 1.0
    return QualityFlags(coverage, uncertain, islands, tuple(map(str, sides)), border, enlarged)


def quality_flags(alpha: Tensor) -> QualityFlags:
    """Measure one alpha, (H, W) floats in 0..1 on any device."""
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
