"""`rmbg inspect`: what a picture says of itself, and whether a receipt knows its pixels.

The first can be edited by anybody, the second is proof: a receipt holds the sha256 of the pixels.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from ..bookkeeping import open_books
from ..core.digest import pixel_digests
from ..core.errors import BadOption, BadPicture
from ..core.report import JsonValue
from ..pictures.formats import Readable, sniff
from ..pictures.metadata import metadata_of
from ..pictures.provenance import Provenance, read_provenance
from ..pictures.read import Picture, read_picture
from ..pictures.workflow import has_workflow
from ..records.chain import Receipt
from .shared import STDOUT, add_reading

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
    parser.add_argument("file", metavar="FILE", help="a picture file; - is stdin")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_reading(parser)


@dataclass(frozen=True)
class _Findings:
    """format, picture, said: what the file holds. matching: the receipts of its very pixels."""

    format: Readable
    picture: Picture
    said: Provenance | None
    workflow: bool
    matching: tuple[Receipt, ...]


def run(arguments: argparse.Namespace) -> int:
    """0: a receipt matches; 1: none does; 2: the file cannot be read."""
    try:
        findings = _inspect(arguments.file, arguments.max_megapixels)
    except BadPicture as error:
        print(f"rmbg: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(_data(arguments.file, findings), indent=2))
    else:
        print("\n".join(_lines(arguments.file, findings)))
    return 0 if findings.matching else 1


def _inspect(file: str, max_megapixels: float) -> _Findings:
    content = sys.stdin.buffer.read() if file == STDOUT else Path(file)
    picture = read_picture(content, name=_name(file), max_megapixels=max_megapixels)
    data = content if isinstance(content, bytes) else content.read_bytes()
    format = sniff(data)
    assert format is not None  # it was read
    metadata = metadata_of(data)
    return _Findings(
        format, picture, read_provenance(metadata), has_workflow(metadata), _matching(picture)
    )


def _matching(picture: Picture) -> tuple[Receipt, ...]:
    digests = pixel_digests(picture.image, deep=picture.depth == 16)
    receipts = open_books().receipts
    try:
        found = [
            receipt
            for digest in (digests.levels16, digests.levels8)
            if digest is not None
            for receipt in receipts.matching(digest)
        ]
    except sqlite3.Error as error:
        raise BadOption(
            f"The receipts cannot be read ({error}), so nothing can be said of {picture.name}. "
            "`rmbg receipts verify` says more."
        ) from error
    return tuple({receipt.hash: receipt for receipt in found}.values())


def _data(file: str, findings: _Findings) -> dict[str, JsonValue]:
    picture, said = findings.picture, findings.said
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
        "receipts": [receipt.id for receipt in findings.matching],
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
    """Without line breaks and what terminals obey: a file must not write a verdict of its own."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _verdict(findings: _Findings) -> str:
    claimed = _one_line(findings.said.receipt) if findings.said else ""
    known = {receipt.id: receipt for receipt in findings.matching}
    if known:
        named = claimed if claimed in known else [*known][-1]
        time = str(known[named].data().get("time", ""))[:19].replace("T", " ")
        others = f", and of {len(known) - 1} more" if len(known) > 1 else ""
        wrong = f" The file names another one, {claimed}." if claimed not in ("", named) else ""
        return f"Its pixels are those of receipt {named} of {time} UTC{others}.{wrong}"
    if findings.format.id == "jpeg":
        return "No receipt has these pixels: JPEG changes them. Keep a PNG where it must be proved."
    if claimed:
        return (
            f"No receipt has these pixels, although the file names {claimed}: it was changed, made "
            "on another machine, or written with other bits than its receipt."
        )
    return "No receipt here has these pixels."


def _name(file: str) -> str:
    return "standard input" if file == STDOUT else file
