"""What Remove Background says on the node, in the real frontend, and ComfyUI's Create Video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from rmbg_nodes.tests.support.browser import READY, RENDERERS, TOAST, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_graphs import REMOVE, error_of, node
from rmbg_nodes.tests.support.comfy_server import Server, serving_scripts

NODE = "RMBG_RemoveBackground"


@pytest.fixture(scope="module")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_scripts(comfyui, tmp_path_factory.mktemp("notices")) as running:
        yield running


@pytest.fixture(scope="module", params=RENDERERS)
def page(request: pytest.FixtureRequest, server: Server) -> Iterator[Tab]:
    server.put_picture("blank.png", np.full((256, 320, 3), 128, np.uint8))
    with Image.open(server.folder / "input" / "rmbg-product.jpg") as product:
        server.put_picture("cut-off.png", np.asarray(product)[:, 100:600])
    server.put_picture("blurred.png", two_blurred_discs())
    set_up(server, request.param)
    with tab(server, request.param) as opened:
        yield opened


def two_blurred_discs() -> NDArray[np.uint8]:
    """Blue on grey, so far out of focus that most of both is edge."""
    rows, columns = np.mgrid[:256, :320]
    sharp = (rows - 128) ** 2 + np.minimum(abs(columns - 95), abs(columns - 225)) ** 2 < 40**2
    share = ndimage.gaussian_filter(sharp.astype(np.float32), 12)[..., None]
    levels = share * [30, 60, 200] + (1 - share) * [190, 190, 190]
    return levels.round().astype(np.uint8)


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
    ("name", "picture", "frames", "words", "toast"),
    [
        ("empty", "blank.png", 1, "No subject found, so the cut-out is empty.", True),
        ("border", "cut-off.png", 1, "The subject touches the picture's border (", True),
        ("doubtful", "blurred.png", 1, "The mask may be wrong (doubt 0.", False),
        ("frames", "rmbg-product.jpg", 9, "9 frames with transparency", False),
    ],
)
def test_a_warning_shows_on_the_node_and_the_worst_as_a_toast(
    page: Tab, name: str, picture: str, frames: int, words: str, toast: bool
) -> None:
    page.clear_toasts()
    run(page, graph_of(picture, frames))
    page.wait_for_line(NODE, words)
    page.wait_for_picture()
    page.shoot(f"notice-{name}")
    assert page.line(NODE).startswith(words)  # and stays when the run has ended
    assert any(words in text for text in page.toasts()) is toast
    assert page.complaints() == []


def test_both_are_there_again_when_comfyui_takes_the_result_from_its_cache(page: Tab) -> None:
    """A reloaded page has no line from before."""
    run(page, graph_of("blank.png"))
    page.wait_for_picture()
    page.page.reload(wait_until="domcontentloaded")
    page.page.wait_for_function(READY, timeout=120_000)
    run(page, graph_of("blank.png"))
    words = "No subject found, so the cut-out is empty."
    page.wait_for_line(NODE, words)
    page.page.locator(TOAST).first.wait_for(timeout=10_000)
    page.shoot("notice-again")
    assert page.complaints() == []


def test_a_toast_is_for_the_tab_that_ran_it(page: Tab, server: Server) -> None:
    """A prompt of a script, or of somebody else on the same ComfyUI."""
    page.clear_toasts()
    server.put_picture("other.png", np.full((256, 300, 3), 99, np.uint8))
    entry = server.run(graph_of("other.png"))
    assert entry["status"]["status_str"] == "success"
    page.page.wait_for_timeout(1000)
    assert page.page.locator(TOAST).count() == 0


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
