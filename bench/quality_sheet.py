"""Pictures of what is measured: every kind of edge on three backdrops, and the peers side by side.

Cells show a part of a picture of 2048 x 1365 at twice its size, so that single pixels can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..demo.shapes import Array
from .quality_measure import BACKDROPS
from .quality_peers import Chain, chains
from .quality_scenes import KINDS, Kind, Scene, edge_band, render, small_mask

CELL = 200
PART = CELL // 2
GAP = 8
HEAD = 26
SIDE = 110
PAPER = (250, 249, 247)
INK = (40, 40, 44)
ERROR_GAIN = 4
MAGENTA = np.array(BACKDROPS[2], np.float32)


def edges(seed: int) -> Image.Image:
    """For each kind: input, mask, our cut-out on black, white and magenta, and its error there."""
    heads = (
        "input",
        "mask, softened",
        "on black",
        "on white",
        "on magenta",
        f"error x {ERROR_GAIN}",
    )
    rows = [(kind, _edge_row(render(kind, seed, 1365, 2048))) for kind in KINDS]
    return _page(heads, rows)


def peers(seed: int) -> Image.Image:
    """Two kinds, each on two backdrops: the truth, and every way of cutting out."""
    heads = ("truth", *(chain.name for chain in chains()))
    rows = []
    kinds: tuple[Kind, ...] = ("hair", "hard")
    for kind in kinds:
        scene = render(kind, seed, 1365, 2048)
        mask, where = small_mask(scene.alpha), _busiest(scene)
        cuts = [_cut(chain, mask, scene) for chain in chains()]
        for word, backdrop in (("black", BACKDROPS[0]), ("white", BACKDROPS[1])):
            level = np.array(backdrop, np.float32)
            shown = [_on(scene.foreground, scene.alpha, level), *(_on(*cut, level) for cut in cuts)]
            rows.append((f"{kind}, {word}", [picture[where] for picture in shown]))
    return _page(heads, rows)


def _edge_row(scene: Scene) -> list[Array]:
    mask = small_mask(scene.alpha, 1.0)
    where = _busiest(scene)
    cut = _cut(chains()[0], mask, scene)
    on = [_on(*cut, np.array(backdrop, np.float32)) for backdrop in BACKDROPS]
    error = np.abs(on[2] - _on(scene.foreground, scene.alpha, MAGENTA)) * ERROR_GAIN
    levels = Image.fromarray(np.rint(mask * 255).astype(np.uint8))
    size = (scene.alpha.shape[1], scene.alpha.shape[0])
    seen = np.asarray(levels.resize(size, Image.Resampling.NEAREST), np.float32) / 255
    shown = [scene.image, np.repeat(seen[..., None], 3, axis=2), *on, error]
    return [np.asarray(picture[where], np.float32) for picture in shown]


def _cut(chain: Chain, mask: Array, scene: Scene) -> tuple[Array, Array]:
    alpha = chain.upsample(mask, scene.image)
    return chain.colour(scene.image, alpha), alpha


def _on(colour: Array, alpha: Array, backdrop: NDArray[np.float32]) -> Array:
    cover = alpha[..., None]
    return np.asarray(cover * colour + (1 - cover) * backdrop, np.float32)


def _busiest(scene: Scene) -> tuple[slice, slice]:
    """The square of PART pixels with the most edge, and with the most change of alpha in it."""
    height, width = (side // PART * PART for side in scene.alpha.shape)
    blocks = (height // PART, PART, width // PART, PART)
    edge = edge_band(scene.alpha)[:height, :width].reshape(blocks).mean(axis=(1, 3))
    change = scene.alpha[:height, :width].reshape(blocks).std(axis=(1, 3))
    row, column = np.unravel_index(np.argmax(edge * change), edge.shape)
    return slice(row * PART, (row + 1) * PART), slice(column * PART, (column + 1) * PART)


def _page(heads: tuple[str, ...], rows: Sequence[tuple[str, list[Array]]]) -> Image.Image:
    width = SIDE + len(heads) * (CELL + GAP)
    page = Image.new("RGB", (width, HEAD + len(rows) * (CELL + GAP)), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for column, head in enumerate(heads):
        draw.text((SIDE + column * (CELL + GAP), 6), head, fill=INK, font=font)
    for number, (name, cells) in enumerate(rows):
        top = HEAD + number * (CELL + GAP)
        draw.text((8, top + 8), name, fill=INK, font=font)
        for column, cell in enumerate(cells):
            levels = np.rint(np.clip(cell, 0, 1) * 255).astype(np.uint8)
            enlarged = Image.fromarray(levels).resize((CELL, CELL), Image.Resampling.NEAREST)
            page.paste(enlarged, (SIDE + column * (CELL + GAP), top))
    return page
