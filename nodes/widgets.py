"""Inputs that several nodes share, and how their values are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from comfy_api.latest import io

from ..core.cutout import background_colour
from ..core.errors import BadOption

CATEGORY = "image/background removal"
ALIASES = ("rmbg", "rembg", "birefnet", "matting", "cutout", "cut out", "alpha", "background")
REMOVER_TYPE = "BACKGROUND_REMOVAL"

T = TypeVar("T")

_BACKGROUNDS = ("transparent", "white", "black", "color")


def decontaminate_input() -> io.Input:
    return io.Float.Input(
        "decontaminate",
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.05,
        tooltip="Removes the old background's colour from hair and edges. "
        "1 = fully, 0 = keep the picture's own colours there.",
    )


def background_inputs() -> list[io.Input]:
    """A menu and a colour beside it; read together by `background_of`."""
    return [
        io.Combo.Input(
            "background",
            options=_BACKGROUNDS,
            default="transparent",
            tooltip="What stands behind the subject: transparent gives an RGBA image, the others "
            "give an RGB image without the old background.",
        ),
        io.String.Input(
            "color",
            default="#ffffff",
            tooltip="The background when the menu above says color: #rrggbb or a name.",
        ),
    ]


def background_of(background: str, color: str) -> tuple[float, float, float] | None:
    """The chosen colour in 0..1, None for transparent. Raises BadOption for an unknown colour."""
    return background_colour(color if background == "color" else background)


def only(values: Sequence[T], name: str) -> T:
    """The one value of a widget in a node that takes lists.

    Raises BadOption when the list holds different values: half a list treated in another way than
    the user thinks would be a silent error.
    """
    first = values[0]
    if any(value is not first and value != first for value in values[1:]):
        raise BadOption(
            f"{name} got a list with different values; this node takes one for the whole list of "
            "pictures. Use one node for each value."
        )
    return first
