"""Inputs as ComfyUI's frontend names them, for the tests of translations and help pages."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .comfy_standin import Item, standing_in

#: Beside English; ComfyUI's own codes.
TRANSLATED = ("zh", "ja")


class Schema(Protocol):
    """What is read of a node's schema."""

    node_id: str
    display_name: str
    category: str
    description: str
    inputs: Sequence[Item]
    outputs: Sequence[Item]


@dataclass
class Words:
    """What the user reads of one input; tooltips and choices of all menu entries that have it."""

    name: str
    tooltips: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)

    def add(self, item: Item) -> None:
        for old, new in (
            (self.tooltips, [str(item.settings["tooltip"])]),
            (self.choices, _choices(item)),
        ):
            old += [text for text in new if text not in old]


def schemas() -> list[Schema]:
    """Those of all nodes, on the stand-in for ComfyUI."""
    with standing_in():
        nodes = importlib.import_module("rmbg_nodes.nodes.node_list").NODES
        return [node.GET_SCHEMA() for node in nodes]


def inputs_of(schema: Schema) -> dict[str, Words]:
    """By the frontend's keys. An input inside a menu entry has both names in its key, and not the
    entry's: `backend_model` is the model of every backend."""
    found: dict[str, Words] = {}
    for item in schema.inputs:
        found[str(item.id)] = words = Words(str(item.id))
        words.add(item)
        for option in _options(item):
            for sub in getattr(option, "inputs", []):
                found.setdefault(f"{item.id}_{sub.id}", Words(str(sub.id))).add(sub)
    return found


def _options(item: Item) -> Sequence[object]:
    options = item.settings.get("options", ())
    assert isinstance(options, (list, tuple))
    return options


def _choices(item: Item) -> list[str]:
    return [str(getattr(option, "key", option)) for option in _options(item)]
