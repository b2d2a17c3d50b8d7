"""`rmbg licences`: what each model and service allows, and how to credit it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from ..catalogue.licences import COMMERCIAL_MEANS, LICENCES, Licence
from .terminal import markdown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--attribution", action="store_true", help="print the attribution lines")
    form.add_argument("--markdown", action="store_true", help="print the table of the README")
    form.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    if arguments.attribution:
        print("\n".join(row.attribution for row in LICENCES.values()))
    elif arguments.markdown:
        print(markdown_table())
    elif arguments.json:
        print(json.dumps([asdict(row) for row in LICENCES.values()], indent=2))
    else:
        print("\n\n".join(_paragraph(row) for row in LICENCES.values()))
        print(f"\n{COMMERCIAL_MEANS}")
    return 0


def markdown_table() -> str:
    """Make the README's table; a test compares the two."""
    heading = ("what", "licence", "commercial use", "training data", "terms of that data")
    return markdown(heading, map(_cells, LICENCES.values()))


def _cells(row: Licence) -> tuple[str, ...]:
    name = f"[{row.name}]({row.licence_page})" if row.licence_page else row.name
    covers = f"[{row.covers}]({row.model_page})" if row.model_page else row.covers
    buy = f" ([buy one]({row.purchase_page}))" if row.purchase_page else ""
    return (covers, name, row.commercial_words + buy, row.training_data, row.data_words)


def _paragraph(row: Licence) -> str:
    facts = {
        "licence": row.name,
        "holder": row.holder,
        "commercial use": row.commercial_words,
        "training data": row.training_data,
        "its terms": row.data_words,
        "model": row.model_page,
        "text": row.licence_page,
        "buy": row.purchase_page,
        "contact": row.contact_page,
        "note": row.note,
        "attribution": row.attribution,
    }
    lines = [f"  {name + ':':<16}{fact}" for name, fact in facts.items() if fact]
    return "\n".join([f"{row.id}: {row.covers}", *lines])
