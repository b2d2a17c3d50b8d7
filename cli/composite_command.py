"""`rmbg composite`: a cut-out on a colour or on another picture."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from ..core.composite import CompositeOptions, compose
from ..core.layers import BLENDS
from ..core.placement import ANCHORS, FITS
from ..pictures.results import signature
from .shared import (
    STDOUT,
    add_allow_empty,
    add_reading,
    check_colours,
    check_not_read,
    empty_status,
    read,
    read_mask,
    write,
)

_DEFAULTS = CompositeOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("foreground", metavar="FOREGROUND", help="the cut-out; - is stdin")
    add("background", metavar="BACKGROUND", nargs="?", help="the picture behind")
    add("-o", "--output", metavar="OUT", required=True, help="the file to write; - is stdout")
    add("--mask", metavar="FILE", help="replaces the foreground's alpha; white is subject")
    add(
        "--color",
        "--colour",
        dest="colour",
        default="white",
        help="the background when there is no picture (white)",
    )
    add(
        "--fit",
        choices=FITS,
        default=_DEFAULTS.fit,
        help="none: natural size (default); contain: all of the foreground is seen; cover: all of "
        "the background is covered; stretch: both sides fit; subject: cropped to the subject and "
        "fitted inside the margin",
    )
    add(
        "--anchor",
        choices=tuple(ANCHORS),
        default=_DEFAULTS.anchor,
        help="where the foreground stands on the background (center)",
    )
    add(
        "--offset",
        nargs=2,
        type=int,
        default=_DEFAULTS.offset,
        metavar=("X", "Y"),
        help="pixels to the right of the anchor and below it; negative is left and above",
    )
    add("--scale", type=float, default=_DEFAULTS.scale, help="of the foreground, after the fit (1)")
    add(
        "--margin",
        type=float,
        default=_DEFAULTS.margin,
        help="with --fit subject: the free border, as a share of the background (0.05)",
    )
    add(
        "--opacity",
        type=float,
        default=_DEFAULTS.opacity,
        metavar="0..1",
        help="how solid the foreground is (1)",
    )
    add(
        "--blend",
        choices=BLENDS,
        default=_DEFAULTS.blend,
        help="srgb: as most editors do (default); linear: physical light, lighter soft edges",
    )
    add(
        "--shadow",
        type=float,
        default=_DEFAULTS.shadow,
        metavar="0..1",
        help="a soft shadow where the subject stands on the ground (0)",
    )
    add_allow_empty(parser)
    add_reading(parser)


def run(arguments: argparse.Namespace) -> int:
    chosen = {one.name: getattr(arguments, one.name) for one in fields(CompositeOptions)}
    options = CompositeOptions(**{**chosen, "offset": tuple(arguments.offset)})
    out = None if arguments.output == STDOUT else Path(arguments.output)
    check_not_read(out, [arguments.foreground, arguments.background, arguments.mask])
    foreground = read(arguments.foreground, arguments.max_megapixels)
    depth, mask, background = foreground.depth, None, None
    check_colours(foreground)
    if arguments.mask:
        mask = read_mask(arguments.mask, arguments.max_megapixels, foreground.image)
    if arguments.background:
        picture = read(arguments.background, arguments.max_megapixels)
        background = picture.image[None]
        depth = max(depth, picture.depth)
        check_colours(picture)
    behind = arguments.colour if background is None else background
    image, coverage = compose(foreground.image[None], mask, behind, options)
    write(image[0], out, depth=depth, metadata=signature(foreground.fields))
    return empty_status(arguments, bool(coverage.any()), "nothing of the foreground is seen")
