"""From a fresh ComfyUI to the cut-out of a photograph, in a graph built by hand: counted clicks."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.browser import LINE_OF, RENDERERS, Renderer, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_server import Server
from rmbg_nodes.tests.support.fresh_comfy import fresh, hub_path, small_file
from rmbg_nodes.tests.support.hub import serving as serving_hub

MOST_CLICKS = 6
# As the frontend notes for a new user: a link that is let go asks which node is wanted. All else is
# as a new ComfyUI has it; each node from the search follows the cursor until one more click.
SETTINGS = {"Comfy.InstalledVersion": "1.49.6"}
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
    """A mouse whose presses are counted, a drag as one; what is typed is not."""

    def __init__(self, opened: Tab) -> None:
        self.page = opened.page
        self.clicks = 0

    def press(self, button: str) -> None:
        """Click a button of this name."""
        self.page.get_by_role("button", name=button, exact=True).first.click()
        self.clicks += 1

    def drop(self, picture: Path, x: int, y: int) -> None:
        """Drag a picture from the file manager to the empty canvas."""
        self.page.evaluate(
            """async ([name, content, x, y]) => {
                const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0))
                const dataTransfer = new DataTransfer()
                dataTransfer.items.add(new File([bytes], name, {type: 'image/jpeg'}))
                const where = {clientX: x, clientY: y, bubbles: true, cancelable: true}
                for (const kind of ['dragenter', 'dragover', 'drop']) {
                    const event = new DragEvent(kind, {...where, dataTransfer})
                    document.elementFromPoint(x, y).dispatchEvent(event)
                }
            }""",
            [picture.name, b64encode(picture.read_bytes()).decode(), x, y],
        )
        self.clicks += 1
        self.page.wait_for_function("() => app.graph.nodes.some(node => node.imgs?.length)")

    def pull(self, node: str, way: str, slot: str, x: int, y: int, wanted: str) -> None:
        """Draw a link from a slot to the empty canvas, name the node at its other end, and put it
        down there."""
        start = self.page.evaluate(SLOT, [node, way, slot])
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(x, y, steps=12)
        self.page.mouse.up()
        self.clicks += 1
        before = self.page.evaluate("() => app.graph.nodes.length")
        self.page.wait_for_function("() => document.activeElement?.tagName === 'INPUT'")
        self.page.keyboard.type(wanted, delay=15)
        self.page.wait_for_timeout(700)  # it looks for the nodes once the typing has ended
        self.page.keyboard.press("Enter")
        self.page.wait_for_function("n => app.graph.nodes.length === n + 1", arg=before)
        self.page.wait_for_timeout(700)  # the box fades out over the canvas
        self.page.mouse.move(x, y - 10)
        self.page.mouse.click(x, y)
        self.clicks += 1
        self.page.wait_for_function("() => app.canvas.state.ghostNodeId == null")


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
    with tab(server, renderer) as opened:
        hand = Hand(opened)
        opened.page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
        opened.page.wait_for_function("() => app.graph.nodes.length === 0")
        hand.drop(server.pack / "web" / "samples" / "rmbg-photo.jpg", 500, 300)
        opened.shoot("cutout-1")
        hand.pull("LoadImage", "out", "IMAGE", 1000, 250, "Remove Background (RMBG)")
        opened.shoot("cutout-2")
        hand.press("Get a model")
        hand.press("Accept the licence and download")
        opened.page.locator("dialog.rmbg-dialog").wait_for(state="detached")
        hand.press("Add Save Cut-out (RMBG)")
        opened.page.locator(".rmbg-line").get_by_text("Ready: BiRefNet").wait_for()
        opened.page.wait_for_function(f"() => !({LINE_OF})('RMBG_RemoveBackground')")
        opened.shoot("cutout-3")
        opened.page.keyboard.press("Control+Enter")
        opened.wait_for_picture("RMBG_SaveCutout")
        opened.shoot("cutout-4")
        assert hand.clicks <= MOST_CLICKS
        (entry,) = server.get("/history").values()  # no run failed on the way
        assert entry["status"]["status_str"] == "success"
        assert opened.complaints() == []
