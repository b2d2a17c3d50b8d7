"""A real ComfyUI older than the nodes need: COMFYUI_OLD_DIR names a checkout of 0.3.48 to 0.10."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.comfy_server import FOLDER, copy_pack, python_of


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What it prints while it loads its custom nodes."""
    given = os.environ.get("COMFYUI_OLD_DIR")
    if not given:
        pytest.skip("COMFYUI_OLD_DIR is not set: no old ComfyUI to run against")
    comfyui = Path(given).resolve()
    base = tmp_path_factory.mktemp("old base")
    copy_pack(base / "custom_nodes" / FOLDER)
    (base / "input").mkdir()
    # The exit status says nothing: after its nodes an old ComfyUI may still fail on the newer
    # frontend packages of the interpreter that it is lent.
    result = subprocess.run(
        [python_of(comfyui), "main.py", "--cpu", "--quick-test-for-ci"]
        + ["--disable-api-nodes", "--base-directory", str(base)]
        + ["--database-url", f"sqlite:///{base / 'comfyui.db'}"],
        cwd=comfyui,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONHOME")
        },
    )
    return result.stdout + result.stderr


def test_it_says_what_is_needed_and_lists_no_failed_import(log: str) -> None:
    said = re.findall(r"RMBG Nodes needs ComfyUI 0\.11\.0 or newer, and this is 0\.[\d.]+:", log)
    assert len(said) == 1, log[-3000:]
    assert "IMPORT FAILED" not in log
    line = next(line for line in log.splitlines() if line.endswith(FOLDER) and "seconds" in line)
    assert re.search(r"0\.\d seconds: ", line), line
