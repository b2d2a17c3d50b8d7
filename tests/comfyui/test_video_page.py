"""The template of videos in the real frontend: run, played on the node, see-through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.browser import RENDERERS, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_server import Server, serving_scripts

TEMPLATE = Path(__file__).resolve().parents[2] / "workflows" / "video-green-screen.json"
NODE = "RMBG_RemoveBackgroundFromVideo"
# The alpha of a corner and of the middle, as the page has them.
ALPHA = """name => {
    const video = [...document.querySelectorAll('video')].find(v => v.currentSrc.includes(name))
    if (!video || video.readyState < 2) return null
    const canvas = document.createElement('canvas')
    canvas.width = video.videoWidth
    canvas.height = video.videoHeight
    const context = canvas.getContext('2d')
    context.drawImage(video, 0, 0)
    const at = (x, y) => context.getImageData(x, y, 1, 1).data[3]
    return [at(8, 8), at(canvas.width / 2, canvas.height * 0.7)]
}"""


@pytest.fixture(scope="module")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_scripts(comfyui, tmp_path_factory.mktemp("videos")) as running:
        yield running


@pytest.fixture(scope="module", params=RENDERERS)
def page(request: pytest.FixtureRequest, server: Server) -> Iterator[Tab]:
    set_up(server, request.param)
    with tab(server, request.param) as opened:
        yield opened


def run(page: Tab) -> None:
    page.page.evaluate("() => app.queuePrompt(0, 1)")


def test_the_template_plays_a_transparent_video_on_the_node(page: Tab, server: Server) -> None:
    page.load(TEMPLATE)
    page.put(NODE, filename_prefix=f"video/{page.renderer}")
    run(page)
    name = f"{page.renderer}_00001_.webm"
    page.page.wait_for_function(f"name => ({ALPHA})(name)?.[1]", arg=name, timeout=200_000)
    corner, middle = page.page.evaluate(ALPHA, name)
    page.shoot("video-node")
    assert corner < 8
    assert middle > 247
    assert page.line(NODE) == ""
    run(page)  # nothing has changed: ComfyUI has the result
    page.page.wait_for_timeout(2000)
    assert page.page.evaluate(ALPHA, name) is not None
    saved = server.folder / "output" / "video"
    assert [path.name for path in saved.glob(f"{page.renderer}_*")] == [name]
    assert page.complaints() == []
