"""Save Cut-out (RMBG) in a real ComfyUI server."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.demo.scenes import render
from rmbg_nodes.pictures.metadata import metadata_of
from rmbg_nodes.pictures.provenance import read_provenance
from rmbg_nodes.tests.support.comfy_server import Entry, Server

REMOVE = {
    "refine_edges": True,
    "decontaminate": 1.0,
    "background": "transparent",
    "color": "#ffffff",
}
SAVE = {
    "filename_prefix": "shop/cut",
    "format": "png",
    "color": "#ffffff",
    "source": "photograph",
    "keep_workflow": True,
}


def node(class_type: str, **inputs: object) -> dict[str, object]:
    return {"class_type": class_type, "inputs": inputs}


def graph(**save: object) -> dict[str, dict[str, object]]:
    load = {"usage": "non-commercial", "backend": "keyer", "backend.mode": "plain"}
    return {
        "1": node("LoadImage", image="to-save.png"),
        "2": node("RMBG_Load", **load),
        "3": node("RMBG_RemoveBackground", remover=["2", 0], image=["1", 0], **REMOVE),
        "4": node("RMBG_SaveCutout", image=["3", 0], report=["3", 2], **(SAVE | save)),
        "5": node("SaveImage", images=["3", 0], filename_prefix="core"),
    }


@pytest.fixture(scope="module", autouse=True)
def picture(server: Server) -> None:
    scene = render("soft", 3, (96, 128), backdrop="studio")
    server.put_picture("to-save.png", (scene.image * 255).round().astype(np.uint8))


def saved(server: Server, entry: Entry) -> list[Path]:
    assert entry["status"]["status_str"] == "success", entry["status"]
    images = entry["outputs"]["4"]["images"]
    return [server.folder / "output" / one["subfolder"] / one["filename"] for one in images]


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def test_png_with_provenance_and_workflow_is_served(server: Server) -> None:
    entry = server.run(graph())
    (path,) = saved(server, entry)
    assert path.name.startswith("cut_0000")
    said = read_provenance(metadata_of(path.read_bytes()))
    assert said is not None
    assert said.backend == "keyer"
    prompt = json.loads(opened(path).info["prompt"])
    assert prompt["4"]["class_type"] == "RMBG_SaveCutout"
    (ours,), (core,) = server.pictures(entry, "4"), server.pictures(entry, "5")
    assert ours.shape == (96, 128, 4)
    # Core's node cuts off what lies between two levels; ours rounds.
    difference = ours.astype(int) - core
    assert set(np.unique(difference)) <= {0, 1}
    assert (difference == 1).any()


def test_numbers_go_on_over_all_formats(server: Server) -> None:
    names = [
        saved(server, server.run(graph(filename_prefix="row", format=format)))[0].name
        for format in ("png", "webp", "jpeg", "png 16 bit")
    ]
    assert names == ["row_00001_.png", "row_00002_.webp", "row_00003_.jpg", "row_00004_.png"]


def test_webp_and_no_workflow(server: Server) -> None:
    (with_it,) = saved(server, server.run(graph(format="webp")))
    assert opened(with_it).getexif()[0x0110].startswith("prompt:{")
    (without,) = saved(server, server.run(graph(format="webp", keep_workflow=False)))
    assert b"RMBG_Load" not in without.read_bytes()
    assert read_provenance(metadata_of(without.read_bytes())) is not None


def test_it_does_not_leave_the_output_folder(server: Server) -> None:
    entry = server.run(graph(filename_prefix="../outside"))
    assert entry["status"]["status_str"] == "error"
    assert not list(server.folder.glob("outside*"))
