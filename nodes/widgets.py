"""Inputs that several nodes share, and how their values are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from comfy_api.latest import io

from ..core.colour import background_colour
from ..core.errors import BadOption

CATEGORY = "image/background removal"
REMOVER_TYPE = "BACKGROUND_REMOVAL"

T = TypeVar("T")

_BACKGROUNDS = ("transparent", "white", "black", "color")


def share(
    name: str, default: float, tooltip: str, *, most: float = 1.0, step: float = 0.01
) -> io.Input:
    """Make a number from 0 to `most`."""
    return io.Float.Input(name, default=default, min=0.0, max=most, step=step, tooltip=tooltip)


def remover_input() -> io.Input:
    """Make the socket for what removes backgrounds."""
    return io.Custom(REMOVER_TYPE).Input(
        "remover",
        tooltip="From Load RMBG, or from ComfyUI's Load Background Removal Model.",
    )


def refine_input() -> io.Input:
    """Make the switch that nodes which remove backgrounds have for edges."""
    return io.Boolean.Input(
        "refine_edges",
        default=True,
        tooltip="Draws the edge by the picture's own colours: of every mask that a "
        "model on this machine made, and of a smaller one than the picture.",
    )


def decontaminate_input() -> io.Input:
    """Make the input that several nodes have for the colour of edges."""
    return share(
        "decontaminate",
        1.0,
        "Removes the old background's colour from hair and edges. "
        "1 = fully, 0 = keep the picture's own colours there.",
        step=0.05,
    )


def solid_input(default: bool) -> io.Input:
    """Make the switch that several nodes have for see-through interiors."""
    return io.Boolean.Input(
        "solid",
        optional=True,
        default=default,
        tooltip="Makes opaque what the mask has see-through deep inside the subject (a shirt, an "
        "arm), where the picture shows no background. Glass, veils and holes stay.",
    )


def background_inputs(
    tooltip: str = "What stands behind the subject: transparent gives an RGBA image, the others "
    "give an RGB image without the old background.",
) -> list[io.Input]:
    """Make a menu and a colour beside it; `background_of` reads them together."""
    return [
        io.Combo.Input(
            "background",
            options=_BACKGROUNDS,
            default="transparent",
            tooltip=tooltip,
        ),
        io.String.Input(
            "color",
            default="#ffffff",
            tooltip="The background when the menu above says color: #rrggbb or a name.",
        ),
    ]


def background_of(background: str, color: str) -> tuple[float, float, float] | None:
    """Read the colour in 0..1, None for transparent. Raises BadOption for an unknown one."""
    return background_colour(color if background == "color" else background)


def subject_inputs(given: str) -> list[io.Input]:
    """Make the two sockets that say what is meant. given: what is kept a part of, for tooltips."""
    return [
        io.Mask.Input(
            "subject",
            optional=True,
            tooltip=f"Which subject: a rough mask, 1 on it (painted, or of SAM3). Of {given} only "
            "what belongs to it is kept; hair that reaches out of it stays.",
        ),
        io.Custom("BOUNDING_BOX").Input(
            "boxes",
            optional=True,
            tooltip="The same as boxes around it. Where both are connected, both count.",
            # Or the frontend makes a widget of it, with a box that nobody has drawn.
            extra_dict={"forceInput": True},
        ),
    ]


def only(values: Sequence[T], name: str) -> T:
    """Return the one value of a widget in a node that takes lists.

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
