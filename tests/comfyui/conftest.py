"""One real ComfyUI for all tests of this folder; they are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.comfy_server import Server, serving


@pytest.fixture(scope="session")
def comfyui() -> Path:
    given = os.environ.get("COMFYUI_DIR")
    if not given:
        pytest.skip("COMFYUI_DIR is not set: no ComfyUI checkout to run against")
    return Path(given).resolve()


@pytest.fixture(scope="session")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("ComfyUI base")
    (base / "input").mkdir()
    shutil.copy(comfyui / "input" / "example.png", base / "input")  # what a new ComfyUI has
    with serving(comfyui, base) as running:
        yield running
