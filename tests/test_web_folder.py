"""The files of the nodes' page under folder names that aiohttp's static routes never match."""

# Pins the inside of nodes.web_folder

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from rmbg_nodes.tests.support.comfy_standin import standing_in


def status_of(name: str, path: str) -> int:
    """What a server that has our route for this folder name answers."""

    async def asking() -> int:
        with standing_in():
            from rmbg_nodes.nodes.web_folder import pattern, serve
        server = web.Application()
        server.router.add_get(pattern(name), serve)
        runner = web.AppRunner(server)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        address = URL(f"http://{host}:{port}{path}", encoded=True)
        try:
            async with ClientSession() as session, session.get(address) as answer:
                return answer.status
        finally:
            await runner.cleanup()

    return asyncio.run(asking())


@pytest.mark.parametrize(
    "name",
    ["rmbg nodes", "rmbg%nodes", "rmbg%20nodes", "rmbg#nodes", "rmbg[1]", "rmbgnödes", "抠图"],
)
def test_our_files_are_served_and_nobody_elses(name: str) -> None:
    folder = quote(name, safe="")
    assert status_of(name, f"/extensions/{folder}/js/readiness.js") == 200
    assert status_of(name, f"/extensions/{folder}/js/none.js") == 404
    assert status_of(name, "/extensions/other/js/readiness.js") == 404


@pytest.mark.parametrize("path", ["../pyproject.toml", "%2e%2e/pyproject.toml", "..%2fversion.py"])
def test_nothing_beside_the_folder_is_served(path: str) -> None:
    assert status_of("a b", f"/extensions/a%20b/{path}") == 404
