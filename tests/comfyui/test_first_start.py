"""The first minute of a new user, in the real frontend, with nothing but the mouse."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.tests.support import comfy_server
from rmbg_nodes.tests.support.browser import tab
from rmbg_nodes.tests.support.comfy_server import Server, serving

# As ComfyUI's registry and `git clone` name it: of a folder with a space in its name, ComfyUI lists
# the templates and cannot serve them.
FOLDER = "rmbg-nodes"
MOST_SECONDS = 60


@pytest.fixture
def new(comfyui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A ComfyUI that was never opened: no settings, no records, no keys, no weights."""
    monkeypatch.setattr(comfy_server, "FOLDER", FOLDER)
    (tmp_path / "input").mkdir()
    shutil.copy(comfyui / "input" / "example.png", tmp_path / "input")
    user = str(tmp_path / "me")
    with serving(comfyui, tmp_path, RMBG_DATA=user, XDG_CONFIG_HOME=user) as running:
        yield running


def test_three_clicks_from_a_fresh_comfyui_to_a_cut_out(new: Server) -> None:
    """The first start opens the templates by itself."""
    clicks = []
    with tab(new, "canvas") as fresh:

        def click(what: str) -> None:
            fresh.page.locator(what).first.click()
            clicks.append(what)

        started = time.monotonic()
        click(f"nav >> text={FOLDER}")
        fresh.page.wait_for_function(
            """() => document.querySelector('[data-testid=template-workflow-start-here] img')
                ?.naturalWidth === 512"""  # ours; the frontend's own stands in until it is there
        )
        fresh.shoot("templates")
        click("[data-testid=template-workflow-start-here]")
        fresh.page.wait_for_function("() => app.graph.nodes.some(n => n.type === 'RMBG_Load')")
        click("[data-testid=queue-button]")
        fresh.wait_for_picture()
        took = time.monotonic() - started
        fresh.shoot("first-start")
        assert len(clicks) == 3
        assert took < MOST_SECONDS
        assert fresh.complaints() == []
