"""The contact sheet: one row for each picture, labelled, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..core.composite import CompositeOptions, compose

CELL = 320
GAP = 16
TITLE = 56
CAPTION = 44
PAPER = (250, 249, 247)
INK = (40, 40, 44)
FAINT = (120, 120, 126)


@dataclass(frozen=True)
class Row:
    """One picture on the sheet."""

    name: str
    words: str
    """What to say of it, one line."""
    image: Tensor | None
    """(H, W, 3), None where only the cut-out is known."""
    cut: Tensor
    """(H, W, 4), straight alpha."""


def contact_sheet(title: str, rows: Sequence[Row]) -> Tensor:
    """Draw input (where there is any), mask, and the cut-out on a chequerboard, on white, and on a
    colour."""
    first = 0 if any(row.image is not None for row in rows) else 1
    heads = ("input", "mask", "cut-out", "on white", "on a colour")[first:]
    width = GAP + len(heads) * (CELL + GAP)
    height = TITLE + len(rows) * (CELL + CAPTION + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(22), ImageFont.load_default(15)
    draw.text((GAP, 14), title, fill=INK, font=large)
    top = TITLE
    for row in rows:
        draw.text((GAP, top), row.name, fill=INK, font=small)
        draw.text((GAP, top + 19), row.words, fill=FAINT, font=small)
        for column, (head, cell) in enumerate(zip(heads, _cells(row)[first:], strict=True)):
            left = GAP + column * (CELL + GAP)
            if cell is not None:
                sheet.paste(_fitted(cell), (left, top + CAPTION))
            if column:
                draw.text((left + CELL, top), head, fill=FAINT, font=small, anchor="ra")
        top += CELL + CAPTION + GAP
    return torch.from_numpy(np.asarray(sheet, np.float32) / 255)


def _cells(row: Row) -> tuple[Tensor | None, ...]:
    mask = row.cut[..., 3:].expand(-1, -1, 3)
    on = [_on(row.cut, _chequer(row.cut)), _on(row.cut, "white"), _on(row.cut, "#f2c14e")]
    return (row.image, mask, *on)


def _on(cut: Tensor, background: Tensor | str) -> Tensor:
    return compose(cut[None], None, background, CompositeOptions())[0][0]


def _chequer(cut: Tensor) -> Tensor:
    height, width = cut.shape[:2]
    side = max(1, max(height, width) // 24)
    rows = torch.arange(height)[:, None] // side
    columns = torch.arange(width)[None, :] // side
    grey = 0.78 + 0.14 * ((rows + columns) % 2)
    return grey[None, ..., None].expand(1, -1, -1, 3)


def _fitted(pixels: Tensor) -> Image.Image:
    levels = (pixels.clamp(0, 1) * 255).round().numpy().astype(np.uint8)
    image = Image.fromarray(levels)
    image.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    cell = Image.new("RGB", (CELL, CELL), (238, 237, 234))
    cell.paste(image, ((CELL - image.width) // 2, (CELL - image.height) // 2))
    return cell
