"""Load RMBG's menu at comfy: a key of one's own, or whoever is signed in to the frontend."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.browser import RENDERERS, Renderer, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_graphs import messages_of
from rmbg_nodes.tests.support.comfy_server import Entry, Server, serving
from rmbg_nodes.tests.support.hosted.server import HostedServer

START = Path(__file__).resolve().parents[2] / "workflows" / "start-here.json"
ACCOUNT = "comfyui-sentinel-7c1f0e9ab2d4"
LINE = ".rmbg-line"
CHOICES = """() => {
    const node = app.graph.nodes.find(node => node.type === 'RMBG_Load')
    const widget = node.widgets.find(widget => widget.name === 'backend.account')
    return [widget.value, widget.options.values, widget.hidden ?? false]
}"""


@pytest.fixture
def router() -> Iterator[HostedServer]:
    with HostedServer("comfy", key=ACCOUNT) as running:
        yield running
        assert running.complaints == []


@pytest.fixture
def keyless(comfyui: Path, tmp_path: Path, router: HostedServer) -> Iterator[Server]:
    """A ComfyUI without any key."""
    me = str(tmp_path / "me")
    own = {**router.environment(), "COMFY_API_KEY": "", "RMBG_DATA": me, "XDG_CONFIG_HOME": me}
    with serving(comfyui, tmp_path / "ComfyUI", **own) as running:
        yield running


def queued(page: Tab, server: Server) -> Entry:
    """Press Run; what the history says when it has ended."""
    before = set(server.get("/history"))
    assert page.page.evaluate("() => app.queuePrompt(0, 1)") is True
    until = time.monotonic() + 120
    while not (new := set(server.get("/history")) - before) and time.monotonic() < until:
        time.sleep(0.2)
    return server.wait(new.pop())


def wait_for_line(page: Tab, words: str) -> None:
    page.page.locator(LINE).filter(has_text=words).first.wait_for(timeout=20_000)


def at_comfy(page: Tab) -> None:
    """The template, its menu turned to comfy."""
    page.load(START)
    page.put("RMBG_Load", backend="comfy")
    assert page.page.evaluate(CHOICES) == ["key", ["key", "signed-in"], False]
    assert "backend.account" in page.widgets("RMBG_Load")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_key_or_whoever_is_signed_in(
    keyless: Server, router: HostedServer, renderer: Renderer
) -> None:
    """Nobody is: the key is asked for, or the run says where to sign in; a key set then is used."""
    set_up(keyless, renderer)
    with tab(keyless, renderer) as page:
        at_comfy(page)
        wait_for_line(page, "Comfy Router needs a key (about 0.018 USD a picture)")
        button = page.page.get_by_role("button", name="Set key")
        assert button.is_visible()
        page.shoot("comfy-key")
        page.put("RMBG_Load", backend__account="signed-in")
        wait_for_line(page, "Ready: Comfy Router, about 0.018 USD a picture")
        assert not button.is_visible()
        page.shoot("comfy-signed-in")
        assert queued(page, keyless)["status"]["status_str"] == "error"
        wait_for_line(page, "Sign in to ComfyUI")
        page.shoot("comfy-nobody")
        assert router.requests == []
        page.page.locator(".rmbg-toast").get_by_role("button", name="Set key").click()
        dialog = page.page.locator("dialog.rmbg-dialog")
        dialog.locator("input[type=password]").fill(ACCOUNT)
        dialog.get_by_role("button", name="Keep").click()
        page.page.wait_for_function(f"() => ({CHOICES})()[0] === 'key'")
        dialog.get_by_role("button", name="Close").click()
        wait_for_line(page, "Ready: Comfy Router, about 0.018 USD a picture")
        assert page.complaints() == []


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_credential_travels_beside_the_prompt_alone(
    keyless: Server, router: HostedServer, tmp_path: Path, renderer: Renderer
) -> None:
    set_up(keyless, renderer)
    with tab(keyless, renderer, account=ACCOUNT) as page:
        sent: list[tuple[str, str]] = []
        page.page.on("request", lambda one: sent.append((one.url, one.post_data or "")))
        at_comfy(page)
        page.put("RMBG_Load", backend__account="signed-in")
        wait_for_line(page, "Ready: Comfy Router")
        entry = queued(page, keyless)
        assert entry["status"]["status_str"] == "success", messages_of(entry)
        page.wait_for_picture()
        page.shoot("comfy-account-run")
        saved = page.page.evaluate("() => JSON.stringify(app.graph.serialize())")
        assert page.complaints() == []
    assert router.bills == 1

    (body,) = [body for url, body in sent if url == f"{keyless.base}/api/prompt"]
    prompt = json.loads(body)
    assert prompt["extra_data"].pop("api_key_comfy_org") == ACCOUNT
    assert ACCOUNT not in json.dumps(prompt)
    others = [one for one in sent if one[0].startswith(keyless.base) and one[1] != body]
    asked = [keyless.get(path) for path in ("/history", "/queue", "/internal/logs/raw")]
    assert any("/rmbg/readiness" in url for url, _ in others)
    assert ACCOUNT not in json.dumps([others, saved, asked])
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {".png", ".log", ".db", ".sqlite"} <= {path.suffix for path in written}
    assert [path for path in written if ACCOUNT.encode() in path.read_bytes()] == []
