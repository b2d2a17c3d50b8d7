"""`rmbg review`: the doubtful cut-outs of a run on one contact sheet, the worst first."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from ..core.errors import BadOption, PictureError
from ..core.layers import Layer
from ..core.resize import resize_layer
from ..demo.sheet import CELL, Row, contact_sheet
from ..pictures.formats import FORMATS
from ..pictures.places import Taken
from ..pictures.read import read_picture
from ..pictures.results import CUTOUT, MASK, is_signed_only, signature
from ..pictures.sources import Source, expand, none_found
from ..pictures.unread import Unreads, say_unread
from ..pictures.write import encode, format_for, write_atomic
from ..pipeline.context import open_user_records
from .evaluate_command import mask_of
from .judging import Seen, Unjudged, judge
from .shared import add_reading, fail

#: As many rows as the side of a JPEG allows, and a page that people still look through.
_MOST = 100
_QUALITY = 90


@dataclass
class _Looked:
    """What was found."""

    seen: list[Seen] = field(default_factory=list)
    unjudged: list[Unjudged] = field(default_factory=list)
    unread: list[Source] = field(default_factory=list)
    """Pictures of kinds that are not read."""
    failed: int = 0
    """How many."""

    def fail(self, name: str, reason: str) -> None:
        """Say so, and go on with the others."""
        self.failed += 1
        fail(name, reason)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("results", nargs="+", metavar="RESULT", help="cut-outs or masks: files, folders, patterns")
    add("-r", "--recursive", action="store_true", help="also the folders inside folders")
    add(
        "-o",
        "--output",
        type=Path,
        default=Path("review.jpg"),
        metavar="OUT",
        help="the contact sheet (default review.jpg); none is written when nothing is doubtful",
    )
    add("--worst", type=_count, default=20, metavar="N", help="rows at most (default 20)")
    add("--json", action="store_true", help="print one JSON object for every result")
    add_reading(parser)


def run(arguments: argparse.Namespace) -> int:
    out: Path = arguments.output
    format = format_for(out)
    looked = _look(arguments)
    everything: list[Seen | Unjudged] = [*looked.seen, *looked.unjudged]
    if out in Taken(one.path for one in everything):
        raise BadOption(f"{out} is one of the results; choose another name for the sheet.")
    doubtful = sorted(
        (one for one in looked.seen if one.flags.warnings),
        key=lambda one: one.flags.doubt,
        reverse=True,
    )
    worst = doubtful[: arguments.worst]
    if worst:
        title = f"{len(doubtful)} of {len(looked.seen)} are doubtful, the worst first"
        rows = [_row(one, arguments.max_megapixels) for one in worst]
        sheet = contact_sheet(title, rows)
        highest = next(row.max_side for row in FORMATS if row.id == format)
        if len(sheet) > highest:
            raise BadOption(
                f"{out} can be {highest} pixels high, and {len(rows)} rows need {len(sheet)}. "
                "Lower --worst, or name a .jpg."
            )
        quality = _QUALITY if format in ("jpeg", "webp") else None
        write_atomic(out, encode(sheet, format, quality=quality, metadata=signature()))
    if arguments.json:
        objects = [one.data() for one in everything]
        objects += [{"picture": one.name, "not_read": one.unread} for one in looked.unread]
        print("\n".join(map(json.dumps, objects)))
    else:
        lines = [f"{one.path}: {one.reason}" for one in doubtful] or ["Nothing is doubtful."]
        lines += [f"{one.path}: not judged: {one.reason}" for one in looked.unjudged]
        print("\n".join(lines))
    words = f"{len(doubtful)} of {len(looked.seen)} results are doubtful."
    words += f" The {len(worst)} worst are in {out}." if worst else " No sheet was written."
    if looked.unjudged:
        words += (
            f" {len(looked.unjudged)} pictures have no transparency and no receipt, and were not "
            "judged."
        )
    unread = say_unread(Unreads((one.name, one.unread) for one in looked.unread).kinds())
    print(f"{words} {unread}".rstrip(), file=sys.stderr)
    return 1 if looked.failed else 0


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {_MOST}")
    return number


def _look(arguments: argparse.Namespace) -> _Looked:
    """Judge every result; one picture is in memory at a time. That the inputs in a folder, beside
    its results, cannot be judged is no failure; that a picture which was named cannot be is one."""
    looked = _Looked()
    records = open_user_records()
    sources = expand(arguments.results, recursive=arguments.recursive)
    if none_found(sources):
        reasons = [source.reason for source in sources if source.reason]
        raise BadOption(" ".join(["There is nothing to look at.", *reasons]))
    for source in tqdm(sources, unit="picture", disable=None, file=sys.stderr):
        if source.unread:
            looked.unread.append(source)
            continue
        if source.path is None:
            looked.fail(source.name, source.reason or "A result needs a file; name it.")
            continue
        try:
            data = source.path.read_bytes()
            picture = read_picture(data, name=source.name, max_megapixels=arguments.max_megapixels)
        except (PictureError, OSError) as error:
            looked.fail(source.name, str(error))
            continue
        judged = judge(source.path, data, picture, records)
        if isinstance(judged, Seen):
            looked.seen.append(judged)
        elif not _is_old_sheet(source.path, arguments.output):
            looked.unjudged.append(judged)
            if source.name in arguments.results:
                looked.fail(source.name, f"{source.name} holds no mask: {judged.reason}")
    cuts = {(one.path.parent, one.path.stem) for one in looked.seen if not one.is_mask}
    looked.seen = [one for one in looked.seen if not (one.is_mask and cuts & set(_cuts_of(one)))]
    return looked


def _is_old_sheet(path: Path, out: Path) -> bool:
    return out in Taken([path]) and is_signed_only(path)


def _cuts_of(mask: Seen) -> list[tuple[Path, str]]:
    """Say what the cut-out of the same picture is called, where `rmbg remove --mask` wrote both."""
    stem = mask.path.stem.removesuffix(MASK)
    return [(mask.path.parent, name) for name in (stem, f"{stem}{CUTOUT}")]


def _row(one: Seen, max_megapixels: float) -> Row:
    """Read again, and kept no larger than its cell: a hundred rows would not fit into memory."""
    picture = read_picture(one.path, name=str(one.path), max_megapixels=max_megapixels)
    colour, alpha = picture.pixels, picture.alpha
    if one.is_mask:
        colour, alpha = torch.zeros_like(colour), mask_of(picture)
    elif alpha is None:
        alpha = torch.ones_like(colour[..., 0])
    height, width = alpha.shape
    scale = min(1.0, CELL / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = resize_layer(Layer(colour, alpha), *size)
    cut = torch.cat((small.colour, small.alpha[..., None]), dim=-1)
    return Row(one.path.name, one.reason, None, cut)
