"""Draw the product shot and thumbnails: `python scripts/draw_thumbnails.py WEIGHTS [NAME ...]`.

The product shot is rendered, and so drawn the same each time. Each thumbnail is what Save Image
saved when the template ran in a real ComfyUI (COMFYUI_DIR names its checkout) on the pictures that
the pack brings. Where a template asks for a model of its own, a provider or ComfyUI's loader, the
IS-Net weights of RMBG-1.4's kind in WEIGHTS stand in for it. SAM3 is not run: for its mask stands
the jug's true one, out of the rendering, made coarse.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES, GRAPHS = ROOT / "workflows", ROOT / "docs" / "api-workflows"
SAMPLE, SAMPLE_SIDE = ROOT / "web" / "samples" / "rmbg-product.jpg", 1024
ROUGH_MASK, BLOCK = "rmbg-rough-jug.png", 8
SIDE, GAP, CELL = 512, 4, 32
MOST_BYTES = 60_000
CHEQUER = ((255, 255, 255), (214, 214, 214))
PLATE, INK = (31, 37, 64), (255, 255, 255)
SAVERS = ("SaveImage", "RMBG_RemoveBackgroundFromVideo")
# The frame of a video that is shown.
FRAME = 18
# What only SAM3 needs.
OF_SAM3 = ("CheckpointLoaderSimple", "CLIPTextEncode")
# What tells those apart whose pictures are the same.
LABELS = {
    "local-rmbg-2.0": "on this machine",
    "core-loader": "ComfyUI's model",
    "switch-to-bria": "Bria",
    "switch-to-fal": "fal.ai",
    "switch-to-replicate": "Replicate",
    "switch-to-comfy": "Comfy",
}


def thumbnail(pictures: Sequence[NDArray[np.uint8]], label: str = "") -> Image.Image:
    """Bring what a template saved to 512 x 512: one picture as it is, more of them as panels.

    Transparency shows the usual chequer; a panel is the middle of its picture.
    """
    sheet = Image.new("RGB", (SIDE, SIDE), INK)
    wide = (SIDE - GAP * (len(pictures) - 1)) // len(pictures)
    for number, picture in enumerate(pictures):
        opaque = _on_chequer(Image.fromarray(picture))
        width = round(opaque.width * SIDE / opaque.height)
        small = opaque.resize((width, SIDE), Image.Resampling.LANCZOS)
        left = (width - wide) // 2
        sheet.paste(small.crop((left, 0, left + wide, SIDE)), (number * (wide + GAP), 0))
    if label:
        _write(sheet, label)
    return sheet


def graph_of(name: str, weights: str) -> dict[str, Any]:
    """The template's graph for ComfyUI's API, with the weights where it asks for a model.

    SAM3 becomes the file ROUGH_MASK in ComfyUI's input folder.
    """
    graph: dict[str, Any] = json.loads((GRAPHS / f"{name}.json").read_text(encoding="utf-8"))
    model = {
        "usage": "non-commercial",
        "backend": "local",
        "backend.model": "rmbg-1.4",
        "backend.resolution": 0,
        "backend.precision": "auto",
        "backend.weights": weights,
        "backend.download": False,
        "backend.patch_order": "auto",
    }
    for node in graph.values():
        loads = node["class_type"] in ("RMBG_Load", "LoadBackgroundRemovalModel")
        if loads and node["inputs"].get("backend") not in ("keyer", "edges"):
            node.update({"class_type": "RMBG_Load", "inputs": model})
        if node["class_type"] == "SAM3_Detect":
            mask = {"image": ROUGH_MASK, "channel": "red"}
            node.update({"class_type": "LoadImageMask", "inputs": mask})
    return {key: node for key, node in graph.items() if node["class_type"] not in OF_SAM3}


def saved_by(graph: Mapping[str, Any]) -> str:
    """The id of the node that saves."""
    (number,) = [key for key, node in graph.items() if node["class_type"] in SAVERS]
    return str(number)


def draw_sample() -> None:
    """Render the picture that the templates begin with, without chroma subsampling: JPEG would blur
    backdrop and dry grass into each other."""
    image, _ = sample_scene()
    levels = (image * 255).round().astype(np.uint8)
    Image.fromarray(levels).save(SAMPLE, quality=92, subsampling=0, optimize=True)


def rough_jug() -> NDArray[np.uint8]:
    """Make what a segmenter might answer to "jug", (H, W) of 0 and 255.

    It is the rendering's true alpha without the grasses, all of which stand above the rim, in
    blocks of BLOCK pixels.
    """
    product = import_module("rmbg_nodes.demo.product")
    _, radius = product.PROFILE[0]
    rim = round(SAMPLE_SIDE * (0.5 + product.RIM - radius * product.SQUASH))
    _, alpha = sample_scene()
    jug = np.where(np.arange(SAMPLE_SIDE)[:, None] < rim, 0, alpha)
    blocks = jug.reshape(SAMPLE_SIDE // BLOCK, BLOCK, SAMPLE_SIDE // BLOCK, BLOCK).mean((1, 3))
    inside = (blocks > 0.5).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    rough: NDArray[np.uint8] = np.where(inside, np.uint8(255), np.uint8(0))
    return rough


@cache
def sample_scene() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Render the product shot and its true alpha, before the gradient: the sweep has nearly the
    colour of the dry grass, and JPEG blurs them into each other."""
    product = import_module("rmbg_nodes.demo.product")
    (studio,) = [studio for studio in product.STUDIOS if studio.name == "gradient"]
    scene = product.product_shot((SAMPLE_SIDE, SAMPLE_SIDE), studio)
    return scene.image, scene.alpha


