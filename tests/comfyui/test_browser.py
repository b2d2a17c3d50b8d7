"""Our nodes in the real frontend: old workflows, the switch, errors. Templates have their own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.browser import LINE_OF, RENDERERS, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_graphs import APPLY_MASK, node
from rmbg_nodes.tests.support.comfy_server import Server
from rmbg_nodes.tests.support.hosted.server import HostedServer

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "workflows" / "start-here.json"
FIXTURES = sorted((ROOT / "tests" / "data" / "workflows").glob("*.json"))


@pytest.fixture(scope="module", params=RENDERERS)
def page(request: pytest.FixtureRequest, server: Server) -> Iterator[Tab]:
    set_up(server, request.param)
    with tab(server, request.param) as opened:
        yield opened


# What Load RMBG shows below its menu, by the menu's entry.
WIDGETS = {
    "keyer": [],
    "bria": [
        "model",
        "moderate_input",
        "moderate_output",
        "profile",
        "downscale",
        "resubmit",
        "prompt",
    ],
    "fal": ["model", "profile", "downscale", "resubmit", "prompt"],
    "replicate": ["model", "content_moderation", "profile", "downscale", "resubmit"],
    "comfy": [
        "model",
        "account",
        "moderate_input",
        "moderate_output",
        "profile",
        "downscale",
        "resubmit",
        "prompt",
    ],
    "local": ["model", "resolution", "precision", "weights", "download", "patch_order"],
}
FRESH = """async ([type, backend]) => {
    const node = LiteGraph.createNode(type);
    app.graph.add(node);
    const menu = node.widgets.find(widget => widget.name === 'backend');
    if (menu) { menu.value = backend; menu.callback?.(backend); }
    await new Promise(done => setTimeout(done, 200));
    const values = node.serialize().widgets_values;
    app.graph.remove(node);
    return values;
}"""


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_workflows_of_every_version_reload_with_the_same_values(page: Tab, path: Path) -> None:
    """Settings newer than the workflow follow, with their defaults; gone ones fall away."""
    saved = page.load(path)
    again = page.page.evaluate("() => app.graph.serialize()")
    page.shoot(f"workflow-{path.stem}")
    values = {one["id"]: one.get("widgets_values") for one in again["nodes"]}
    for one in saved["nodes"]:
        if one["type"].startswith("RMBG_"):
            old = one["widgets_values"]
            fresh = page.page.evaluate(FRESH, [one["type"], str(old[1])])
            assert values[one["id"]] == old[: len(fresh)] + fresh[len(old) :], one["type"]


def below_the_menu(page: Tab, backend: str) -> list[str]:
    """Turn Load RMBG's menu; its widgets then."""
    page.put("RMBG_Load", backend=backend)
    names = page.widgets("RMBG_Load")
    assert names[:2] == ["usage", "backend"]
    return [name.removeprefix("backend.") for name in names[2:]]


def test_the_backend_setting_switches_its_widgets(page: Tab) -> None:
    page.load(START)
    assert {backend: below_the_menu(page, backend) for backend in WIDGETS} == WIDGETS


def test_one_turn_of_the_menu_runs_the_graph_on_a_licensed_api(
    page: Tab, server: Server, providers: Mapping[str, HostedServer]
) -> None:
    """The template, from the keyer to fal: other widgets, the same graph, the picture appears."""
    page.load(START)
    assert below_the_menu(page, "keyer") == WIDGETS["keyer"]
    assert below_the_menu(page, "fal") == WIDGETS["fal"]
    before, bills = set(server.get("/history")), providers["fal"].bills
    assert page.page.evaluate("() => app.queuePrompt(0, 1)") is True
    until = time.monotonic() + 120
    while not (new := set(server.get("/history")) - before) and time.monotonic() < until:
        time.sleep(0.2)
    entry = server.wait(new.pop())
    assert entry["status"]["status_str"] == "success", entry["status"]
    (load,) = [n["inputs"] for n in entry["prompt"][2].values() if n["class_type"] == "RMBG_Load"]
    assert load["backend"] == "fal"
    assert load["backend.model"] == "rmbg-2.0"
    page.page.wait_for_function(
        "() => app.graph.nodes.some(node => node.type === 'SaveImage' && node.imgs?.length)"
    )
    page.shoot("hosted")
    # One bill at most: the second renderer finds the first one's result in the cache.
    assert providers["fal"].bills - bills <= 1
    assert providers["fal"].complaints == []
    assert page.complaints() == []


