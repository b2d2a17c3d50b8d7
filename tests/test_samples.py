"""The pack's own pictures in ComfyUI's input folder, and what the templates make of them."""

# Pins the inside of nodes

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rmbg_nodes
from rmbg_nodes.core.errors import NoPlainBackdrop
from rmbg_nodes.tests.support.comfy_standin import standing_in

SAMPLES = Path(__file__).resolve().parent.parent / "web" / "samples"
NAMES = ["rmbg-green-screen.mp4", "rmbg-photo.jpg", "rmbg-product.jpg"]


def loaded(base: Path) -> None:
    """Load the pack into a ComfyUI whose folders are below `base`."""
    with standing_in(base):
        from rmbg_nodes.nodes import extension

        asyncio.run(extension().on_load())


def test_they_are_put_where_load_image_looks_and_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / NAMES[1]).write_bytes(b"mine")
    loaded(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    assert (folder / NAMES[1]).read_bytes() == b"mine"
    for name in (NAMES[0], NAMES[2]):
        assert (folder / name).read_bytes() == (SAMPLES / name).read_bytes()


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "input").write_text("a file in its place")
    with caplog.at_level(logging.WARNING, "rmbg_nodes"):
        loaded(tmp_path)
    assert "choose in Load Image" in caplog.text


def test_the_product_is_cut_out_without_a_warning() -> None:
    picture = Image.open(SAMPLES / "rmbg-product.jpg")
    _, mask, (report,) = rmbg_nodes.remove_background(picture, "keyer")
    assert report.warnings == ()
    assert 0.1 < np.asarray(mask).mean() / 255 < 0.3


def test_the_photograph_asks_for_a_model() -> None:
    picture = Image.open(SAMPLES / "rmbg-photo.jpg")
    with pytest.raises(NoPlainBackdrop, match="local"):
        rmbg_nodes.remove_background(picture, "keyer")
