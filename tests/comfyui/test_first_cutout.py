"""From a fresh ComfyUI to the cut-out of a photograph, in a graph built by hand: counted clicks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.browser import RENDERERS, Renderer, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_server import Server
from rmbg_nodes.tests.support.fresh_comfy import fresh, hub_path, small_file
from rmbg_nodes.tests.support.hub import serving as serving_hub

MOST_CLICKS = 6
SETTINGS = {
    # As the frontend notes for a new user: a link that is let go asks which node is wanted.
    "Comfy.InstalledVersion": "1.49.6",
    # Else the frontend asks for one more click to put each of the four nodes down.
    "Comfy.NodeSearchBoxImpl.FollowCursor": False,
}
# Where a slot is in the window.
SLOT = """([type, way, name]) => {
    const node = app.graph.nodes.find(node => node.type === type)
    const slots = way === 'out' ? node.outputs : node.inputs
    const index = slots.findIndex(slot => slot.name === name)
    const place = way === 'out' ? node.getOutputPos(index) : node.getInputPos(index)
    const {scale, offset} = app.canvas.ds
    const edge = app.canvas.canvas.getBoundingClientRect()
    return [(place[0] + offset[0]) * scale + edge.x, (place[1] + offset[1]) * scale + edge.y]
}"""


class Hand:
    """A mouse whose presses are counted; what is typed is not."""

    def __init__(self, opened: Tab) -> None:
        self.page = opened.page
        self.clicks = 0

    def press(self, button: str) -> None:
        """Click a button of this name."""
        self.page.get_by_role("button", name=button).first.click()
        self.clicks += 1

    def add(self, node: str, x: int, y: int) -> None:
        """Double-click the empty canvas, and name the node."""
        self.page.mouse.dblclick(x, y)
        self.clicks += 1
        self._name(node)

    def pull(self, node: str, way: str, slot: str, x: int, y: int, wanted: str) -> None:
        """Draw a link from a slot to the empty canvas, and name the node at its other end."""
        start = self.page.evaluate(SLOT, [node, way, slot])
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(x, y, steps=12)
        self.page.mouse.up()
        self.clicks += 1
        self._name(wanted)

    def _name(self, node: str) -> None:
        before = self.page.evaluate("() => app.graph.nodes.length")
        self.page.wait_for_function("() => document.activeElement?.tagName === 'INPUT'")
        self.page.keyboard.type(node, delay=15)
        self.page.wait_for_timeout(700)  # it looks for the nodes once the typing has ended
        self.page.keyboard.press("Enter")
        self.page.wait_for_function("n => app.graph.nodes.length === n + 1", arg=before)
        self.page.wait_for_timeout(700)  # the box fades out over the canvas


@pytest.fixture(params=RENDERERS)
def new(
    request: pytest.FixtureRequest,
    comfyui: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Server, Renderer]]:
    with (
        serving_hub(content=small_file(), path=hub_path()) as hub,
        fresh(comfyui, tmp_path, hub, monkeypatch) as running,
    ):
        yield running, request.param


def test_six_clicks_to_a_cut_out_of_a_photograph(new: tuple[Server, Renderer]) -> None:
    server, renderer = new
    set_up(server, renderer)
    server.post("/api/settings", SETTINGS)
    # What Load Image then shows first is the photograph that the pack brings.
    (server.folder / "input" / "example.png").unlink()
    with tab(server, renderer) as opened:
        hand = Hand(opened)
        opened.page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
        opened.page.wait_for_function("() => app.graph.nodes.length === 0")
        hand.add("Load RMBG", 560, 520)
        opened.shoot("cutout-1")
        hand.press("Get a model")
        hand.press("Accept the licence and download")
        opened.page.locator("dialog.rmbg-dialog").wait_for(state="detached")
        hand.pull("RMBG_Load", "out", "remover", 1000, 300, "Remove Background (RMBG)")
        opened.shoot("cutout-2")
        hand.pull("RMBG_RemoveBackground", "in", "image", 560, 250, "Load Image")
        hand.pull("RMBG_RemoveBackground", "out", "image", 1400, 300, "Save Image")
        opened.page.locator(".rmbg-line").get_by_text("Ready: BiRefNet").wait_for()
        opened.shoot("cutout-3")
        opened.page.keyboard.press("Control+Enter")
        opened.wait_for_picture()
        opened.shoot("cutout-4")
        assert hand.clicks <= MOST_CLICKS
        (entry,) = server.get("/history").values()  # no run failed on the way
        assert entry["status"]["status_str"] == "success"
        assert opened.complaints() == []
