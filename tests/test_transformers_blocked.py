"""The package works where transformers, timm, kornia, einops and torchvision cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.released_folder import small_weights

pytestmark = pytest.mark.whole

ROOT = Path(__file__).resolve().parent.parent
BLOCKED = ("transformers", "timm", "kornia", "einops", "torchvision")

# In a process of its own, since here some of these may be loaded already.
SCRIPT = """
import importlib, importlib.util, sys

BLOCKED = {blocked!r}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocker())
root = {root!r}
spec = importlib.util.spec_from_file_location(
    "rmbg_nodes", root + "/__init__.py", submodule_search_locations=[root]
)
package = importlib.util.module_from_spec(spec)
sys.modules["rmbg_nodes"] = package
spec.loader.exec_module(package)
for name in {modules!r}:
    importlib.import_module(name)

import numpy as np
from rmbg_nodes.demo.scenes import render

image = np.uint8(render("hard", 1, (96, 128), "solid").image * 255)
weights = {weights!r}
for backend, options in (
    ("keyer", {{}}),
    ("local/rmbg-2.0", dict(weights=weights, resolution=256)),
):
    opened = package.open_backend(backend, **options)
    result = package.remove_background(image, opened)
    opened.close()
    assert result.mask.shape == (96, 128), result.mask.shape
    assert result.image.shape == (96, 128, 4), result.image.shape
    print(backend, "ran")
found = [name for name in sys.modules if name.partition(".")[0] in BLOCKED]
assert not found, found
try:
    importlib.import_module("rmbg_nodes.hf")
except ImportError as error:
    print(error)
"""


def modules() -> list[str]:
    """Every module but those of transformers and of ComfyUI."""
    apart = ("hf", "nodes", "tests", "typings", "bench", "docs", "scripts", "build")
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] in apart or parts[0].startswith(".") or parts[-1] in ("__init__", "__main__"):
            continue
        found.append(".".join(("rmbg_nodes", *parts)))
    return found


def test_the_rest_needs_none_of_them(tmp_path: Path) -> None:
    script = SCRIPT.format(
        blocked=BLOCKED,
        root=str(ROOT),
        modules=modules(),
        weights=str(small_weights(tmp_path, "birefnet")),
    )
    env = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "RMBG_DEVICE": "cpu"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, text=True, env=env, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        "keyer ran",
        "local/rmbg-2.0 ran",
        "transformers is blocked",
    ]


def test_importing_the_package_does_not_import_transformers(tmp_path: Path) -> None:
    pytest.importorskip("transformers", minversion="5.0", reason="needs transformers 5")
    code = (
        "import sys\n"
        f"exec(open({str(ROOT / 'tests' / 'conftest.py')!r}).read(), "
        f"{{'__file__': {str(ROOT / 'tests' / 'conftest.py')!r}, '__name__': 'conftest'}})\n"
        "import rmbg_nodes.api, rmbg_nodes.cli\n"
        "print('transformers' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.stdout == "False\n", result.stderr
