"""The real ComfyUI frontend in headless Chromium. Screenshots are kept in test-output/."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pytest

from .comfy_server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Response, Route

#: A workflow as the frontend saves it, read by the tests as they need it.
Graph: TypeAlias = "dict[str, Any]"
Renderer: TypeAlias = Literal["canvas", "vue"]
RENDERERS: tuple[Renderer, ...] = ("canvas", "vue")

SHOTS = Path(__file__).resolve().parents[2] / "test-output"
READY = (
    "() => window.app && app.graph && app.vueAppReady && app.extensionManager"
    " && app.extensionManager.spinner === false"
)
COMFY_ORG = "https://api.comfy.org"
#: A toast of frontend 1.49, and one of 1.58.
TOAST = ".p-toast-message-text, [data-testid=toast]"
# The words of our lines on the node of this type, but for what it says before a run.
LINE_OF = """type => (app.graph.nodes.find(node => node.type === type)?.widgets ?? [])
    .filter(widget => ['notice', 'failure', 'beginning'].includes(widget.name))
    .map(widget => widget.element.querySelector('p')?.textContent ?? '').join(' ')"""
# Without these the template browser opens over everything at the first start.
_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": False,
    "Comfy.Window.UnloadConfirmation": False,
    "Comfy.Minimap.Visible": False,
    "Comfy.RightSidePanel.IsOpen": False,
}
_CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Tab:
    """A page of the frontend, and what it complained about."""

    def __init__(self, page: Page, renderer: Renderer) -> None:
        self.page = page
        self.renderer = renderer
        self._errors: list[str] = []
        self._said: list[str] = []
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.on("console", self._note_line)
        page.on("response", self._note_response)

    def complaints(self) -> list[str]:
        """Uncaught errors of the page, and console errors and failed requests that name the pack.

        The frontend has failed requests of its own, for files that a new user does not have, and
        looks failed nodes up at comfy.org, which its own security policy blocks.
        """
        said = [text for text in self._said if COMFY_ORG not in text]
        return self._errors + [text for text in said if "rmbg" in text.lower()]

    def _note_line(self, line: ConsoleMessage) -> None:
        if line.type == "error":
            self._said.append(line.text)

    def _note_response(self, response: Response) -> None:
        if response.status >= 400:
            self._said.append(response.url)

    def load(self, path: Path) -> Graph:
        """Open a saved workflow and show all of it."""
        graph: Graph = json.loads(path.read_text(encoding="utf-8"))
        self.page.evaluate("graph => app.loadGraphData(graph)", graph)
        self.page.wait_for_function("n => app.graph.nodes.length === n", arg=len(graph["nodes"]))
        self.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        return graph

    def put(self, node: str, **values: object) -> None:
        """Set widgets of the node of this type, in order, as a user does; "__" stands for "."."""
        for name, value in values.items():
            self.page.evaluate(
                """async ([type, name, value]) => {
                    const node = app.graph.nodes.find(node => node.type === type);
                    const widget = node.widgets.find(widget => widget.name === name);
                    widget.value = value;
                    widget.callback?.(value);
                    await new Promise(done => setTimeout(done, 200));
                }""",
                [node, name.replace("__", "."), value],
            )

    def widgets(self, node: str) -> list[str]:
        """Names of the widgets of the node of this type that a workflow saves."""
        names: list[str] = self.page.evaluate(
            """type => app.graph.nodes.find(node => node.type === type).widgets
                .filter(widget => widget.serialize !== false).map(widget => widget.name)""",
            node,
        )
        return names

    def line(self, node: str) -> str:
        """What our line on the node of this type says; empty where there is none."""
        words: str = self.page.evaluate(LINE_OF, node)
        return words

    def wait_for_line(self, node: str, words: str) -> None:
        """Until our line on the node of this type says this, or begins with it."""
        self.page.wait_for_function(
            f"([node, words]) => ({LINE_OF})(node).startsWith(words)",
            arg=[node, words],
            timeout=60_000,
        )

    def toasts(self) -> list[str]:
        """What the frontend's own toasts say now."""
        return self.page.locator(TOAST).all_inner_texts()

    def clear_toasts(self) -> None:
        """Take them away; newer frontends have another name for it."""
        self.page.evaluate(
            """() => {
                const {toast} = app.extensionManager
                toast.dismissAll ? toast.dismissAll() : toast.removeAll()
            }"""
        )
        self.page.wait_for_function(f"() => !document.querySelector('{TOAST}')")

    def wait_for_picture(self, node: str = "SaveImage") -> None:
        """Until a node of this type shows what it saved: on the canvas, or as an element of the
        page."""
        self.page.wait_for_function(
            """type => app.graph.nodes.some(node => node.type === type && (node.imgs?.length
                || document.querySelector(`[data-node-id="${node.id}"] img`)?.naturalWidth))""",
            arg=node,
            timeout=60_000,
        )

    def shoot(self, name: str) -> None:
        """Keep a picture of the window."""
        SHOTS.mkdir(exist_ok=True)
        time.sleep(1.5)  # the view's animation, and pictures that still load
        self.page.screenshot(path=SHOTS / f"{name}-{self.renderer}.png")


def set_up(server: Server, renderer: Renderer) -> None:
    """The settings of a user who has seen the first start."""
    server.post("/api/settings", {**_SETTINGS, "Comfy.VueNodes.Enabled": renderer == "vue"})


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not _CHROMIUM:
        pytest.skip("no Chromium on this machine; name one in CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(server: Server, renderer: Renderer, account: str = "") -> Iterator[Tab]:
    """A browser on this server, ready; skips the test where there is none.

    account: the key of the Comfy account that is signed in to the frontend; comfy.org knows it.
    """
    with chromium() as browser:
        # With --disable-api-nodes ComfyUI's own policy would keep the page from comfy.org.
        page = browser.new_page(viewport={"width": 1700, "height": 1000}, bypass_csp=bool(account))
        opened = Tab(page, renderer)
        if account:
            _sign_in(page, account)
        opened.page.goto(server.base, wait_until="domcontentloaded")
        opened.page.wait_for_function(READY, timeout=120_000)
        yield opened


def _sign_in(page: Page, key: str) -> None:
    """Leave what the frontend's dialog "Comfy API Key" leaves, and stand in for comfy.org."""

    def answer(route: Route) -> None:
        headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
        known = route.request.headers.get("x-api-key") == key
        if route.request.method == "OPTIONS":
            route.fulfill(status=204, headers=headers)
        elif known and route.request.url.endswith("/customers"):
            route.fulfill(status=201, headers=headers, json={"id": "somebody"})
        else:
            route.fulfill(status=404, headers=headers, json={"message": "not here"})

    page.route(f"{COMFY_ORG}/**", answer)
    page.add_init_script(f"localStorage.setItem('comfy_api_key', {json.dumps(key)})")
