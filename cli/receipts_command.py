"""`rmbg receipts`: what was done with which model, under which licence, and what it cost."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from itertools import islice
from pathlib import Path

from ..core.errors import BadOption
from ..core.report import JsonValue
from ..core.specs import UNKNOWN
from ..pictures.write import write_atomic
from ..pipeline.context import open_user_records
from ..records.chain import Receipt
from ..records.receipts import Receipts
from ..records.trouble import remedy
from .spreadsheet import Cell, csv_text
from .terminal import say, table

#: Columns of a table for people, and of the CSV: heading -> where it stands in a receipt.
_COLUMNS = {
    "id": "id",
    "time (UTC)": "time",
    "outcome": "outcome",
    "backend": "backend",
    "usage": "usage",
    "cost": "cost",
    "currency": "currency",
}
_CSV = (
    *("id", "hash", "number", "previous", "time", "outcome", "error", "paid"),
    *("backend", "provider", "model", "architecture", "weights_sha256"),
    *("request_id", "device", "seconds"),
    *("cost", "currency", "left_machine", "usage"),
    *("licence.id", "licence.name", "licence.text_sha256", "licence.ground", "licence.accepted_by"),
    *("input.width", "input.height", "input.channels", "input.sha256", "input.sha256_16"),
    *("image.channels", "image.sha256", "image.sha256_16", "mask.sha256", "mask.sha256_16"),
    *("settings", "warnings", "flags", "software", "flags.doubt"),
)
_GROUPS: dict[str, Callable[[dict[str, JsonValue]], str]] = {
    "day": lambda row: str(row.get("time"))[:10],
    "backend": lambda row: str(row.get("backend")),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the last ones, oldest first")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="how many (default 20)")
    show = actions.add_parser("show", help="all that one receipt says, as JSON")
    show.add_argument("id", metavar="ID", help="as reports and files name it, or a hash")
    export = actions.add_parser("export", help="all of them, with the head of the chain")
    form = export.add_mutually_exclusive_group(required=True)
    form.add_argument("--json", action="store_true", help="complete, and can be verified")
    form.add_argument("--csv", action="store_true", help="a table for a spreadsheet")
    export.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    verify = actions.add_parser("verify", help="whether none was changed or removed (status 0, 1)")
    earlier = verify.add_mutually_exclusive_group()
    earlier.add_argument("--head", metavar="HASH", help="that an earlier export named as its head")
    earlier.add_argument("--since", metavar="FILE", help="an earlier export as JSON")
    summary = actions.add_parser("summary", help="pictures and cost, by day or by backend")
    summary.add_argument("--by", choices=(*_GROUPS,), default="day")
    for action in (listing, summary):
        action.add_argument("--since", metavar="DATE", help="from this time (UTC) on: 2026-01-31")
        action.add_argument("--backend", metavar="ID", help="of this backend or provider only")
        action.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    receipts = open_user_records().receipts
    say(*receipts.warnings)
    actions = {"list": _list, "show": _show, "export": _export, "verify": _verify}
    try:
        return actions.get(arguments.action, _summary)(receipts, arguments)
    except sqlite3.Error as error:
        say(f"The receipts cannot be read ({error}). {remedy(error)}")
        return 1


def _list(receipts: Receipts, arguments: argparse.Namespace) -> int:
    if arguments.limit < 1:
        raise BadOption(f"--limit is {arguments.limit}; it must be 1 or more.")
    found = list(islice(_chosen(receipts, arguments), arguments.limit))[::-1]
    if arguments.json:
        print(json.dumps(found, indent=2))
    elif not found:
        print("There are no receipts yet." if not receipts.head()[0] else "No receipt is such.")
    else:
        rows = [[str(_at(row, path) or "") for path in _COLUMNS.values()] for row in found]
        for row in rows:
            row[1] = row[1][:19].replace("T", " ")
        print("\n".join(table([[*_COLUMNS], *rows])))
    return 0


def _show(receipts: Receipts, arguments: argparse.Namespace) -> int:
    try:
        found = receipts.find(arguments.id)
    except ValueError as error:
        raise BadOption(f"{error}; it looks like R-0123456789ab.") from error
    for receipt in found:
        said = _data(receipt)
        text = receipts.licence_text(str(_at(said, "licence.text_sha256")))
        print(json.dumps({**said, "licence_text": json.loads(text) if text else None}, indent=2))
    if not found:
        say(f"there is no receipt {arguments.id}.")
    return 0 if found else 1


def _export(receipts: Receipts, arguments: argparse.Namespace) -> int:
    rows = [_data(receipt) for receipt in receipts.each()]
    count, head = (rows[-1]["number"], rows[-1]["hash"]) if rows else receipts.head()
    if arguments.csv:
        text = csv_text(_CSV, ([_cell(_at(row, path)) for path in _CSV] for row in rows))
    else:
        named = sorted({str(_at(row, "licence.text_sha256")) for row in rows})
        texts: dict[str, JsonValue] = {digest: receipts.licence_text(digest) for digest in named}
        whole = {"head": {"count": count, "hash": head}, "receipts": rows, "licence_texts": texts}
        text = json.dumps(whole, indent=1)
    said = f"{count} receipts. Head: {head}"
    if arguments.output:
        write_atomic(Path(arguments.output), text.encode())
        print(said)
    else:
        print(text)
        print(said, file=sys.stderr)
    return 0


def _verify(receipts: Receipts, arguments: argparse.Namespace) -> int:
    head = arguments.head if arguments.since is None else _head_of(Path(arguments.since))
    try:
        verdict = receipts.verify(head)
    except ValueError as error:
        raise BadOption(f"{error}; give the head that `receipts export` printed.") from error
    if verdict.fault:
        in_order = f"The first {verdict.count} are in order." if verdict.count else ""
        say(f"{verdict.fault} {in_order}".rstrip())
        return 1
    print(f"{verdict.count} receipts, none changed or missing. Head: {verdict.head}")
    return 1 if receipts.warnings else 0


def _summary(receipts: Receipts, arguments: argparse.Namespace) -> int:
    groups: dict[str, list[dict[str, JsonValue]]] = {}
    for row in _chosen(receipts, arguments):
        groups.setdefault(_GROUPS[arguments.by](row), []).append(row)
    totals = [_total(arguments.by, name, groups[name]) for name in sorted(groups)]
    if arguments.json:
        print(json.dumps(totals, indent=2))
    elif not totals:
        print("No receipt is such.")
    else:
        words = [[str(value) for value in total.values()] for total in totals]
        print("\n".join(table([[name.replace("_", " ") for name in totals[0]], *words])))
    return 0


def _total(by: str, name: str, rows: list[dict[str, JsonValue]]) -> dict[str, JsonValue]:
    costs: dict[str, Decimal] = {}
    unpriced = 0
    for row in rows:
        told = row.get("cost") or 0
        if told == UNKNOWN:
            unpriced += 1
        elif cost := Decimal(str(told)):
            currency = str(row.get("currency"))
            costs[currency] = costs.get(currency, Decimal(0)) + cost
    sums = [f"{costs[each]} {each}" for each in sorted(costs)]
    sums += [f"{unpriced} x {UNKNOWN}"] if unpriced else []
    return {
        by: name,
        "delivered": sum(row.get("outcome") == "delivered" for row in rows),
        "failed": sum(row.get("outcome") == "failed" for row in rows),
        "cost": ", ".join(sums) or "0",
        "may_be_owed": sum(row.get("paid") in ("fetchable", "perhaps") for row in rows),
        "left_the_machine": sum(row.get("left_machine") is True for row in rows),
    }


def _chosen(receipts: Receipts, arguments: argparse.Namespace) -> Iterator[dict[str, JsonValue]]:
    """Yield those that were asked for, newest first."""
    since = _instant(arguments.since) if arguments.since else ""
    for receipt in receipts.each(newest_first=True):
        row = _data(receipt)
        of_backend = arguments.backend in (None, row.get("backend"), row.get("provider"))
        local = str(row.get("backend")).partition("/")[0] == arguments.backend
        if str(row.get("time")) >= since and (of_backend or local):
            yield row


def _instant(text: str) -> str:
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadOption(f"--since {text!r} is no date; write 2026-01-31 or more of it.") from error
    return given.replace(tzinfo=given.tzinfo or timezone.utc).astimezone(timezone.utc).isoformat()


def _head_of(export: Path) -> str:
    try:
        return str(json.loads(export.read_text(encoding="utf-8"))["head"]["hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadOption(f"{export} is no export of receipts as JSON that can be read.") from error


def _data(receipt: Receipt) -> dict[str, JsonValue]:
    """Return what it says, with id and hash; of a spoilt one only its number."""
    try:
        said = receipt.data()
    except ValueError:
        said = {"number": receipt.number}
    return {"id": receipt.id, "hash": receipt.hash, **said}


def _at(row: dict[str, JsonValue], path: str) -> JsonValue:
    value: JsonValue = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _cell(value: JsonValue) -> Cell:
    return json.dumps(value) if isinstance(value, (dict, list, bool)) else value
