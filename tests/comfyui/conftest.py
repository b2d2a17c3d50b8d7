"""One real ComfyUI for all tests of this folder; they are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.comfy_server import Server, serving
from rmbg_nodes.tests.support.hosted.server import HostedServer

#: In every key of the loopback servers.
SECRET = "sentinel-key-b41e07f6aa93"


@pytest.fixture(scope="session")
def comfyui() -> Path:
    given = os.environ.get("COMFYUI_DIR")
    if not given:
        pytest.skip("COMFYUI_DIR is not set: no ComfyUI checkout to run against")
    return Path(given).resolve()


@pytest.fixture(scope="session")
def user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's own folders, outside ComfyUI: records, settings, the key file."""
    return tmp_path_factory.mktemp("user")


@pytest.fixture(scope="session")
def providers(comfyui: Path) -> Iterator[Mapping[str, HostedServer]]:
    """The licensed APIs, on this machine."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(HostedServer(name, key=f"{SECRET}-{name}"))
            for name in ("bria", "fal", "replicate", "comfy")
        }


@pytest.fixture(scope="session")
def server(
    comfyui: Path,
    user: Path,
    providers: Mapping[str, HostedServer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("ComfyUI base")
    (base / "input").mkdir()
    shutil.copy(comfyui / "input" / "example.png", base / "input")  # what a new ComfyUI has
    variables = {"RMBG_DATA": str(user / "data"), "XDG_CONFIG_HOME": str(user / "config")}
    for name, provider in providers.items():
        variables |= provider.environment()
        variables[f"RMBG_{name.upper()}_REQUESTS_A_MINUTE"] = "60000"
    # This one comes from the key file (test_hosted.py).
    variables["REPLICATE_API_TOKEN"] = ""
    with serving(comfyui, base, **variables) as running:
        yield running