def wait_for_said(page: Tab, words: str) -> None:
    """Until Load RMBG says this of a run."""
    page.page.locator(".rmbg-line").filter(has_text=words).first.wait_for(timeout=20_000)


def test_words_are_written_on_the_node_and_reach_the_host(
    page: Tab, server: Server, providers: Mapping[str, HostedServer]
) -> None:
    """A text in lines below the menu; the node says what is missing, and that no price is known."""
    page.load(START)
    assert below_the_menu(page, "fal") == WIDGETS["fal"]
    page.put("RMBG_Load", usage="commercial", backend__model="rmbg-guided")
    wait_for_said(page, "fal/rmbg-guided is guided by words, and prompt is empty.")
    page.put("RMBG_Load", backend__prompt="the person with the mat\nand the plant")
    wait_for_said(page, "Ready: fal.ai, guided by words, price unknown")
    boxes = page.page.locator("textarea")  # the template's note is one, too
    written = [box.input_value() for box in boxes.all()]
    box = boxes.nth(written.index("the person with the mat\nand the plant"))
    page.shoot("words")
    box.fill(f"only the chair\n({page.renderer})")
    before = set(server.get("/history"))
    assert page.page.evaluate("() => app.queuePrompt(0, 1)") is True
    until = time.monotonic() + 120
    while not (new := set(server.get("/history")) - before) and time.monotonic() < until:
        time.sleep(0.2)
    entry = server.wait(new.pop())
    assert entry["status"]["status_str"] == "success", entry["status"]
    told = [job.prompt for job in providers["fal"].jobs.values() if job.prompt]
    assert told[-1] == f"only the chair\n({page.renderer})"
    page.wait_for_picture()
    page.shoot("words-run")
    # The other models of the provider have the field, too, and take nothing from it.
    page.put("RMBG_Load", backend__model="rmbg-2.0")
    wait_for_said(page, "fal/rmbg-2.0 is not guided by words")
    page.put("RMBG_Load", backend__prompt="")
    wait_for_said(page, "Ready: fal.ai, RMBG 2.0")
    assert providers["fal"].complaints == []
    assert page.complaints() == []


def test_an_error_is_shown_in_words(page: Tab) -> None:
    page.load(START)
    page.put("LoadImage", image="rmbg-photo.jpg")
    page.page.evaluate("() => app.queuePrompt(0, 1)")
    page.page.locator("[data-testid=error-overlay]").wait_for(timeout=60_000)
    page.page.locator("[data-testid=error-overlay-see-errors]").click()
    panel = page.page.locator("[data-testid=properties-panel]")
    panel.get_by_text("has no plain backdrop").first.wait_for(timeout=10_000)
    page.shoot("error")
    assert page.complaints() == []


def test_a_warning_about_a_mask_shows_on_the_node(page: Tab, server: Server) -> None:
    """And goes once it no longer holds. example.png has no alpha: its mask is no mask."""
    graph = {
        "1": node("LoadImage", image="example.png"),
        "2": node("RMBG_ApplyMask", image=["1", 0], mask=["1", 1], **APPLY_MASK),
        "3": node("SaveImage", images=["2", 0], filename_prefix="warned"),
    }
    page.page.evaluate("graph => app.loadApiJson(graph, 'mask')", graph)
    page.page.wait_for_function("() => app.graph.nodes.length === 3")
    page.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.page.evaluate("() => app.queuePrompt(0, 1)")
    page.wait_for_line("RMBG_ApplyMask", "No mask was given: 64 x 64 zeros")
    page.wait_for_picture()
    page.shoot("mask-warning")
    assert page.line("RMBG_ApplyMask").endswith("or paint one.")
    page.page.evaluate(
        """() => {
            const apply = app.graph.nodes.find(node => node.type === 'RMBG_ApplyMask');
            const solid = LiteGraph.createNode('SolidMask');
            app.graph.add(solid);
            solid.connect(0, apply, apply.inputs.findIndex(input => input.name === 'mask'));
        }"""
    )
    page.page.evaluate("() => app.queuePrompt(0, 1)")
    page.page.wait_for_function(f"() => !({LINE_OF})('RMBG_ApplyMask')", timeout=60_000)
    assert page.complaints() == []
