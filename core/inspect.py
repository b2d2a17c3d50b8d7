"""What is worth a second look in a finished matte: as numbers, and as the report's warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

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
    enlarged: float = 1.0
    """How many times larger the subject was made for its canvas; 1 where it was not."""

    @property
    def worth_a_look(self) -> dict[str, bool]:
        """Tell what of these measures a person should look at."""
        empty = self.coverage < _EMPTY_SHARE
        many = _UNCERTAIN_SHARE * max(self.coverage, self.uncertain)
        return {
            "no_subject": empty,
            "nothing_removed": self.coverage == 1 and self.uncertain == 0,
            "touches_border": not empty and self.coverage < 1 and self.border > _BORDER_SHARE,
            "is_uncertain": self.uncertain > many,
            "in_pieces": self.islands > _MANY_ISLANDS,
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
        if worth["touches_border"]:
            border = f"the subject touches the picture's border ({sides})"
            found.append(Remark(border, "touches-border"))
        if worth["is_uncertain"]:
            found.append(Remark(f"{self.uncertain:.0%} of the picture is uncertain", "uncertain"))
        if worth["in_pieces"]:
            found.append(Remark(f"the mask has {self.islands} separate pieces", "in-pieces"))
        return (*found, *softness(self.enlarged))

    @property
    def doubt(self) -> tuple[float, ...]:
        """Return what to sort by; larger is more doubtful: an empty mask and one that removed
        nothing before an uncertain one, before one in pieces, before one that the border cuts,
        before an enlarged one; within each, the more of it."""
        worth = self.worth_a_look
        return (
            float(worth["no_subject"] or worth["nothing_removed"]),
            self.uncertain if worth["is_uncertain"] else 0.0,
            float(self.islands) if worth["in_pieces"] else 0.0,
            self.border if worth["touches_border"] else 0.0,
            self.enlarged if softness(self.enlarged) else 0.0,
        )

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
