"""All keys of a recipe file: where each stands, and which constructor judges its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial

from .canvas import Canvas
from .model import Output, Recipe
from .presets import PRESETS
from .recipe_values import KEY, Key, Kind, decimal, one_of

OPTIONS = "options"  # the table whose keys are those of the backend

_LAYOUT = {
    "": ("preset", "backend", "usage", "max_cost", "max_megapixels"),
    "edges": ("refine", "solid", "decontaminate"),
    "canvas": ("size", "background", "fit", "fill", "margin", "anchor", "offset", "scale")
    + ("shadow", "blend"),
    "output": ("format", "quality", "depth", "effort", "naming", "mask", "provenance"),
}


def _margin_of_fill(value: object) -> float:
    """Read the margin on each side that leaves this share of the canvas."""
    return float((1 - decimal(value)) / 2)  # in decimals: 0.85 leaves 0.075, not a hair more


def _alone(owner: Callable[..., object], name: str) -> Callable[[object], object]:
    """Return the constructor of which this field is given alone."""
    return lambda value: owner(**{name: value})


def _keys() -> dict[str, Key]:
    """Return the keys by name: those that are no fields, and those of the fields."""
    keys = {
        "preset": Key(
            one_of(tuple(PRESETS)),
            "A row of the table of presets below; every other key of the file overrides it.",
            "-",
        ),
        "fill": Key(
            Kind("a number above 0, at most 1", _margin_of_fill),
            "How much of the canvas's height or width the subject takes, whichever it meets first.",
            f"{1 - 2 * Canvas.margin:g}",
            _alone(Canvas, "margin"),
        ),
    }
    for owner in (Recipe, Canvas, Output):
        for one in fields(owner):
            if KEY in one.metadata:
                keys[one.name] = replace(one.metadata[KEY], judge=_alone(owner, one.name))
    keys["quality"] = replace(keys["quality"], judge=partial(Output, "webp"))  # PNG has none
    keys["naming"] = replace(keys["naming"], judge=str)  # its own sentence says what is wrong
    return keys


_BY_NAME = _keys()
KEYS = tuple(
    replace(_BY_NAME[name], table=table, name=name)
    for table, names in _LAYOUT.items()
    for name in names
)
ROWS: Mapping[tuple[str, str], Key] = {(key.table, key.name): key for key in KEYS}
TABLES = (*filter(None, _LAYOUT), OPTIONS)
