"""Arguments that several commands take, and how they read and write pictures."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..catalogue.licences import DATA_TERMS_SWITCH
from ..config.settings import Settings, read_settings
from ..core.alpha import stretching
from ..core.errors import BadOption, BadPicture
from ..pictures.formats import Depth
from ..pictures.metadata import NOTHING, Metadata
from ..pictures.places import Taken
from ..pictures.read import Picture, read_picture
from ..pictures.srgb import OTHER_COLOURS
from ..pictures.write import encode, write_atomic
from ..pipeline.hand_over import encoding_for

if TYPE_CHECKING:
    from torch import Tensor

STDOUT = "-"
_MOST_NAMED = 10


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the limit on what is read."""
    parser.add_argument(
        "--max-megapixels",
        type=_positive,
        default=64.0,
        metavar="N",
        help="refuse larger pictures before decoding them (default 64)",
    )


def add_fetch(parser: argparse.ArgumentParser) -> None:
    """Add the word that lets addresses be fetched."""
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="fetch pictures named by http(s) addresses, from the public internet only",
    )


def add_edges(parser: argparse.ArgumentParser) -> None:
    """Add what is done to a matte before the subject is cut out."""
    parser.add_argument(
        "--decontaminate",
        type=float,
        default=1.0,
        metavar="0..1",
        help="how far the old background's colour is taken out of the edge (default 1)",
    )
    parser.add_argument(
        "--no-refine", action="store_true", help="do not draw edges by the picture's colours"
    )
    parser.add_argument(
        "--no-solid", action="store_true", help="leave interiors as see-through as the model's"
    )


def add_usage(parser: argparse.ArgumentParser, words: str = "what the pictures are for") -> None:
    """Add what the gate asks for."""
    parser.add_argument("--usage", choices=("non-commercial", "commercial"), help=words)
    parser.add_argument(
        DATA_TERMS_SWITCH,
        action="store_true",
        help="I know the terms of the data a model was trained on, and answer for commercial use",
    )


def settings_for(arguments: argparse.Namespace) -> Settings:
    """Return the settings in force, with what this one command accepts. Raises BadOption."""
    settings = read_settings()
    if arguments.accept_data_terms and not settings.data_terms:
        return replace(settings, data_terms=DATA_TERMS_SWITCH)
    return settings


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def fail(name: str, reason: str) -> None:
    """Say one line of one picture on stderr."""
    print(reason if reason.startswith(name) else f"{name}: {reason}", file=sys.stderr)


def say_passed_over(pictures: Sequence[tuple[str, str]], count: int) -> str:
    """Say which pictures are left out, and why. pictures: names and reasons, the first at least."""
    shown = [f"{name} ({why})" for name, why in pictures[:_MOST_NAMED]]
    more = count - len(shown)
    names = ", ".join(shown) + (f" and {more} more" if more else "")
    what = "1 picture is a result" if count == 1 else f"{count} pictures are results"
    return f"{what} of this package: {names}. Name a file to have it cut out again."


def add_allow_empty(parser: argparse.ArgumentParser) -> None:
    """Add what becomes of a result in which nothing is."""
    parser.add_argument(
        "--allow-empty",
        action="store_true",
        help="end with status 0 also when nothing of the subject is in a result",
    )


def empty_status(arguments: argparse.Namespace, something: bool, why: str) -> int:
    """Return the status of a result that is written; that it is empty goes to stderr."""
    if something:
        return 0
    fail(arguments.output, f"Warning: {why}.")
    return 0 if arguments.allow_empty else 1


def check_not_read(out: Path | None, names: Iterable[str | Path | None]) -> None:
    """Raise BadOption for an output that is one of the pictures that are read."""
    if out is not None and out in Taken(Path(name) for name in names if name not in (None, STDOUT)):
        raise BadOption(f"{out} is one of the pictures that are read; choose another name.")


def check_colours(picture: Picture) -> None:
    """Raise BadPicture for one whose colours are not sRGB, where they would be mixed with some."""
    if picture.icc_profile:
        raise BadPicture(OTHER_COLOURS.format(name=picture.name))


def read_mask(path: str, max_megapixels: float, image: Tensor, name: str = "mask") -> Tensor:
    """Read a mask (1, h, w) in 0..1 for a picture (H, W, C); that it has other proportions goes to
    stderr. name: see `stretching`."""
    grey = read(path, max_megapixels).pixels.mean(dim=-1)[None]
    if said := stretching(grey, image.shape[0], image.shape[1], name):
        fail(path, said)
    return grey


def read(path: str, max_megapixels: float) -> Picture:
    """Read the picture that an argument names; "-" is standard input. What there is to say of its
    file goes to stderr."""
    content = sys.stdin.buffer.read() if path == STDOUT else Path(path)
    name = "standard input" if path == STDOUT else path
    picture = read_picture(content, name=name, max_megapixels=max_megapixels)
    for said in picture.warnings:
        fail(name, f"Warning: {said}.")
    return picture


def write(
    image: Tensor,
    out: Path | None,
    *,
    depth: Depth,
    icc_profile: bytes | None = None,
    metadata: Metadata = NOTHING,
) -> None:
    """Write (H, W, C) to a file in the format of its name, or as PNG to standard output (None).

    metadata: what the file says of itself.
    """
    format, depth, *_ = encoding_for(out, depth)
    write_bytes(encode(image, format, depth=depth, icc_profile=icc_profile, metadata=metadata), out)


def write_bytes(data: bytes, out: Path | None, *, lasting: bool = False) -> None:
    """Write a file, or to standard output (None). lasting: see `write_atomic`."""
    if out is None:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # the reader has gone: cli/__init__.py ends quietly
        except OSError as error:
            raise BadOption(f"Standard output cannot be written ({error.strerror}).") from error
    else:
        write_atomic(out, data, lasting=lasting)
