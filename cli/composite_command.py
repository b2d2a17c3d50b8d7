"""`rmbg composite`: a cut-out on a colour or on another picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.alpha import stretching
from ..core.composite import CompositeOptions, compose
from ..core.errors import BadOption, BadPicture
from ..core.layers import BLENDS
from ..core.placement import ANCHORS, FITS
from ..pictures.read import Picture
from ..pictures.results import signature
from ..pictures.sources import Taken
from ..pictures.srgb import OTHER_COLOURS
from .shared import STDOUT, add_allow_empty, add_reading, empty_status, fail, read, write

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


def _check_colours(picture: Picture) -> None:
    if picture.icc_profile:
        raise BadPicture(OTHER_COLOURS.format(name=picture.name))


def run(arguments: argparse.Namespace) -> int:
    options = CompositeOptions(
        fit=arguments.fit,
        anchor=arguments.anchor,
        offset=(arguments.offset[0], arguments.offset[1]),
        scale=arguments.scale,
        margin=arguments.margin,
        opacity=arguments.opacity,
        blend=arguments.blend,
        shadow=arguments.shadow,
    )
    named = [arguments.foreground, arguments.background, arguments.mask]
    inputs = Taken(Path(name) for name in named if name not in (None, STDOUT))
    out = None if arguments.output == STDOUT else Path(arguments.output)
    if out is not None and out in inputs:
        raise BadOption(f"{out} is one of the pictures that are read; choose another name.")
    foreground = read(arguments.foreground, arguments.max_megapixels)
    depth, mask, background = foreground.depth, None, None
    _check_colours(foreground)
    if arguments.mask:
        mask = read(arguments.mask, arguments.max_megapixels).pixels.mean(dim=-1)
        if said := stretching(mask, *foreground.image.shape[:2]):
            fail(arguments.mask, said)
    if arguments.background:
        picture = read(arguments.background, arguments.max_megapixels)
        background = picture.image[None]
        depth = max(depth, picture.depth)
        _check_colours(picture)
    image, coverage = compose(
        foreground.image[None],
        mask,
        arguments.colour if background is None else background,
        options,
    )
    write(image[0], out, depth=depth, metadata=signature(foreground.fields))
    return empty_status(arguments, bool(coverage.any()), "nothing of the foreground is seen")
