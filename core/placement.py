"""Where a foreground goes on a canvas: sizes and corners in whole pixels, no picture touched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from .errors import BadOption

Fit = Literal["none", "contain", "cover", "stretch", "subject"]
Anchor = Literal[
    "top-left",
    "top",
    "top-right",
    "left",
    "center",
    "right",
    "bottom-left",
    "bottom",
    "bottom-right",
]

FITS: tuple[Fit, ...] = get_args(Fit)

# How much of the free space lies above and to the left of the foreground.
ANCHORS: dict[Anchor, tuple[float, float]] = {
    "top-left": (0, 0),
    "top": (0, 0.5),
    "top-right": (0, 1),
    "left": (0.5, 0),
    "center": (0.5, 0.5),
    "right": (0.5, 1),
    "bottom-left": (1, 0),
    "bottom": (1, 0.5),
    "bottom-right": (1, 1),
}

MOST_PIXELS = 2**27


class Size(NamedTuple):
    """A size in pixels."""

    height: int
    width: int


@dataclass(frozen=True)
class Box:
    """A rectangle on a canvas; it may lie partly or wholly outside of it."""

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Return its rows and columns, of a canvas that it lies on wholly."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def overlap(self, canvas: Size) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the part on the canvas, as (rows, columns) of canvas and box; maybe empty."""
        top, left = max(self.top, 0), max(self.left, 0)
        bottom = max(min(self.top + self.height, canvas.height), top)
        right = max(min(self.left + self.width, canvas.width), left)
        return (
            (slice(top, bottom), slice(left, right)),
            (slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)),
        )


def place(
    source: Size,
    canvas: Size,
    *,
    fit: Fit,
    anchor: Anchor,
    offset: tuple[int, int],
    scale: float,
    margin: float,
) -> Box:
    """Return the box on `canvas` that a foreground of size `source` fills.

    fit: "none" keeps the size, "contain" and "cover" keep the shape, "stretch" does not, and
    "subject" is "contain" inside the canvas less `margin`, a share of the canvas's height above
    and below and of its width on the left and right. scale multiplies the fitted size. anchor
    aligns the result in the canvas (less the margin); offset = (x, y) then moves it.
    Raises BadOption when the result would have more than MOST_PIXELS pixels.
    """
    inset = margin if fit == "subject" else 0.0
    room_y, room_x = canvas.height * (1 - 2 * inset), canvas.width * (1 - 2 * inset)
    ratio_y, ratio_x = room_y / source.height, room_x / source.width
    factors = {
        "none": (1.0, 1.0),
        "contain": (min(ratio_y, ratio_x),) * 2,
        "cover": (max(ratio_y, ratio_x),) * 2,
        "stretch": (ratio_y, ratio_x),
        "subject": (min(ratio_y, ratio_x),) * 2,
    }
    factor_y, factor_x = factors[fit]
    height = max(1, round(source.height * factor_y * scale))
    width = max(1, round(source.width * factor_x * scale))
    if height * width > MOST_PIXELS:
        raise BadOption(
            f"The foreground would become {width} x {height} pixels. "
            "Choose a smaller scale or another fit."
        )
    share_y, share_x = ANCHORS[anchor]
    x, y = offset
    return Box(
        top=math.floor(canvas.height * inset + (room_y - height) * share_y + 1e-6) + y,
        left=math.floor(canvas.width * inset + (room_x - width) * share_x + 1e-6) + x,
        height=height,
        width=width,
    )
