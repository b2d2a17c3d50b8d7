"""`rmbg mask`: a mask corrected, and a picture cut out with it."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import torch

from ..core.alpha import MaskOptions, match_mask
from ..core.colour import background_colour
from ..core.correct import correct_mask
from ..core.cutout import cutout
from ..core.errors import BadOption
from ..core.finish import upsample_mask
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

_DEFAULTS = MaskOptions()
# Each number of MaskOptions: the option's word, what stands for its value, and what it does.
_NUMBERS = {
    "black": ("black-point", "0..1", "mask values up to this become 0: clears a grey haze"),
    "white": ("white-point", "0..1", "values from this on become 1: closes a see-through subject"),
    "threshold": (
        "threshold",
        "0..1",
        "makes the edge hard: 1 from this value on, 0 below; 0: off",
    ),
    "fill_holes": ("fill-holes", "0..1", "closes holes up to this share of the picture; 1: all"),
    "remove_islands": (
        "remove-islands",
        "0..1",
        "removes pieces smaller than this share of the largest; 1: keeps only the largest",
    ),
    "grow": ("grow", "PIXELS", "widens the subject; negative shrinks it"),
    "feather": ("feather", "PIXELS", "softens the edge over this much on either side"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", metavar="IMAGE", help="the picture; its own alpha is not looked at; - is stdin")
    add(
        "mask",
        metavar="MASK",
        help="white on the subject, of any size; other proportions are stretched",
    )
    add("-o", "--output", metavar="OUT", required=True, help="the file to write; - is stdout")
    add("--keep", metavar="FILE", help="painted correction: white is what must stay")
    add(
        "--drop", metavar="FILE", help="painted correction: white is what must go; wins over --keep"
    )
    add("--invert", action="store_true", help="swap subject and background in the mask")
    add("--subject", metavar="FILE", help="roughly white on what is meant: only that is kept")
    add(
        "--fit",
        type=float,
        default=0.0,
        metavar="PIXELS",
        help="how far a rough mask's outline may be off; it is fitted to the picture (default 0)",
    )
    add("--solid", action="store_true", help="make opaque what is see-through inside the subject")
    add("--refine", action="store_true", help="draw a smaller mask's edges by the picture")
    for name, (word, value, words) in _NUMBERS.items():
        default = getattr(_DEFAULTS, name)
        add(f"--{word}", dest=name, type=float, default=default, metavar=value, help=words)
    add(
        "--decontaminate",
        type=float,
        default=1.0,
        metavar="0..1",
        help="how far the old background's colour is taken out of hair and edges (default 1)",
    )
    add("--background", default="transparent", metavar="COLOUR", help="transparent, or a colour")
    add("--only-mask", action="store_true", help="write the corrected mask, not the cut-out")
    add_allow_empty(parser)
    add_reading(parser)


def run(arguments: argparse.Namespace) -> int:
    numbers = {name: getattr(arguments, name) for name in _NUMBERS}
    options = MaskOptions(invert=arguments.invert, **numbers)
    background = background_colour(arguments.background)
    painted_on = (arguments.keep, arguments.drop, arguments.subject)
    named = [arguments.image, arguments.mask, *painted_on]
    if named.count(STDOUT) > 1:
        raise BadOption("Only one of the pictures can come from standard input.")
    out = None if arguments.output == STDOUT else Path(arguments.output)
    check_not_read(out, named)

    picture = read(arguments.image, arguments.max_megapixels)
    if background is not None and not arguments.only_mask:
        check_colours(picture)
    pixels = picture.pixels[None]
    height, width = pixels.shape[1:3]
    painted = partial(read_mask, max_megapixels=arguments.max_megapixels, image=picture.pixels)
    mask = painted(arguments.mask)
    fitting = (
        upsample_mask(mask, pixels) if arguments.refine else match_mask(mask, height, width, 1)
    )
    keep, drop, subject = (
        None if path is None else painted(path, name=f"{name} mask")
        for name, path in zip(("keep", "drop", "subject"), painted_on, strict=True)
    )
    with torch.inference_mode():
        if subject is not None:
            subject = match_mask(subject, height, width, 1, "subject mask")
        alpha = correct_mask(
            fitting,
            pixels,
            options,
            fit=arguments.fit,
            subject=subject,
            solid=arguments.solid,
            keep=keep,
            drop=drop,
        )
        if arguments.only_mask:
            image, profile, fields = alpha[..., None], None, picture.fields.of_mask()
        else:
            image = cutout(
                pixels, alpha, decontaminate=arguments.decontaminate, background=background
            )
            profile, fields = picture.icc_profile, picture.fields
    write(image[0], out, depth=picture.depth, icc_profile=profile, metadata=signature(fields))
    return empty_status(arguments, bool(alpha.any()), "the mask is 0 everywhere")
