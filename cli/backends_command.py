"""`rmbg backends`: what can remove backgrounds."""

from __future__ import annotations

import argparse
import json

from ..catalogue.backends import BACKENDS
from ..catalogue.hosted_videos import VIDEO_ROWS
from ..catalogue.licences import LICENCES
from ..core.specs import BackendSpec, Price
from .terminal import markdown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON list")
    form.add_argument("--markdown", action="store_true", help="print the table of the README")


def run(arguments: argparse.Namespace) -> int:
    if arguments.markdown:
        print(markdown_table())
        return 0
    rows = [_row(spec) for spec in BACKENDS.values()]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(f"{row['id']:<20}{row['summary']}")
        print(
            f"{'':<20}commercial use: {row['commercial_use']}; price: {row['price']}; "
            f"needs: {row['needs']}"
        )
        for option in BACKENDS[row["id"]].options:
            choices = f" ({', '.join(option.choices)})" if option.choices else ""
            print(f"{'':<20}--option {option.name}={option.default}{choices}")
    print("\nWhole videos, for `rmbg video` alone:")
    for spec in VIDEO_ROWS:
        print(f"{spec.id:<20}{spec.summary}")
        print(f"{'':<20}price: {_price_words(spec.price)}; needs: {_needs(spec)}")
    return 0


def markdown_table() -> str:
    """Make the README's table; a test compares the two."""
    rows = map(_row, BACKENDS.values())
    return markdown(
        ("backend", "what", "price", "needs"),
        ((f"`{row['id']}`", row["summary"], row["price"], row["needs"]) for row in rows),
    )


def _row(spec: BackendSpec) -> dict[str, str]:
    return {
        "id": spec.id,
        "label": spec.label,
        "summary": spec.summary,
        "location": spec.location,
        "licence": LICENCES[spec.licence].name,
        "commercial_use": LICENCES[spec.licence].commercial_words,
        "price": _price_words(spec.price),
        "needs": _needs(spec),
    }


def _price_words(price: Price | None) -> str:
    if price is None:
        return "free"
    if price.amount is None:
        return f"{price} ({price.source})"
    return f"{price} a {price.unit} ({price.origin}, {price.as_of}, {price.source})"


def _needs(spec: BackendSpec) -> str:
    if spec.key_variables:
        return f"your key ({' or '.join(spec.key_variables)})"
    return "its weights" if spec.model else "nothing"
