"""The line in ComfyUI's log about a folder's name; tests/comfyui asks the real server for files."""

# Pins the inside of nodes
# Pins the inside of nodes.folder_name
# Pins the inside of nodes.node_list

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.comfy_standin import standing_in


def said(name: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    with standing_in(), caplog.at_level(logging.WARNING, "rmbg_nodes"):
        from rmbg_nodes.nodes.folder_name import say_what_is_not_served

        say_what_is_not_served(name)
    return caplog.messages


@pytest.mark.parametrize("name", ["rmbg-nodes", "rmbg_nodes", "ComfyUI-RMBG2", "rmbg(1)", "a+b"])
def test_nothing_is_said_of_a_name_that_is_served(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert said(name, caplog) == []


@pytest.mark.parametrize(
    ("name", "missing", "instead"),
    [
        ("rmbg nodes", "templates", "rmbg-nodes"),
        ("comfyui-rmbg nodes 0.1", "templates", "comfyui-rmbg-nodes-0-1"),
        ("rmbg%20nodes", "templates", "rmbg-20nodes"),
        ("rmbgnödes", "templates", "rmbgn-des"),
        ("抠图", "templates", "rmbg-nodes"),
        ("rmbg.nodes", "keeps this pack's help pages", "rmbg-nodes"),
        ("rmbg@1", "keeps this pack's help pages", "rmbg-1"),
    ],
)
def test_one_line_names_what_is_missing_and_the_remedy(
    name: str, missing: str, instead: str, caplog: pytest.LogCaptureFixture
) -> None:
    (line,) = said(name, caplog)
    assert missing in line
    assert f"Rename the folder to {instead} and" in line


def test_it_is_looked_at_when_the_pack_is_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "input").mkdir()
    with standing_in(tmp_path), caplog.at_level(logging.WARNING, "rmbg_nodes"):
        from rmbg_nodes.nodes import extension, node_list

        looked: list[bool] = []
        monkeypatch.setattr(node_list, "say_what_is_not_served", lambda: looked.append(True))
        asyncio.run(extension().on_load())
    assert looked == [True]
