"""What Remove Background says on the node, in the real frontend, and ComfyUI's Create Video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rmbg_nodes.tests.support.browser import RENDERERS, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_graphs import REMOVE, error_of, node
from rmbg_nodes.tests.support.comfy_server import Server

SHOWN = """words => app.graph.nodes.some(node => node.type === 'RMBG_RemoveBackground'
    && node.widgets.some(widget => String(widget.value).startsWith(words)))"""


@pytest.fixture(scope="module", params=RENDERERS)
def page(request: pytest.FixtureRequest, server: Server) -> Iterator[Tab]:
    server.put_picture("blank.png", np.full((256, 320, 3), 128, np.uint8))
    set_up(server, request.param)
    with tab(server, request.param) as opened:
        yield opened


def graph_of(picture: str, frames: int = 1, background: str = "transparent") -> dict[str, Any]:
    return {
        "1": node("LoadImage", image=picture),
        "2": node("RepeatImageBatch", image=["1", 0], amount=frames),
        "3": node("RMBG_Load", usage="non-commercial", backend="keyer"),
        "4": node(
            "RMBG_RemoveBackground",
            remover=["3", 0],
            image=["2", 0],
            **REMOVE | {"background": background},
        ),
        "5": node("SaveImage", images=["4", 0], filename_prefix="noticed"),
    }


def run(page: Tab, graph: dict[str, Any]) -> None:
    page.page.evaluate("graph => app.loadApiJson(graph, 'notices')", graph)
    page.page.wait_for_function("n => app.graph.nodes.length === n", arg=len(graph))
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.page.evaluate("() => app.queuePrompt(0, 1)")


@pytest.mark.parametrize(
    ("name", "picture", "frames", "words"),
    [
        ("empty", "blank.png", 1, "No subject found, so the cut-out is empty."),
        ("frames", "rmbg-product.jpg", 9, "9 frames with transparency"),
    ],
)
def test_a_warning_shows_on_the_node(
    page: Tab, name: str, picture: str, frames: int, words: str
) -> None:
    run(page, graph_of(picture, frames))
    page.page.wait_for_function(SHOWN, arg=words, timeout=120_000)
    page.wait_for_picture()
    page.shoot(f"notice-{name}")
    assert page.complaints() == []


def test_create_video_takes_a_colour_and_no_transparency(server: Server) -> None:
    """The wall that the warning is about, and the way around it."""
    video = {
        "6": node("CreateVideo", images=["4", 0], fps=12.0),
        "7": node("SaveVideo", video=["6", 0], filename_prefix="video", format="mp4", codec="h264"),
    }
    fails = server.run(graph_of("rmbg-product.jpg", 2) | video)
    assert "Unexpected numpy array shape" in error_of(fails)
    works = server.run(graph_of("rmbg-product.jpg", 2, "white") | video)
    assert works["status"]["status_str"] == "success", works["status"]
