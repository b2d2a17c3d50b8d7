"""Colours as people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .errors import BadOption

# The named colours of CSS 2.1, and CSS's "transparent".
NAMES = {
    "aqua": "#00ffff",
    "black": "#000000",
    "blue": "#0000ff",
    "fuchsia": "#ff00ff",
    "gray": "#808080",
    "green": "#008000",
    "grey": "#808080",
    "lime": "#00ff00",
    "maroon": "#800000",
    "navy": "#000080",
    "olive": "#808000",
    "orange": "#ffa500",
    "purple": "#800080",
    "red": "#ff0000",
    "silver": "#c0c0c0",
    "teal": "#008080",
    "transparent": "#00000000",
    "white": "#ffffff",
    "yellow": "#ffff00",
}

HEX = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
DECIMAL = re.compile(r"\d{1,3}(?:\s*,\s*\d{1,3}){2,3}")


def parse_colour(colour: str | Sequence[float]) -> tuple[float, ...]:
    """Return three numbers in 0..1, sRGB-encoded, or four with straight alpha last.

    colour: "#rgb", "#rgba", "#rrggbb", "#rrggbbaa", "r,g,b" or "r,g,b,a" in 0..255, a name of
    CSS 2.1, or three or four numbers that already lie in 0..1. Raises BadOption for the rest.
    """
    values = _parse_text(colour) if isinstance(colour, str) else tuple(map(float, colour))
    if len(values) not in (3, 4) or not all(0 <= value <= 1 for value in values):
        raise BadOption(
            f"{colour!r} is not a colour. Write '#ff8800', '255,136,0' or a name such as 'white'; "
            "numbers in a tuple lie between 0 and 1."
        )
    return values


def _parse_text(text: str) -> tuple[float, ...]:
    """Return the numbers that `text` spells; none when it is not in a known form."""
    text = text.strip().lower()
    text = NAMES.get(text, text)
    if HEX.fullmatch(text):
        digits = text[1:]
        size = 1 if len(digits) < 6 else 2
        pairs = (digits[at : at + size] * (3 - size) for at in range(0, len(digits), size))
        return tuple(int(pair, 16) / 255 for pair in pairs)
    if DECIMAL.fullmatch(text):
        return tuple(int(part) / 255 for part in text.split(","))
    return ()


def background_colour(text: str) -> tuple[float, float, float] | None:
    """Read a background as people write it: None for "transparent", else sRGB in 0..1.

    Raises BadOption for an unknown colour, and for a translucent one.
    """
    red, green, blue, *alpha = parse_colour(text)
    if alpha == [0]:
        return None
    if alpha and alpha != [1]:
        raise BadOption(
            f"The background {text!r} is translucent. Choose transparent or an opaque colour, or "
            "put the cut-out on a translucent picture with Composite."
        )
    return red, green, blue
