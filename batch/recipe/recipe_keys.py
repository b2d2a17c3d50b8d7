"""The keys of a recipe file: one row each, from which values are read and the reference is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from ...catalogue.backends import BACKENDS, DEFAULT_IDS
from ...core.colour import NAMES
from ...core.layers import BLENDS
from ...core.placement import ANCHORS, FITS
from ...core.types import Usage
from ...pictures.formats import FORMATS, READ_LABELS
from .model import Canvas, Output, Recipe, SizeWord
from .presets import PRESETS
from .recipe_values import (
    Reader,
    amount,
    background,
    depth,
    margin_of_fill,
    number,
    one_of,
    pair,
    size,
    switch,
    text,
    whole,
)

OPTIONS = "options"  # the table whose keys are those of the backend


@dataclass(frozen=True)
class Key:
    """table: empty for the top of the file. takes: what the value "must be". read: the value of a
    file to that of a Recipe. words: the texts it may be, where there is a list. default: as the
    reference shows it."""

    table: str
    name: str
    takes: str
    read: Reader
    default: str
    what: str
    words: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """As messages name it: "[canvas] fill"."""
        return f"[{self.table}] {self.name}" if self.table else self.name


def _listed(words: tuple[str, ...]) -> str:
    return f"one of {', '.join(words)}"


_USAGES: tuple[str, ...] = get_args(Usage)
_BACKENDS = (*DEFAULT_IDS, *(id for id in BACKENDS if id not in DEFAULT_IDS))
_FORMATS = {row.id: row.id for row in FORMATS} | {"jpg": "jpeg", "tif": "tiff"}
_SIZES = get_args(SizeWord)
_CANVAS, _OUTPUT, _RECIPE = Canvas(), Output(), Recipe()

KEYS: tuple[Key, ...] = (
    Key(
        "",
        "preset",
        _listed(tuple(PRESETS)),
        one_of(tuple(PRESETS)),
        "-",
        "A row of the table of presets below; every other key of the file overrides it.",
        tuple(PRESETS),
    ),
    Key(
        "",
        "backend",
        _listed(_BACKENDS),
        one_of(_BACKENDS),
        f"`{_RECIPE.backend}`",
        "What removes the background.",
        _BACKENDS,
    ),
    Key(
        "",
        "usage",
        _listed(_USAGES),
        one_of(_USAGES),
        "-",
        "What the pictures are for.",
        _USAGES,
    ),
    Key(
        "",
        "max_cost",
        "an amount of USD, such as 25 or 0.5",
        amount,
        "-",
        "What a run may cost with a hosted backend; what would pass it is not sent.",
    ),
    Key(
        "",
        "max_megapixels",
        "a number above 0",
        number(0, above=True),
        f"{_RECIPE.max_megapixels:g}",
        "Larger pictures are refused before they are decoded.",
    ),
    Key(
        "edges",
        "refine",
        "true or false",
        switch,
        "true",
        "Sharpen the edge of a mask that the model answered smaller than the picture.",
    ),
    Key(
        "edges",
        "decontaminate",
        "a number from 0 to 1",
        number(0, 1),
        f"{_RECIPE.decontaminate:g}",
        "How far the old background's colour is taken out of the edge.",
    ),
    Key(
        "canvas",
        "size",
        "[width, height] in pixels, square or source",
        size,
        f"`{_CANVAS.size}`",
        "Of the result. `square`: the smallest square that holds the subject and its margin, and "
        "no pixel is resized. `source`: the size of the picture.",
        _SIZES,
    ),
    Key(
        "canvas",
        "background",
        "transparent, an opaque colour such as white or #f4f4f4, or the path of a "
        f"{READ_LABELS} file",
        background,
        f"`{_RECIPE.background}`",
        "What lies behind the subject. A picture covers the canvas and is cut at its middle; its "
        "path is relative to the recipe.",
        tuple(NAMES),
    ),
    Key(
        "canvas",
        "fit",
        _listed(FITS),
        one_of(FITS),
        "`subject` where a size, fill or margin is given, else `none`",
        "`subject`: cropped to the subject and fitted inside the margin; `contain`, `cover`, "
        "`stretch`: the whole picture; `none`: at the size that it has.",
        FITS,
    ),
    Key(
        "canvas",
        "fill",
        "a number above 0, at most 1",
        margin_of_fill,
        f"{1 - 2 * _CANVAS.margin:g}",
        "How much of the canvas's height or width the subject takes, whichever it meets first.",
    ),
    Key(
        "canvas",
        "margin",
        "a number from 0 to less than 0.5",
        number(0, 0.5),
        f"{_CANVAS.margin:g}",
        "The same as a free border on each side, as a share of the canvas; either fill or margin.",
    ),
    Key(
        "canvas",
        "anchor",
        _listed(tuple(ANCHORS)),
        one_of(tuple(ANCHORS)),
        f"`{_CANVAS.anchor}`",
        "Where the subject stands in the room that it has: `bottom` puts shoes on one line.",
        tuple(ANCHORS),
    ),
    Key(
        "canvas",
        "offset",
        "[x, y] in whole pixels",
        pair,
        "[0, 0]",
        "Pixels to the right of the anchor and below it; negative is left and above.",
    ),
    Key(
        "canvas",
        "scale",
        "a number above 0",
        number(0, above=True),
        f"{_CANVAS.scale:g}",
        "Of the subject, after it was fitted.",
    ),
    Key(
        "canvas",
        "shadow",
        "a number from 0 to 1",
        number(0, 1),
        f"{_CANVAS.shadow:g}",
        "The strength of a soft shadow where the subject stands on the ground. With any, the "
        "background is no longer one colour.",
    ),
    Key(
        "canvas",
        "blend",
        _listed(BLENDS),
        one_of(BLENDS),
        f"`{_CANVAS.blend}`",
        "Soft edges mixed as most editors do, or in linear light.",
        BLENDS,
    ),
    Key(
        "output",
        "format",
        _listed(tuple(_FORMATS)),
        one_of(_FORMATS),
        f"`{_OUTPUT.format}`",
        "Of the results.",
        tuple(_FORMATS),
    ),
    Key(
        "output",
        "quality",
        "a whole number from 1 to 100",
        whole(1, 100),
        "95 for JPEG",
        "Of JPEG, whose colours always have every pixel (4:4:4), and of WebP, which is lossless "
        "without it.",
    ),
    Key(
        "output",
        "depth",
        "8, 16 or source",
        depth,
        f"`{_OUTPUT.depth}`",
        "Bits per channel. `source`: those of the picture, where the format holds them (PNG and "
        "TIFF hold 16).",
        ("source",),
    ),
    Key(
        "output",
        "effort",
        "a whole number from 1 to 9",
        whole(1, 9),
        "4",
        "Of an 8-bit PNG: 1 is fast, 9 is small, the pixels are the same.",
    ),
    Key(
        "output",
        "naming",
        "a pattern of names",
        text,
        f"`{_OUTPUT.naming}`",
        "How the results are called below the destination.",
    ),
    Key(
        "output",
        "mask",
        "true or false",
        switch,
        "false",
        "Write the mask, too, as PNG: how much of the result the subject covers.",
    ),
    Key(
        "output",
        "provenance",
        "true or false",
        switch,
        "true",
        "The files say which model made them, under which licence, for which use.",
    ),
)

ROWS: Mapping[tuple[str, str], Key] = {(key.table, key.name): key for key in KEYS}
TABLES: tuple[str, ...] = tuple(dict.fromkeys(key.table for key in KEYS if key.table)) + (OPTIONS,)
