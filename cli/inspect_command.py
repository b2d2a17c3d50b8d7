"""`rmbg inspect`: what a picture says of itself, and which receipt knows it.

The first can be edited by anyone. A receipt holds the sha256 of the pixels, and the records that
of the file's bytes, see records/delivered.py.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from ..core.errors import BadOption, BadPicture
from ..core.report import JsonValue
from ..pictures.formats import Readable, sniff
from ..pictures.metadata import has_workflow, metadata_of
from ..pictures.provenance import Provenance, read_provenance
from ..pictures.read import Picture, read_picture
from ..pipeline.context import open_user_records
from .matching import Match, match_file
from .shared import STDOUT, add_reading
from .terminal import say

_EXIT = (
    "Exit status: 0: this very file was written with a receipt that is here, or a receipt has its "
    "pixels; 1: it only names a receipt (it was changed or saved again since), or there is none; "
    "2: it, or the receipts, cannot be read. --json has it as `match`: bytes, pixels, id or none."
)
# Provenance -> what people read.
_LABELS = {
    "software": "written by",
    "date": "on",
    "backend": "backend",
    "model": "model",
    "architecture": "network",
    "weights_sha256": "weights sha256",
    "licence": "licence",
    "usage": "use",
    "attribution": "credit",
    "web_statement": "licence text",
    "left_machine": "left the machine",
    "request_id": "request",
    "receipt": "receipt",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EXIT
    parser.add_argument("file", metavar="FILE", help="a picture file; - is stdin")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_reading(parser)


@dataclass(frozen=True)
class _Findings:
    """What the file holds."""

    format: Readable
    picture: Picture
    said: Provenance | None
    """What it says of itself."""
    workflow: bool
    match: Match
    """The receipts that it belongs to."""


def run(arguments: argparse.Namespace) -> int:
    """Return the status that _EXIT describes."""
    try:
        findings = _inspect(arguments.file, arguments.max_megapixels)
    except BadPicture as error:
        say(str(error))
        return 2
    if arguments.json:
        print(json.dumps(_data(arguments.file, findings), indent=2))
    else:
        print("\n".join(_lines(arguments.file, findings)))
    return 0 if findings.match.proved else 1


def _inspect(file: str, max_megapixels: float) -> _Findings:
    content = sys.stdin.buffer.read() if file == STDOUT else Path(file)
    picture = read_picture(content, name=_name(file), max_megapixels=max_megapixels)
    data = content if isinstance(content, bytes) else content.read_bytes()
    format = sniff(data)
    assert format is not None  # it was read
    metadata = metadata_of(data)
    said = read_provenance(metadata)
    try:
        match = match_file(data, picture, said, open_user_records())
    except sqlite3.Error as error:
        raise BadOption(
            f"The receipts cannot be read ({error}), so nothing can be said of {picture.name}. "
            "`rmbg receipts verify` says more."
        ) from error
    return _Findings(format, picture, said, has_workflow(metadata), match)


def _data(file: str, findings: _Findings) -> dict[str, JsonValue]:
    picture, said, match = findings.picture, findings.said, findings.match
    height, width = picture.pixels.shape[:2]
    return {
        "file": file,
        "format": findings.format.id,
        "width": width,
        "height": height,
        "depth": picture.depth,
        "alpha": picture.alpha is not None,
        "says": None if said is None else {k: v for k, v in asdict(said).items() if v},
        "source_type": picture.source_type,
        "workflow": findings.workflow,
        "match": match.kind,
        "part": match.part,
        "receipts": [receipt.id for receipt in match.receipts] if match.proved else [],
        "verdict": _verdict(findings),
    }


def _lines(file: str, findings: _Findings) -> list[str]:
    picture = findings.picture
    height, width = picture.pixels.shape[:2]
    alpha = "without alpha" if picture.alpha is None else "with alpha"
    label = findings.format.label
    lines = [f"{_name(file)}: {label}, {width} x {height}, {picture.depth} bits, {alpha}"]
    says = {} if findings.said is None else asdict(findings.said)
    rows = {label: says[key] for key, label in _LABELS.items() if says.get(key)}
    rows |= {"source type": picture.source_type} if picture.source_type else {}
    rows |= {"ComfyUI workflow": "in the file"} if findings.workflow else {}
    if findings.said is None:
        lines.append("It says nothing of a background removal by rmbg-nodes.")
    else:
        lines.append("It says of itself:")
    lines += [f"  {name + ':':<18}{_one_line(text)}" for name, text in rows.items()]
    return [*lines, _verdict(findings)]


def _one_line(text: str) -> str:
    """Return the text without line breaks and what terminals obey: a file must not write a verdict
    of its own."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _verdict(findings: _Findings) -> str:
    claimed = _one_line(findings.said.receipt) if findings.said else ""
    match = findings.match
    receipt = match.receipt(claimed)
    if receipt is None:
        return _verdict_of_none(claimed)
    time = str(receipt.data().get("time", ""))[:19].replace("T", " ")
    named = f"{receipt.id} of {time} UTC"
    if not match.proved:
        return (
            f"Only the id matches. No receipt has these pixels, although the file names {named}, "
            "and no file of these bytes is noted: it was changed or saved again since, or written "
            "before files were noted."
        )
    others = f", and of {len(match.receipts) - 1} more" if len(match.receipts) > 1 else ""
    wrong = f" The file names another one, {claimed}." if claimed not in ("", receipt.id) else ""
    if match.kind == "pixels":
        return f"Its pixels are those of receipt {named}{others}; its bytes are others.{wrong}"
    return (
        f"Its bytes are those of the file written with receipt {named}{others}, by a note in the "
        f"records that, other than receipts, no chain protects.{wrong}"
    )


def _verdict_of_none(claimed: str) -> str:
    if claimed:
        return (
            f"No receipt has these pixels, although the file names {claimed}, which is not here: "
            "it was made on another machine, or its receipts were deleted."
        )
    return "No receipt here has these pixels, and no file of these bytes is noted."


def _name(file: str) -> str:
    return "standard input" if file == STDOUT else file
