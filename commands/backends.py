"""`rmbg backends`: what can remove backgrounds."""

from __future__ import annotations

import argparse
import json

from ..backends.catalogue import BACKENDS
from ..core.licences import LICENCES
from ..core.types import BackendSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    rows = [_row(spec) for spec in BACKENDS.values()]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(f"{row['id']:<20}{row['summary']}")
        print(
            f"{'':<20}commercial use: {row['commercial_use']}; price: {row['price']}; "
            f"{row['state']}"
        )
    return 0


def _row(spec: BackendSpec) -> dict[str, str]:
    price = spec.price
    return {
        "id": spec.id,
        "label": spec.label,
        "summary": spec.summary,
        "location": spec.location,
        "licence": LICENCES[spec.licence].name,
        "commercial_use": LICENCES[spec.licence].commercial_words,
        "price": f"{price} a picture ({price.as_of}, {price.source})" if price else "free",
        "state": "ready" if spec.target else "not in this version",
    }
