"""Where the subject stands in the results of a batch: plain data, checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ...core.composite import CompositeOptions
from ...core.errors import BadOption
from ...core.layers import BLENDS, Blend
from ...core.placement import ANCHORS, FITS, MOST_PIXELS, Anchor, Fit
from .recipe_values import ABOVE_0, SHARE, Kind, keyed, number, one_of, or_word, pair

#: (width, height) in pixels; the smallest square around the subject and its margin; or the size of
#: the picture.
CanvasSize: TypeAlias = "tuple[int, int] | Literal['square', 'source']"

_SIZES = ("square", "source")


@dataclass(frozen=True)
class Canvas:
    """A canvas, and how the subject is put on it: see `core.placement.place` and `core.composite`.

    Raises BadOption for a value that cannot work.
    """

    size: CanvasSize = keyed(
        "source",
        Kind("[width, height] in pixels, square or source", or_word(pair), _SIZES),
        "Of the result. `square`: the smallest square that holds the subject and its margin, and "
        "no pixel is resized. `source`: the size of the picture.",
    )
    fit: Fit = keyed(
        "subject",
        one_of(FITS),
        "`subject`: cropped to the subject and fitted inside the margin; `contain`, `cover`, "
        "`stretch`: the whole picture; `none`: at the size that it has.",
        "`subject` where a size, fill or margin is given, else `none`",
    )
    margin: float = keyed(
        0.05,
        Kind("a number from 0 to less than 0.5", number),
        "The same as a free border on each side, as a share of the canvas; either fill or margin.",
    )
    anchor: Anchor = keyed(
        "center",
        one_of(tuple(ANCHORS)),
        "Where the subject stands in the room that it has: `bottom` puts shoes on one line.",
    )
    offset: tuple[int, int] = keyed(
        (0, 0),
        Kind("[x, y] in whole pixels", pair),
        "Pixels to the right of the anchor and below it; negative is left and above.",
        "[0, 0]",
    )
    scale: float = keyed(1.0, ABOVE_0, "Of the subject, after it was fitted.")
    shadow: float = keyed(
        0.0,
        SHARE,
        "The strength of a soft shadow where the subject stands on the ground. With any, the "
        "background is no longer one colour.",
    )
    blend: Blend = keyed(
        "srgb", one_of(BLENDS), "Soft edges mixed as most editors do, or in linear light."
    )

    def __post_init__(self) -> None:
        CompositeOptions(
            fit=self.fit,
            anchor=self.anchor,
            offset=self.offset,
            scale=self.scale,
            margin=self.margin,
            blend=self.blend,
            shadow=self.shadow,
        )
        if self.size == "square" and self.fit != "subject":
            raise BadOption(
                f"A square canvas is made around the subject: its fit is subject, not {self.fit}."
            )
        if isinstance(self.size, str):
            if self.size not in _SIZES:
                raise BadOption(f"{self.size!r} is no size of a canvas; see CanvasSize.")
        elif len(self.size) != 2 or not all(isinstance(s, int) and s > 0 for s in self.size):
            raise BadOption(f"The canvas is {self.size}; it must be width and height in pixels.")
        elif math.prod(self.size) > MOST_PIXELS:
            raise BadOption(f"A canvas of {self.size[0]} x {self.size[1]} pixels is too large.")
