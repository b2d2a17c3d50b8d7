"""Draw the pictures of photographs: `python scripts/draw_photographs.py WEIGHTS`.

The photographs are those of the demo, in the public domain or CC0; all but the pack's own come from
scikit-image's wheel. They are cut out with the defaults by WEIGHTS, IS-Net in RMBG-1.4's names of
tensors (drawn with isnet-general-use of rembg's release; RMBG's own weights were not at hand).
Writes docs/pictures/photographs.jpg, docs/pictures/quality-doubt.jpg and, for `draw_brand.py`,
assets/photo-cutout.webp.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
PICTURES, CUTOUT = ROOT / "docs" / "pictures", ROOT / "assets" / "photo-cutout.webp"
#: Photograph -> the part that is shown: left, top, right, bottom.
SHOWN = {"astronaut": (0, 0, 512, 465), "coffee": (58, 0, 498, 400)}
COLOURS = {"astronaut": "#8fb8c9", "coffee": "#f2c14e", "cat": "#8fb8c9", "rocket": "#f2c14e"}
CELL, GAP, CAPTION = (264, 240), 8, 30
PAPER, INK = "#ffffff", "#1f2540"
CHEQUER, SQUARE = ((255, 255, 255), (214, 214, 214)), 15
QUALITY = 82


@dataclass(frozen=True)
class Cut:
    """One photograph, cut out."""

    photo: Image.Image
    image: Image.Image
    """RGBA."""
    mask: Image.Image
    credit: str
    doubt: float


def cut_out(weights: Path) -> Iterator[tuple[str, Cut]]:
    """Yield name and cut-out of every photograph that is at hand."""
    package = import_module("rmbg_nodes")
    options = {"weights": str(weights), "precision": "float32"}
    backend = package.open_backend("local/rmbg-1.4", usage="non-commercial", **options)
    with closing(backend):
        for photo in import_module("rmbg_nodes.demo.photos").find_photos():
            picture = Image.open(photo.path).convert("RGB")
            image, mask, (report,) = package.remove_background(picture, backend)
            doubt = report.flags["doubt"]
            yield photo.name, Cut(picture, image, mask, photo.credit, doubt)


def strips(cuts: Mapping[str, Cut]) -> Image.Image:
    """Draw photograph, mask, cut-out on a chequer, on white and on a colour, a row for each."""
    rows = []
    for name in SHOWN:
        cut = cuts[name]
        behind = [_chequer(cut.image.size), *(_plain(cut, paper) for paper in ("white", name))]
        shown = [cut.photo, cut.mask.convert("RGB"), *(_on(cut, ground) for ground in behind)]
        rows.append([_shown(name, picture) for picture in shown])
    return _sheet(rows)


def by_doubt(cuts: Mapping[str, Cut]) -> Image.Image:
    """Draw photographs above their cut-outs, the least doubtful first, with the number below."""
    order = sorted(cuts, key=lambda name: cuts[name].doubt)
    pairs = {name: (cut.photo, _on(cut, _plain(cut, name))) for name, cut in cuts.items()}
    rows = zip(*(pairs[name] for name in order), strict=True)
    sheet = _sheet([list(map(_shown, order, row)) for row in rows])
    page = Image.new("RGB", (sheet.width, sheet.height + CAPTION), PAPER)
    page.paste(sheet)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(19)
    for number, name in enumerate(order):
        middle = number * (CELL[0] + GAP) + CELL[0] / 2
        words = f"doubt {cuts[name].doubt:.2f}"
        draw.text((middle, sheet.height + CAPTION / 2), words, INK, font, anchor="mm")
    return page


def main(weights: Path) -> None:
    """Write the three files."""
    cuts = dict(cut_out(weights))
    _save(strips(cuts), "photographs", {name: cuts[name] for name in SHOWN})
    _save(by_doubt(cuts), "quality-doubt", cuts)
    cuts["astronaut"].image.save(CUTOUT, quality=90, method=6, exact=False)


def _save(sheet: Image.Image, name: str, cuts: Mapping[str, Cut]) -> None:
    """Whose photographs these are stands in the file, too."""
    credits = "; ".join(f"{name}: {cut.credit}" for name, cut in cuts.items())
    path = PICTURES / f"{name}.jpg"
    sheet.save(path, quality=QUALITY, optimize=True, comment=f"Photographs: {credits}")


def _plain(cut: Cut, name: str) -> Image.Image:
    return Image.new("RGB", cut.image.size, COLOURS.get(name, name))


def _chequer(size: tuple[int, int]) -> Image.Image:
    board = np.indices(size[::-1]) // SQUARE
    return Image.fromarray(np.array(CHEQUER, np.uint8)[board.sum(axis=0) % 2])


def _on(cut: Cut, ground: Image.Image) -> Image.Image:
    below = ground.copy()
    below.paste(cut.image, mask=cut.image.getchannel("A"))
    return below


def _shown(name: str, picture: Image.Image) -> Image.Image:
    """Fill a cell with the part that is shown, or else with the middle."""
    picture = picture.crop(SHOWN.get(name, (0, 0, *picture.size)))
    scale = max(CELL[0] / picture.width, CELL[1] / picture.height)
    size = (round(picture.width * scale), round(picture.height * scale))
    left, top = (size[0] - CELL[0]) // 2, (size[1] - CELL[1]) // 2
    small = picture.resize(size, Image.Resampling.LANCZOS)
    return small.crop((left, top, left + CELL[0], top + CELL[1]))


def _sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    wide, high = CELL[0] + GAP, CELL[1] + GAP
    sheet = Image.new("RGB", (wide * len(rows[0]) - GAP, high * len(rows) - GAP), PAPER)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            sheet.paste(cell, (column * wide, row * high))
    return sheet


if __name__ == "__main__":
    checkout: Any = import_module("make_docs")
    checkout.load_checkout()
    main(Path(sys.argv[1]))
