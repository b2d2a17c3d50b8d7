"""Where the real frontend's two searches put our nodes.

It ranks a name that equals the words first, then names that begin with them (the shortest first),
then names that hold them; aliases come last. A node's id counts as a name.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rmbg_nodes.tests.support.browser import Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_server import Server

REMOVE = "Remove Background (RMBG)"
LOAD, SAVE = "Load RMBG", "Save Cut-out (RMBG)"
# ComfyUI's own subgraph, which the library has in a folder of its own, before all nodes.
BLUEPRINT = "Remove Background (BiRefNet)"
# The first names for each of these words. Ahead of ours stands only what has the words as its name,
# begins with them in an id that never changes, or holds them there.
LEADING = {
    "remove background": ["Remove Background", REMOVE],
    "remove bg": [REMOVE],
    "rembg": [REMOVE],
    "matting": [REMOVE],
    "cutout": [SAVE, REMOVE],
    "rmbg": [LOAD],
}
OURS = {LOAD, REMOVE, SAVE, "Apply Mask (RMBG)", "Composite (RMBG)"}


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Tab]:
    set_up(server, "canvas")
    with tab(server, "canvas") as opened:
        # A double click on the empty canvas opens the search; the first workflow comes late.
        opened.page.wait_for_function("() => app.graph.nodes.length > 0")
        opened.page.evaluate("() => app.graph.clear()")
        opened.page.wait_for_timeout(1000)
        yield opened


def found(page: Tab, words: str, field: str, results: str) -> list[str]:
    """The first line of each result, when the list for these words is there."""
    page.page.locator(field).first.fill(words)
    page.page.wait_for_timeout(1500)  # the search waits until typing has ended
    texts = page.page.locator(results).all_inner_texts()
    return [text.strip().splitlines()[0] for text in texts if text.strip()]


def in_dialog(page: Tab, words: str) -> list[str]:
    if page.page.locator("[role=dialog] input").count() == 0:
        page.page.mouse.dblclick(700, 600)
        page.page.locator("[role=dialog] input").first.wait_for(timeout=10_000)
    return found(page, words, "[role=dialog] input[type=text]", "[data-testid=result-item]")


def in_library(page: Tab, words: str) -> list[str]:
    field = "input[placeholder^=Search]"
    if page.page.locator(field).count() == 0:
        for _ in range(2):  # the words, then the dialog
            page.page.keyboard.press("Escape")
        page.page.locator("[role=dialog]").wait_for(state="detached", timeout=10_000)
        page.page.locator(".node-library-tab-button").click()
        page.page.locator(field).first.wait_for(timeout=10_000)
    names = found(page, words, field, "[role=treeitem]:not([aria-expanded])")
    return [name for name in names if name != BLUEPRINT]


@pytest.mark.parametrize("words", LEADING)
@pytest.mark.parametrize("look", [in_dialog, in_library])
def test_remove_background_stands_as_high_as_names_allow(page: Tab, look, words: str) -> None:
    names = look(page, words)
    page.shoot(f"{look.__name__}-{words.replace(' ', '-')}")
    assert names[: len(LEADING[words])] == LEADING[words]
    if words == "rmbg":
        assert set(names[: len(OURS)]) == OURS
