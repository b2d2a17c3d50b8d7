"""ComfyUI as the nodes know it against ComfyUI as it is: the newest files that could be read.

`tests/data/comfyui-signatures.json` names the commit of each file. With COMFYUI_DIR the same is
asked of that checkout.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from rmbg_nodes.core.types import Job
from rmbg_nodes.tests.conformance import disc_frame
from rmbg_nodes.tests.support.comfy_standin import standing_in
from rmbg_nodes.tests.support.core_signatures import (
    RECORDED,
    calls_of,
    misfits,
    of_checkout,
    parsed,
    used,
)

DATA: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
HAS = {name: parsed(text) for file in DATA["has"] for name, text in file["has"].items()}


@pytest.fixture
def nodes() -> Iterator[ModuleType]:
    with standing_in():
        yield importlib.import_module("rmbg_nodes.nodes")


@pytest.fixture
def checkout() -> Path:
    given = os.environ.get("COMFYUI_DIR")
    if not given:
        pytest.skip("COMFYUI_DIR is not set: no ComfyUI checkout to compare with")
    return Path(given).resolve()


def test_every_file_is_named_with_its_commit() -> None:
    for file in (*DATA["has"], *DATA["calls"], *DATA["models"]):
        assert file["file"].endswith(".py")
        assert len(file["commit"]) == 40


def test_the_newest_core_takes_every_call_of_the_nodes() -> None:
    assert misfits(used(), HAS) == []
    assert set(HAS) == set(used())  # nothing is kept that is no longer used


def test_a_checkout_takes_every_call_of_the_nodes(checkout: Path) -> None:
    names = used()
    there = {name: parsed(text) for name, text in of_checkout(checkout, list(names)).items()}
    assert misfits(names, there) == []


@pytest.mark.parametrize(
    ("core", "told"),
    [
        (None, "m:f is missing"),
        ("a", "m:f: b is not taken"),
        ("b=..., a=...", "m:f: a stands at another place"),
        ("a, b, c", "m:f: c must be given"),
        ("a, b, *, c", "m:f: c must be given"),
        ("a, *, b=...", "m:f: b stands at another place"),
        ("a, b", "m:f: b must be given"),
    ],
)
def test_a_core_that_changed_is_told(core: str | None, told: str) -> None:
    there = {} if core is None else {"m:f": parsed(core)}
    assert told in misfits({"m:f": parsed("a, b=...")}, there)
    for fine in ("a, b=..., c=...", "a, *more, **others", "a=..., b=..., *, c=..."):
        assert misfits({"m:f": parsed("a, b=...")}, {"m:f": parsed(fine)}) == []


def accepts(nodes: ModuleType, call: ast.Call) -> None:
    """Our remover takes a call that core's node makes."""
    remover = importlib.import_module("rmbg_nodes.nodes.socket").Remover
    given = {keyword.arg: None for keyword in call.keywords if keyword.arg}
    inspect.signature(remover.encode_image).bind(None, *call.args, **given)


@pytest.mark.parametrize("file", DATA["calls"], ids=lambda file: file["commit"][:8])
def test_what_cores_node_calls_on_our_remover(nodes: ModuleType, file: dict[str, Any]) -> None:
    for text in file["encode_image"]:
        (call,) = calls_of(f"it.encode_image({text})", "encode_image")
        accepts(nodes, call)


def test_what_a_checkouts_nodes_call_on_our_remover(nodes: ModuleType, checkout: Path) -> None:
    source = (checkout / "comfy_extras" / "nodes_bg_removal.py").read_text(encoding="utf-8")
    calls = calls_of(source, "encode_image")
    assert calls
    for call in calls:
        accepts(nodes, call)


@pytest.mark.parametrize("file", DATA["models"], ids=lambda file: file["commit"][:8])
@pytest.mark.parametrize("resolution", [0, 2048])
def test_cores_models_old_and_new_are_called_as_they_are_written(
    nodes: ModuleType, file: dict[str, Any], resolution: int
) -> None:
    signature = parsed(file["encode_image"])
    assert signature is not None
    given: list[dict[str, object]] = []

    def encode_image(*args: Any, **named: Any) -> torch.Tensor:
        given.append(signature.bind(*args, **named).arguments)
        return args[0].mean(dim=-1)

    encode_image.__signature__ = signature  # type: ignore[attr-defined]
    model = type("Model", (), {"encode_image": staticmethod(encode_image)})()
    module = importlib.import_module("rmbg_nodes.nodes.core_model")
    (outcome,) = module.CoreModelBackend(model).at(resolution).run([disc_frame(0)], Job())
    takes = "image_size" in signature.parameters
    assert given[0].get("image_size") == (resolution if takes and resolution else None)
    assert bool(outcome.result.facts.notes) == (bool(resolution) and not takes)
