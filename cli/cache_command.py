"""`rmbg cache`: what paid results take on disk, and how to be rid of them."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..pipeline.context import open_user_records
from ..records.cache import CacheInfo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = actions.add_parser("info", help="how many results are kept, and where")
    clear = actions.add_parser("clear", help="remove them; their pictures would be paid for again")
    for action in (info, clear):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    cache = open_user_records().cache
    if arguments.action == "clear":
        removed = cache.clear()
        print(json.dumps({"removed": removed}) if arguments.json else f"{removed} results removed.")
        return 0
    info = cache.info()
    facts = {**asdict(info), "folder": str(info.folder)}
    print(json.dumps(facts, indent=2) if arguments.json else _sentence(info))
    return 0


def _sentence(info: CacheInfo) -> str:
    limit = (
        f"at most {info.most_bytes / 1e6:,.0f} MB" if info.most_bytes else "off: RMBG_CACHE is 0"
    )
    return f"{info.entries} paid results, {info.bytes / 1e6:,.1f} MB ({limit}) in {info.folder}"
