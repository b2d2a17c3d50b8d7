"""The routes below /rmbg/ on a real server: who may ask, what is answered, and never a key."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from aiohttp import ClientSession, web

from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.core.report import JsonValue
from rmbg_nodes.tests.support.comfy_standin import Control, standing_in
from rmbg_nodes.tests.support.hosted.server import HostedServer

KEY = "loopback-key-0123456789"
KEYER = {"usage": "non-commercial", "backend": {"backend": "keyer"}}
JSON = "application/json"


@pytest.fixture
def comfy(tmp_path: Path) -> Iterator[Control]:
    with standing_in(tmp_path / "ComfyUI") as control:
        yield control


@pytest.fixture
def routes(comfy: Control) -> ModuleType:
    return importlib.import_module("rmbg_nodes.nodes.routes")


@dataclass
class Said:
    status: int
    data: dict[str, JsonValue]
    text: str


def post(
    routes: ModuleType,
    name: str,
    asked: object,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
) -> Said:
    """Ask a server of its own. headers: in place of those of the server's own page."""

    async def asking() -> Said:
        server = web.Application()
        server.router.add_post("/rmbg/{name}", routes.answer)
        runner = web.AppRunner(server)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        own = {"Origin": f"http://{host}:{port}"} if headers is None else headers
        try:
            async with (
                ClientSession() as session,
                session.post(
                    f"http://{host}:{port}/rmbg/{name}",
                    data=asked if isinstance(asked, bytes) else json.dumps(asked).encode(),
                    headers={"Content-Type": content_type, **own},
                ) as answer,
            ):
                text = await answer.text()
                return Said(answer.status, json.loads(text), text)
        finally:
            await runner.cleanup()

    return asyncio.run(asking())


def test_readiness_of_several_nodes_at_once(routes: ModuleType) -> None:
    local = {"backend": "local", "model": "birefnet", "resolution": 0, "download": False}
    asked = {"nodes": [KEYER, {"usage": "commercial", "backend": local}]}
    said = post(routes, "readiness", asked)
    assert said.status == 200
    nodes = said.data["nodes"]
    assert isinstance(nodes, list)
    assert [node["state"] for node in nodes if isinstance(node, dict)] == ["ready", "refused"]


