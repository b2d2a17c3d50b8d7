"""Draw the pictures of the help pages with the pack itself: `python scripts/draw_help.py [FOLDER]`.

They hold no words, so that every language shows the same ones. web/docs/assets/load.png is a
screenshot of ComfyUI and is not made here.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

ASSETS = Path(__file__).resolve().parent.parent / "web" / "docs" / "assets"
SIDE = 768
CELL, GAP = 270, 10
HOLE = (0.7, 0.5)
PAPER = (250, 249, 247)


def chequer(side: int = SIDE) -> Tensor:
    """(1, side, side, 3): the usual sign for transparency."""
    steps = torch.arange(side) // (side // 24)
    grey = 0.78 + 0.14 * ((steps[:, None] + steps[None, :]) % 2)
    return grey[None, ..., None].expand(1, -1, -1, 3)


def table_top(side: int = SIDE) -> Tensor:
    """(1, side, side, 3): a wall in evening light above a table, to set a subject on."""
    down = torch.linspace(0, 1, side)[:, None, None]
    across = torch.linspace(-1, 1, side)[None, :, None]
    wall = torch.tensor([0.96, 0.73, 0.52]) - 0.22 * across.square() - 0.12 * down
    boards = 0.03 * torch.sin(across * 60 / (0.3 + down)) * (down > 0.66)
    table = torch.tensor([0.47, 0.31, 0.22]) + 0.18 * (down - 0.66) + boards
    return torch.where(down > 0.66, table, wall).clamp(0, 1)[None]


def disc(row: float, column: float, radius: float) -> Tensor:
    """(1, SIDE, SIDE): 1 inside; everything in shares of the side."""
    across = torch.arange(SIDE) / SIDE
    distance = torch.hypot(across[:, None] - row, across[None, :] - column)
    return ((radius - distance) * SIDE).clamp(0, 1)[None]


def spoilt(mask: Tensor) -> Tensor:
    """(1, H, W) -> the same as models may leave it: haze, a weak subject, a hole and islands."""
    worse = mask * 0.78 + 0.12
    worse = torch.lerp(worse, torch.full_like(worse, 0.12), disc(*HOLE, 0.05))
    return worse.maximum(disc(0.2, 0.15, 0.035)).maximum(disc(0.85, 0.85, 0.05))


def grid(cells: list[Tensor]) -> Image.Image:
    """Four pictures (1, H, W, 3), two by two: legible in ComfyUI's narrow help panel."""
    side = 2 * CELL + 3 * GAP
    sheet = Image.new("RGB", (side, side), PAPER)
    for number, cell in enumerate(cells):
        image = Image.fromarray((cell[0] * 255).round().to(torch.uint8).numpy())
        small = image.resize((CELL, CELL), Image.Resampling.LANCZOS)
        row, column = divmod(number, 2)
        sheet.paste(small, (GAP + column * (CELL + GAP), GAP + row * (CELL + GAP)))
    return sheet


def main(folder: Path) -> None:
    product_shot = import_module("rmbg_nodes.demo.product").product_shot
    alpha = import_module("rmbg_nodes.core.alpha")
    cutout = import_module("rmbg_nodes.core.cutout").cutout
    composing = import_module("rmbg_nodes.core.composite")
    remove_background = import_module("rmbg_nodes").remove_background

    def on(foreground: Tensor, background: object, **options: object) -> Tensor:
        layout = composing.CompositeOptions(**options)
        image: Tensor = composing.compose(foreground, None, background, layout)[0]
        return image[..., :3]

    def shown(mask: Tensor) -> Tensor:
        return mask[..., None].expand(-1, -1, -1, 3)

    image = torch.from_numpy(product_shot((SIDE, SIDE)).image)[None]
    cut, mask, _ = remove_background(image, "keyer")
    bad = spoilt(mask)
    options = alpha.MaskOptions(black=0.2, white=0.9, remove_islands=0.5)
    good = alpha.adjust_mask(bad, options, keep=disc(*HOLE, 0.06))
    again = cutout(image, good)
    standing = {"fit": "subject", "margin": 0.12, "shadow": 0.5}
    for name, cells in {
        "remove": [image, shown(mask), on(cut, chequer()), on(cut, "#f2c14e")],
        "mask": [shown(bad), on(cutout(image, bad), chequer()), shown(good), on(again, chequer())],
        "composite": [
            on(cut, chequer()),
            on(cut, table_top(), **standing),
            on(cut, table_top(), anchor="bottom-left", fit="contain", scale=0.6, shadow=0.5),
            on(cut, "#7fb7be", **standing),
        ],
        "save": [on(cut, chequer()), cut[..., :3], on(cut, "#ffffff"), on(cut, "#7fb7be")],
    }.items():
        grid(cells).save(folder / f"{name}.jpg", quality=86, optimize=True)


if __name__ == "__main__":
    import_module("make_docs").load_checkout()
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ASSETS)
