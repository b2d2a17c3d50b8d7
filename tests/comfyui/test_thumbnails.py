"""A template's thumbnail is what its run shows: the graph in the real ComfyUI, and the file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rmbg_nodes.tests.support.comfy_server import Server

ROOT = Path(__file__).resolve().parents[2]
# Those that need neither weights nor a key; SAM3's mask is a file there, as in the thumbnail.
KEYED = (
    "batch-of-frames",
    "cut-out-what-you-name",
    "masks-for-inpainting",
    "one-cut-out-many-backgrounds",
    "product-on-white",
    "start-here",
)
# Levels of 255, mean over all pixels; two different thumbnails are 10 and more apart.
JPEG_ERROR = 2.0


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """scripts/draw_thumbnails.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location(
        "draw_thumbnails", ROOT / "scripts" / "draw_thumbnails.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def levels(picture: Image.Image) -> NDArray[np.float64]:
    return np.asarray(picture.convert("RGB"), np.float64)


def committed(name: str) -> NDArray[np.float64]:
    with Image.open(ROOT / "workflows" / f"{name}.jpg") as picture:
        return levels(picture)


@pytest.mark.parametrize("name", KEYED)
def test_the_thumbnail_is_what_the_run_shows(
    server: Server, drawing: ModuleType, name: str
) -> None:
    server.put_picture(drawing.ROUGH_MASK, drawing.rough_jug())
    graph = drawing.graph_of(name, weights="")
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]
    shown = levels(drawing.thumbnail(server.pictures(entry, drawing.saved_by(graph))))
    assert np.abs(shown - committed(name)).mean() < JPEG_ERROR
    others = [np.abs(shown - committed(other)).mean() for other in KEYED if other != name]
    assert min(others) > 4 * JPEG_ERROR