def main(weights: str, names: Sequence[str]) -> None:
    draw_sample()
    with _comfyui() as server:
        server.put_picture(ROUGH_MASK, rough_jug())
        for name in names or sorted(path.stem for path in TEMPLATES.glob("*.json")):
            graph = graph_of(name, str(Path(weights).resolve()))
            entry = server.run(graph, timeout=600)
            if entry["status"]["status_str"] != "success":
                sys.exit(f"{name}: {entry['status']}")
            webm = webm_of(entry, saved_by(graph))
            made = (
                server.pictures(entry, saved_by(graph))
                if webm is None
                else [frame_of(server.folder / "output" / webm)]
            )
            drawn = thumbnail(made, LABELS.get(name, ""))
            _save(drawn, TEMPLATES / f"{name}.jpg")


def webm_of(entry: Mapping[str, Any], node: str) -> str | None:
    """Return the WebM that a node saved, below ComfyUI's output folder; None for pictures."""
    saved = entry["outputs"][node]["images"][0]
    return f"{saved['subfolder']}/{saved['filename']}" if "webm" in saved["filename"] else None


def frame_of(path: Path) -> NDArray[np.uint8]:
    """Return FRAME of a WebM (H, W, 4); libvpx is the decoder that reads transparency."""
    with av.open(str(path)) as container:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        frames = (f for packet in container.demux(video=0) for f in decoder.decode(packet))
        shown = next(islice(frames, FRAME, None))
        return np.asarray(shown.to_ndarray(format="rgba"), np.uint8)


@contextmanager
def _comfyui() -> Iterator[Any]:
    serving = import_module("rmbg_nodes.tests.support.comfy_server").serving
    with tempfile.TemporaryDirectory() as folder:
        me = str(Path(folder, "me"))
        checkout = Path(os.environ["COMFYUI_DIR"])
        with serving(checkout, Path(folder), RMBG_DATA=me, XDG_CONFIG_HOME=me) as server:
            yield server


def _on_chequer(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    cell = max(1, picture.height // CELL)
    board = np.indices((picture.height, picture.width)) // cell
    colours = np.array(CHEQUER, np.uint8)[board.sum(axis=0) % 2]
    below = Image.fromarray(colours)
    below.paste(picture, mask=picture.getchannel("A"))
    return below


def _write(sheet: Image.Image, label: str) -> None:
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(26)
    left, top, right, bottom = draw.textbbox((SIDE / 2, SIDE - 34), label, font, anchor="mm")
    plate = (left - 18, top - 10, right + 18, bottom + 10)
    draw.rounded_rectangle(plate, radius=(plate[3] - plate[1]) / 2, fill=PLATE)
    draw.text((SIDE / 2, SIDE - 34), label, INK, font, anchor="mm")


def _save(picture: Image.Image, path: Path) -> None:
    """As well as the limit on its size allows, without colours that run into each other."""
    for quality in range(92, 60, -4):
        picture.save(path, quality=quality, subsampling=0, optimize=True)
        if path.stat().st_size < MOST_BYTES:
            return
    sys.exit(f"{path.name} has more than {MOST_BYTES} bytes")


if __name__ == "__main__":
    import_module("make_docs").load_checkout()
    main(sys.argv[1], sys.argv[2:])