@pytest.mark.parametrize("name", ["readiness", "best", "models", "download", "cancel", "key"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
def test_only_the_own_page_may_ask(
    routes: ModuleType, name: str, headers: Mapping[str, str]
) -> None:
    said = post(routes, name, {"nodes": [KEYER]}, headers)
    assert (said.status, list(said.data)) == (403, ["error"])


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_taken(routes: ModuleType, kind: str) -> None:
    assert post(routes, "readiness", {"nodes": []}, content_type=kind).status == 415


@pytest.mark.parametrize(
    ("name", "asked", "status"),
    [
        ("readiness", b"{", 400),
        ("readiness", [], 400),
        ("readiness", {"nodes": {}}, 400),
        ("readiness", {"nodes": [{"usage": "x"}]}, 400),
        ("readiness", {"nodes": [{"backend": {"backend": ["keyer"]}}]}, 400),
        ("readiness", b" " * 70_000, 413),
        ("download", {"model": "birefnet"}, 400),
        ("download", {"model": 7, "accepted": True}, 400),
        ("key", {"provider": "keyer", "key": KEY}, 400),
        ("anything", {}, 404),
    ],
)
def test_what_no_page_sends_is_refused(
    routes: ModuleType, name: str, asked: object, status: int
) -> None:
    assert post(routes, name, asked).status == status


def key_file() -> Path:
    return PlainHost().config_folder() / "keys.json"


@pytest.mark.parametrize("name", ["download", "cancel", "key"])
@pytest.mark.parametrize("listening", ["0.0.0.0", "0.0.0.0,::", "127.0.0.1,192.168.0.7"])
def test_nothing_is_changed_for_other_machines(
    routes: ModuleType, comfy: Control, name: str, listening: str
) -> None:
    comfy.listen = listening
    said = post(routes, name, {"provider": "bria", "key": KEY, "model": "birefnet"})
    assert said.status == 403
    assert "RMBG_REMOTE_SETUP" in str(said.data["error"])
    assert not key_file().exists()
    assert post(routes, "readiness", {"nodes": [KEYER]}).status == 200


def test_a_name_that_only_leads_here_changes_nothing(routes: ModuleType) -> None:
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert post(routes, "key", {"provider": "bria", "key": KEY}, headers).status == 403


def test_the_setting_lets_other_machines_in(
    routes: ModuleType, comfy: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    comfy.listen = "0.0.0.0"
    monkeypatch.setenv("RMBG_REMOTE_SETUP", "1")
    assert post(routes, "key", {"provider": "bria", "key": KEY}).data["kept"] is True


def test_a_key_is_kept_for_the_user_alone_and_never_answered(
    routes: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    said = post(routes, "key", {"provider": "bria", "key": KEY})
    assert said.data["kept"] is True
    assert "was not tried" in str(said.data["words"])
    assert KEY in key_file().read_text(encoding="utf-8")
    if os.name == "posix":
        assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    node = {"usage": "commercial", "backend": {"backend": "bria", "model": "rmbg-2.0"}}
    ready = post(routes, "readiness", {"nodes": [node]})
    assert "Ready: Bria API" in ready.text
    assert KEY not in said.text + ready.text + caplog.text


@pytest.mark.parametrize("provider", ["fal", "replicate"])
def test_a_key_is_tried_where_that_costs_nothing(
    routes: ModuleType, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostedServer(provider, key=KEY) as server:
        for name, value in server.environment().items():
            if name.startswith("RMBG_"):
                monkeypatch.setenv(name, value)
        wrong = post(routes, "key", {"provider": provider, "key": "wrong-" + KEY})
        assert "refused the key" in str(wrong.data["error"])
        assert "Nothing was kept" in str(wrong.data["error"])
        assert not key_file().exists()
        assert KEY not in wrong.text
        right = post(routes, "key", {"provider": provider, "key": KEY, "profile": "work"})
        assert "knows it" in str(right.data["words"])
        assert server.bills == 0
        assert server.complaints == []
    assert json.loads(key_file().read_text(encoding="utf-8"))["profiles"]["work"]


def test_a_key_that_could_not_be_tried_is_kept(
    routes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBG_OFFLINE", "1")
    said = post(routes, "key", {"provider": "fal", "key": KEY})
    assert said.data["kept"] is True
    assert "RMBG_OFFLINE" in str(said.data["words"])


@pytest.mark.parametrize("value", ["", "two words", "a\nb", "x" * 2000])
def test_what_is_no_key_is_not_kept(routes: ModuleType, value: str) -> None:
    said = post(routes, "key", {"provider": "bria", "key": value})
    assert said.status == 200
    assert said.data["error"]
    assert not key_file().exists()


def test_a_use_that_the_licence_forbids_fetches_nothing(routes: ModuleType) -> None:
    said = post(routes, "download", {"model": "rmbg-2.0", "usage": "commercial", "accepted": True})
    assert "non-commercial use only" in str(said.data["error"])


def test_a_token_is_kept_and_why_a_download_fails_is_answered(
    routes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBG_OFFLINE", "1")
    asked = {"model": "rmbg-2.0", "accepted": True, "token": "hf_" + KEY}
    said = post(routes, "download", asked)
    assert said.data["state"] == "failed"
    assert "RMBG_OFFLINE" in str(said.data["words"])
    assert KEY not in said.text
    assert "HF_TOKEN" in key_file().read_text(encoding="utf-8")


def test_a_settings_file_with_a_mistake_is_said(
    routes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMBG_OFFLINE", "perhaps")
    said = post(routes, "key", {"provider": "bria", "key": KEY})
    assert "RMBG_OFFLINE" in str(said.data["error"])
    assert not key_file().exists()
