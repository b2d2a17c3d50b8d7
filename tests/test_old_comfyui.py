"""A ComfyUI older than the nodes need gets a sentence in its log, not a failed import."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import rmbg_nodes
from rmbg_nodes.tests.support.comfy_standin import standing_in


@pytest.fixture
def comfy() -> Iterator[ModuleType]:
    """The stand-in's `io`, and an entry point that has not seen another one."""
    with standing_in():
        kept = sys.modules.pop("rmbg_nodes.nodes", None)
        yield sys.modules["comfy_api.latest"].io
        sys.modules.pop("rmbg_nodes.nodes", None)
        if kept is not None:
            sys.modules["rmbg_nodes.nodes"] = kept


class OldSchema:
    """The arguments of ComfyUI 0.3.64."""

    def __init__(self, *, node_id: str, display_name: str, inputs: object, outputs: object) -> None:
        raise AssertionError("no schema may be made here")


def entered() -> list[str]:
    extension = asyncio.run(rmbg_nodes.comfy_entrypoint())
    return [node.GET_SCHEMA().node_id for node in asyncio.run(extension.get_node_list())]


def test_an_old_comfyui_is_named_and_gets_no_nodes(
    comfy: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(comfy, "Schema", OldSchema)
    monkeypatch.delattr(comfy, "DynamicCombo")
    version = ModuleType("comfyui_version")
    version.__version__ = "0.3.64"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "comfyui_version", version)
    assert entered() == []
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rmbg_nodes", logging.WARNING)
    assert record.getMessage() == (
        "RMBG Nodes needs ComfyUI 0.11.0 or newer, and this is 0.3.64: its nodes are not loaded. "
        "Update ComfyUI and start it again."
    )


def test_a_fork_without_a_version_is_told_too(
    comfy: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(comfy, "Schema", OldSchema)
    monkeypatch.setitem(sys.modules, "comfyui_version", None)  # importing it fails
    assert entered() == []
    assert "0.11.0 or newer, and this is an older one:" in caplog.text


def test_a_comfyui_that_has_what_is_needed_gets_the_nodes(
    comfy: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    assert "RMBG_Load" in entered()
    assert caplog.records == []
