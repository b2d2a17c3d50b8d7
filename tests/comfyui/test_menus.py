"""Our menus and notes in another language, in the real frontend; what is saved stays English."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.browser import RENDERERS, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_server import Server, serving_scripts

ROOT = Path(__file__).resolve().parents[2]
NOTE = """() => {
    const node = app.graph.nodes.find(node => node.type === 'MarkdownNote');
    return [node.title, node.widgets[0].value];
}"""
PLACE = """name => {
    const node = app.graph.nodes.find(node => node.type === 'RMBG_RemoveBackground');
    const widget = node.widgets.find(widget => widget.name === name);
    const { scale, offset } = app.canvas.ds;
    const box = app.canvas.canvas.getBoundingClientRect();
    return [box.left + (node.pos[0] + node.size[0] / 2 + offset[0]) * scale,
            box.top + (node.pos[1] + widget.last_y + 10 + offset[1]) * scale];
}"""


@pytest.fixture(scope="module", params=RENDERERS)
def page(
    request: pytest.FixtureRequest, comfyui: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tab]:
    with serving_scripts(comfyui, tmp_path_factory.mktemp("menus")) as server:
        yield from opened(server, request.param)


def opened(server: Server, renderer: str) -> Iterator[Tab]:
    set_up(server, renderer)  # type: ignore[arg-type]
    server.post("/api/settings", {"Comfy.Locale": "zh"})
    with tab(server, renderer) as shown:  # type: ignore[arg-type]
        yield shown


def test_a_menu_is_in_chinese_and_saves_the_english_word(page: Tab) -> None:
    saved = page.load(ROOT / "workflows" / "start-here.json")
    chinese = json.loads((ROOT / "locales/zh/main.json").read_text(encoding="utf-8"))
    words, note = chinese["rmbgChoices"], chinese["rmbgNotes"]["start-here"]
    assert page.page.evaluate(NOTE) == [note["title"], note["text"]]
    page.shoot("menus-zh")
    wanted = [f"{words[word]} ({word})" for word in ("transparent", "white", "black", "color")]
    if page.renderer == "canvas":
        page.page.mouse.click(*page.page.evaluate(PLACE, "background"))
        entries = page.page.locator(".litecontextmenu .litemenu-entry")
    else:
        page.page.get_by_text(wanted[0]).first.click()
        entries = page.page.locator("[role=option]")
    entries.first.wait_for(timeout=10_000)
    page.shoot("menus-zh-open")
    assert [text.strip() for text in entries.all_inner_texts()] == wanted
    entries.nth(1).click()
    page.page.wait_for_timeout(500)
    graph = page.page.evaluate("() => app.graph.serialize()")
    values = {node["id"]: node.get("widgets_values") for node in graph["nodes"]}
    for node in saved["nodes"]:
        if node["type"] == "RMBG_RemoveBackground":
            assert values[node["id"]][2] == "white"
        elif node["type"].startswith("RMBG_"):
            assert values[node["id"]] == node["widgets_values"]
    assert page.complaints() == []
