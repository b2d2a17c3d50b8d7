"""The real ComfyUI frontend in headless Chromium. Screenshots are kept in test-output/."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rmbg_nodes.tests.support.comfy_server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "test-output"
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
FIXTURES = sorted((ROOT / "tests" / "data" / "workflows").glob("*.json"))
READY = (
    "() => window.app && app.graph && app.vueAppReady && app.extensionManager"
    " && app.extensionManager.spinner === false"
)
# Without these the template browser opens over everything at the first start.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": False,
    "Comfy.Window.UnloadConfirmation": False,
    "Comfy.Minimap.Visible": False,
    "Comfy.RightSidePanel.IsOpen": False,
}
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module", params=["canvas", "vue"])
def page(request: pytest.FixtureRequest, server: Server) -> Iterator[Page]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine; name one in CHROMIUM")
    server.post("/api/settings", {**SETTINGS, "Comfy.VueNodes.Enabled": request.param == "vue"})
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = browser.new_page(viewport={"width": 1700, "height": 1000})
        opened.errors = []
        opened.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.goto(server.base, wait_until="domcontentloaded")
        opened.wait_for_function(READY, timeout=120_000)
        opened.renderer = request.param
        yield opened
        browser.close()


def load(page: Any, path: Path) -> dict[str, Any]:
    graph = json.loads(path.read_text(encoding="utf-8"))
    page.evaluate("graph => app.loadGraphData(graph)", graph)
    page.wait_for_function("n => app.graph.nodes.length === n", arg=len(graph["nodes"]))
    page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    return graph


def shoot(page: Any, name: str) -> None:
    SHOTS.mkdir(exist_ok=True)
    time.sleep(1.5)  # the view's animation, and pictures that still load
    page.screenshot(path=SHOTS / f"{name}-{page.renderer}.png")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_template_opens_without_a_missing_node_and_runs(
    page: Any, server: Server, path: Path
) -> None:
    load(page, path)
    known = set(server.get("/object_info")) | {"Note", "MarkdownNote"}
    types = page.evaluate("() => app.graph.nodes.map(node => node.type)")
    assert set(types) <= known
    assert page.evaluate("() => app.graph.nodes.filter(node => node.has_errors).length") == 0
    assert page.locator("[data-testid=error-overlay]").count() == 0
    before = set(server.get("/history"))
    assert page.evaluate("() => app.queuePrompt(0, 1)") is True
    until = time.monotonic() + 120
    while not (new := set(server.get("/history")) - before) and time.monotonic() < until:
        time.sleep(0.2)
    entry = server.wait(new.pop())
    assert entry["status"]["status_str"] == "success"
    page.wait_for_function(
        "() => app.graph.nodes.some(node => node.type === 'SaveImage' && node.imgs?.length)"
    )
    shoot(page, f"template-{path.stem}")
    assert page.errors == []


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_workflows_of_every_version_reload_with_the_same_values(page: Any, path: Path) -> None:
    saved = load(page, path)
    again = page.evaluate("() => app.graph.serialize()")
    values = {node["id"]: node.get("widgets_values") for node in again["nodes"]}
    for node in saved["nodes"]:
        if node["type"].startswith("RMBG_"):
            assert values[node["id"]] == node["widgets_values"], node["type"]
    shoot(page, f"workflow-{path.stem}")


def test_the_backend_setting_switches_its_widgets(page: Any) -> None:
    load(page, ROOT / "workflows" / "start-here.json")
    names = page.evaluate(
        """async () => {
            const node = app.graph.nodes.find(node => node.type === 'RMBG_Load');
            const seen = [];
            for (const backend of ['keyer', 'bria', 'local']) {
                const menu = node.widgets.find(widget => widget.name === 'backend');
                menu.value = backend;
                menu.callback?.(backend);
                await new Promise(done => setTimeout(done, 200));
                seen.push(node.widgets.map(widget => widget.name));
            }
            return seen;
        }"""
    )
    assert names == [
        ["usage", "backend", "backend.mode"],
        ["usage", "backend", "backend.model"],
        [
            "usage",
            "backend",
            "backend.model",
            "backend.resolution",
            "backend.precision",
            "backend.weights",
            "backend.download",
            "backend.patch_order",
        ],
    ]


def test_an_error_is_shown_in_words(page: Any, server: Server) -> None:
    load(page, ROOT / "workflows" / "start-here.json")
    page.evaluate(
        """() => {
            const node = app.graph.nodes.find(node => node.type === 'RMBG_Load');
            const menu = node.widgets.find(widget => widget.name === 'backend.mode');
            menu.value = 'plain';
        }"""
    )
    page.evaluate("() => app.queuePrompt(0, 1)")
    overlay = page.locator("[data-testid=error-overlay]")
    overlay.wait_for(timeout=60_000)
    page.locator("[data-testid=error-overlay-see-errors]").click()
    panel = page.locator("[data-testid=properties-panel]")
    panel.get_by_text("has no plain backdrop").first.wait_for(timeout=10_000)
    shoot(page, "error")
