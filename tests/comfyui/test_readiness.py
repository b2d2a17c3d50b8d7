"""What Load RMBG says before a run, and what is pressed there, in the real frontend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.browser import READY, RENDERERS, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_graphs import REMOVE, messages_of, node
from rmbg_nodes.tests.support.comfy_server import Server
from rmbg_nodes.tests.support.fresh_comfy import fresh, hub_path, small_file
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.hub import Hub
from rmbg_nodes.tests.support.hub import serving as serving_hub

KEY = "loopback-key-0123456789"
SAID = "type => app.graph.nodes.find(node => node.type === type).rmbgSaid?.state"
LINE = ".rmbg-line"


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serving_hub(content=small_file(), path=hub_path()) as running:
        yield running


@pytest.fixture(scope="module")
def replicate() -> Iterator[HostedServer]:
    with HostedServer("replicate", key=KEY) as running:
        yield running


@pytest.fixture(params=RENDERERS)
def page(
    request: pytest.FixtureRequest,
    comfyui: Path,
    tmp_path: Path,
    hub: Hub,
    replicate: HostedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Tab, Server]]:
    """A fresh ComfyUI for each renderer: downloads and keys stay on the disk."""
    address = {"RMBG_REPLICATE_URL": replicate.url}
    with fresh(comfyui, tmp_path, hub, monkeypatch, **address) as server:
        set_up(server, request.param)
        with tab(server, request.param) as opened:
            yield opened, server


def fresh_node(page: Tab, **values: str) -> None:
    """A Load RMBG alone, as a user adds it, with these widgets."""
    page.page.evaluate(
        """() => {
            app.graph.clear()
            const node = LiteGraph.createNode('RMBG_Load')
            node.pos = [300, 200]
            app.graph.add(node)
        }"""
    )
    page.put("RMBG_Load", **values)


def wait_for(page: Tab, state: str) -> None:
    page.page.wait_for_function(f"state => ({SAID})('RMBG_Load') === state", arg=state)


def shown(page: Tab) -> str:
    return page.page.locator(LINE).first.inner_text()


def test_the_line_follows_the_widgets_and_what_is_pressed(
    page: tuple[Tab, Server], hub: Hub, replicate: HostedServer
) -> None:
    opened, server = page
    fresh_node(opened)
    wait_for(opened, "ready")
    assert opened.page.evaluate("() => app.graph.nodes[0].widgets[1].value") == "keyer"
    assert shown(opened).startswith("Ready: cuts out subjects before a plain backdrop")

    opened.put("RMBG_Load", backend="local")
    wait_for(opened, "weights")
    assert "RMBG-2.0 is not on this machine yet (885 MB" in shown(opened)
    opened.shoot("line-weights")
    opened.page.get_by_role("button", name="Download").click()
    dialog = opened.page.locator("dialog.rmbg-dialog")
    dialog.get_by_text("for non-commercial use only").wait_for()
    assert dialog.get_by_text("Access token").is_visible()
    opened.shoot("dialog-model")
    dialog.get_by_text("BiRefNet, ").click()
    dialog.get_by_text("the architecture of RMBG-2.0").wait_for()
    assert not dialog.get_by_text("Access token").is_visible()
    dialog.get_by_role("button", name="Accept").click()
    wait_for(opened, "ready")
    assert "Ready: BiRefNet (model.safetensors), on cpu; licence MIT, non-commercial use." in shown(
        opened
    )
    opened.shoot("line-ready")
    found = server.folder / "models" / "background_removal" / "BiRefNet" / "model.safetensors"
    assert found.read_bytes() == hub.content

    opened.put("RMBG_Load", usage="commercial")
    wait_for(opened, "refused")
    assert "RMBG_ACCEPT_DATA_TERMS" in shown(opened)

    opened.put("RMBG_Load", backend="replicate")
    wait_for(opened, "key")
    opened.page.get_by_role("button", name="Set key").click()
    field = dialog.locator("input[type=password]")
    field.fill("a-key-that-nobody-knows")
    dialog.get_by_role("button", name="Keep and try").click()
    dialog.get_by_text("refused the key").wait_for()
    assert not (server.folder / "me" / "rmbg-nodes" / "keys.json").exists()
    field.fill(KEY)
    opened.shoot("dialog-key")
    dialog.get_by_role("button", name="Keep and try").click()
    dialog.get_by_text("Replicate knows it").wait_for()
    dialog.get_by_role("button", name="Close").click()
    wait_for(opened, "ready")
    assert "0.018 USD a picture" in shown(opened)
    opened.shoot("line-paid")
    held = server.folder / "me" / "rmbg-nodes" / "keys.json"
    assert KEY in held.read_text(encoding="utf-8")
    assert held.stat().st_mode & 0o077 == 0
    saved = opened.page.evaluate("() => JSON.stringify(app.graph.serialize())")
    assert KEY not in saved
    assert "readiness" not in saved
    assert KEY not in server.log()
    assert opened.complaints() == []

    # A fresh node now begins with the model that is here.
    values = opened.page.evaluate(
        """() => {
            const node = LiteGraph.createNode('RMBG_Load')
            app.graph.add(node)
            return node.widgets.slice(1, 3).map(one => one.value)
        }"""
    )
    assert values == ["local", "birefnet"]


def test_a_download_shows_its_progress_in_every_tab_and_can_be_stopped(
    page: tuple[Tab, Server], hub: Hub
) -> None:
    opened, server = page
    hub.pause_after, hub.requests = 20_000_000, []
    fresh_node(opened, backend="local", backend__model="birefnet")
    wait_for(opened, "weights")
    opened.page.get_by_role("button", name="Download").click()
    dialog = opened.page.locator("dialog.rmbg-dialog")
    dialog.get_by_role("button", name="Accept").click()
    opened.page.locator(LINE).get_by_text("Downloading BiRefNet").wait_for()
    opened.page.wait_for_function(
        "() => document.querySelector('.rmbg-line progress')?.value > 10_000_000"
    )
    opened.shoot("line-progress")
    browser = opened.page.context.browser
    assert browser is not None
    second = Tab(browser.new_page(), opened.renderer)
    second.page.goto(server.base, wait_until="domcontentloaded")
    second.page.wait_for_function(READY, timeout=120_000)
    fresh_node(second, backend="local", backend__model="birefnet")
    second.page.locator(LINE).get_by_text("Downloading BiRefNet").wait_for()
    second.page.locator(LINE).get_by_role("button", name="Cancel").click()
    hub.go.set()
    for one in (opened, second):
        one.page.locator(LINE).get_by_text("Stopped; what has arrived is kept.").wait_for()
    hub.pause_after = 0
    opened.page.get_by_role("button", name="Download").click()
    dialog.get_by_role("button", name="Accept").click()
    opened.page.locator(LINE).get_by_text("Ready: BiRefNet").wait_for()
    second.page.bring_to_front()
    second.page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    second.page.locator(LINE).get_by_text("Ready: BiRefNet").wait_for()
    ranges = [asked for method, _, _, asked in hub.requests if method == "GET"]
    assert ranges[0] is None
    assert len(ranges) == 2
    assert int(str(ranges[1]).removeprefix("bytes=").rstrip("-")) > 10_000_000
    hub.go.clear()
    assert opened.complaints() == []


def test_what_the_hub_refuses_is_said_in_the_dialog(page: tuple[Tab, Server], hub: Hub) -> None:
    opened, server = page
    hub.token = "hf_the-right-one"
    fresh_node(opened, backend="local", backend__model="birefnet")
    wait_for(opened, "weights")
    opened.page.get_by_role("button", name="Download").click()
    dialog = opened.page.locator("dialog.rmbg-dialog")
    dialog.get_by_role("button", name="Accept").click()
    dialog.get_by_text("asks who you are").wait_for()
    opened.shoot("dialog-refused")
    dialog.get_by_role("button", name="Cancel").click()
    hub.token = ""
    assert opened.complaints() == []


def test_cancel_ends_the_download_that_a_run_begins_with(
    page: tuple[Tab, Server], hub: Hub
) -> None:
    opened, server = page
    hub.pause_after, hub.requests = 20_000_000, []
    graph_of(opened, "local")
    opened.put("RMBG_Load", backend__model="birefnet", backend__download=True)
    wait_for(opened, "ready")
    assert "the run begins by downloading it" in shown(opened)
    opened.page.evaluate("() => app.queuePrompt(0, 1)")
    opened.page.wait_for_function(
        "() => document.querySelector('.rmbg-line progress')?.value > 10_000_000", timeout=60_000
    )
    opened.shoot("line-progress-of-a-run")
    server.post("/interrupt", {})
    (prompt,) = server.get("/queue")["queue_running"]
    entry = server.wait(prompt[1])
    assert "execution_interrupted" in messages_of(entry)
    hub.go.set()
    opened.page.locator(LINE).get_by_text("Stopped; what has arrived is kept.").wait_for()
    hub.pause_after = 0
    opened.put("RMBG_Load", backend__resolution=256)
    opened.page.evaluate("() => app.queuePrompt(0, 1)")
    opened.wait_for_picture()
    ranges = [asked for method, _, _, asked in hub.requests if method == "GET"]
    assert ranges[0] is None
    assert int(str(ranges[1]).removeprefix("bytes=").rstrip("-")) > 10_000_000
    hub.go.clear()
    assert opened.complaints() == []


def graph_of(opened: Tab, backend: str) -> None:
    """The photograph that the pack brings, through this backend."""
    graph = {
        "1": node("LoadImage", image="rmbg-photo.jpg"),
        "2": node("RMBG_Load", usage="non-commercial", backend=backend),
        "3": node("RMBG_RemoveBackground", remover=["2", 0], image=["1", 0], **REMOVE),
        "4": node("SaveImage", images=["3", 0], filename_prefix="failing"),
    }
    opened.page.evaluate("graph => app.loadApiJson(graph, 'failing')", graph)
    opened.page.wait_for_function("() => app.graph.nodes.length === 4")
    opened.page.evaluate("() => app.graph.arrange()")
    opened.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")


def test_what_cannot_run_is_refused_before_it_and_what_fails_says_why(
    page: tuple[Tab, Server],
) -> None:
    opened, server = page
    graph_of(opened, "local")
    wait_for(opened, "weights")
    opened.page.evaluate("() => app.queuePrompt(0, 1)")
    overlay = opened.page.locator("[data-testid=error-overlay]")
    overlay.get_by_text("RMBG-2.0 is not on this machine yet").wait_for(timeout=20_000)
    assert "RMBG-2.0 is not on this machine yet" in shown(opened)
    opened.shoot("refused-before")
    assert server.get("/history") == {}

    graph_of(opened, "keyer")
    wait_for(opened, "ready")
    opened.page.evaluate("() => app.queuePrompt(0, 1)")
    failed = opened.page.locator(f"{LINE}[data-state=failed]")
    failed.wait_for(timeout=60_000)
    (entry,) = server.get("/history").values()
    words = messages_of(entry)["execution_error"]["exception_message"].strip()
    assert failed.locator("p").inner_text() == words
    toast = opened.page.locator(".rmbg-toast")
    toast.get_by_text(words).wait_for()
    toast.get_by_role("button", name="Use a model").wait_for()
    opened.shoot("failed")
    failed.get_by_role("button", name="Use a model").click()
    opened.page.locator("dialog.rmbg-dialog").get_by_role("button", name="Accept").click()
    opened.page.locator(LINE).get_by_text("Ready: BiRefNet").wait_for()
    opened.put("RMBG_Load", backend__resolution=256)
    opened.page.evaluate("() => app.queuePrompt(0, 1)")
    opened.wait_for_picture()
    assert failed.count() == 0
    opened.shoot("failed-and-mended")
    assert opened.complaints() == []
