"""Load the checkout as `rmbg_nodes`, whatever its folder is called, with nothing installed."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _load_checkout() -> None:
    spec = importlib.util.spec_from_file_location(
        "rmbg_nodes", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rmbg_nodes"] = module
    spec.loader.exec_module(module)


_load_checkout()


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings or keys of the machine it runs on."""
    for name in list(os.environ):
        if name.startswith(("RMBG_", "BRIA_", "FAL_", "REPLICATE_")):
            monkeypatch.delenv(name)
