"""Draw assets/icon.png (square) and assets/banner.png (21:9): a subject cut out of its backdrop.

The banner's is the photograph that comes with the pack, as `draw_photographs.py` cut it out.

    python scripts/draw_brand.py [FOLDER]

Everything is drawn at a multiple of its size in units of the icon's side, then reduced.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "web" / "samples" / "rmbg-photo.jpg"
CUTOUT = ROOT / "assets" / "photo-cutout.webp"
ICON = (400, 400)
BANNER = (1260, 540)
FINER = 4
INK, BACKDROP, SUN = "#1f2540", "#ff7a59", "#ffc857"
LIGHT, DARK, EYE, PAPER = "#ffffff", "#c6ccd8", "#ffc857", "#f6f7fb"


def draw_icon() -> Image.Image:
    """(400, 400) RGBA: the subject half on its backdrop, half on the checkerboard."""
    side = ICON[0] * FINER
    picture = _halves((side, side), cells=6)
    _subject(picture, centre=side / 2, foot=side, side=side)
    rounded = Image.new("L", picture.size)
    ImageDraw.Draw(rounded).rounded_rectangle((0, 0, side - 1, side - 1), side * 0.18, fill=255)
    picture.putalpha(rounded)
    return picture.resize(ICON, Image.Resampling.BOX)


def draw_banner() -> Image.Image:
    """(1260, 540), 256 colours: before, after, and the name."""
    width, height = (length * FINER for length in BANNER)
    picture = Image.new("RGB", (width, height), PAPER)
    picture.paste(_photograph(height), (width - height, 0))
    draw = ImageDraw.Draw(picture)
    left = height * 0.11
    for text, top, size in (
        ("RMBG Nodes", 0.33, 0.135),
        ("Background removal on your own machine", 0.535, 0.045),
        ("or on a licensed API. One setting.", 0.605, 0.045),
    ):
        font = ImageFont.load_default(size * height)
        draw.text((left, top * height), text, font=font, fill=INK)
    small = picture.resize(BANNER, Image.Resampling.BOX)
    return small.quantize(256, dither=Image.Dither.FLOYDSTEINBERG)


def _photograph(side: int) -> Image.Image:
    """The photograph, and right of a slanted cut its cut-out on the checkerboard."""
    before, cut = (
        Image.open(path).resize((side, side), Image.Resampling.LANCZOS) for path in (PHOTO, CUTOUT)
    )
    after = _checkerboard((side, side), side / 9)
    after.paste(cut, mask=cut.getchannel("A"))
    before.paste(after, mask=_right_half((side, side), middle=0.43, slant=0.09))
    return before


def _halves(size: tuple[int, int], *, cells: int) -> Image.Image:
    """A backdrop with a sun; right of a slanted cut, the checkerboard. cells: in the height."""
    width, height = size
    picture = Image.new("RGB", size, BACKDROP)
    _disc(
        ImageDraw.Draw(picture), (width * 0.27, height * 0.3), (height * 0.16, height * 0.16), SUN
    )
    board = _checkerboard(size, height / cells)
    picture.paste(board, mask=_right_half(size, middle=0.5, slant=0.12 * height / width))
    return picture


def _checkerboard(size: tuple[int, int], cell: float) -> Image.Image:
    board = Image.new("RGB", size, LIGHT)
    tiles = ImageDraw.Draw(board)
    for row in range(math.ceil(size[1] / cell)):
        for column in range(math.ceil(size[0] / cell)):
            if (row + column) % 2:
                corner = (column * cell, row * cell)
                tiles.rectangle((*corner, corner[0] + cell - 1, corner[1] + cell - 1), fill=DARK)
    return board


def _right_half(size: tuple[int, int], *, middle: float, slant: float) -> Image.Image:
    """A mask of what lies right of a slanted cut. middle, slant: shares of the width."""
    width, height = size
    right = Image.new("L", size)
    top, bottom = (middle + slant) * width, (middle - slant) * width
    ImageDraw.Draw(right).polygon([(top, 0), (width, 0), (width, height), (bottom, height)], 255)
    return right


def _subject(picture: Image.Image, *, centre: float, foot: float, side: float) -> None:
    """A cat, seen from the front: what has fine hair and a clear outline."""
    draw = ImageDraw.Draw(picture)

    def at(x: float, y: float) -> tuple[float, float]:
        return centre + x * side, foot + (y - 1) * side

    _disc(draw, at(0, 1.02), (0.27 * side, 0.34 * side), INK)
    _disc(draw, at(0, 0.50), (0.235 * side, 0.2 * side), INK)
    for way in (-1, 1):
        draw.polygon([at(way * x, y) for x, y in ((0.225, 0.17), (0.03, 0.36), (0.232, 0.5))], INK)
        _disc(draw, at(way * 0.1, 0.475), (0.042 * side, 0.05 * side), EYE)
        _disc(draw, at(way * 0.1, 0.475), (0.014 * side, 0.043 * side), INK)
        for lift in (-0.045, 0.0, 0.045):
            ends = [at(way * 0.15, 0.575 + lift / 3), at(way * 0.36, 0.575 + lift)]
            draw.line(ends, INK, round(0.011 * side))
    draw.polygon([at(x, y) for x, y in ((-0.028, 0.555), (0.028, 0.555), (0, 0.585))], BACKDROP)


def _disc(
    draw: ImageDraw.ImageDraw,
    middle: tuple[float, float],
    radii: tuple[float, float],
    colour: str,
) -> None:
    (x, y), (across, down) = middle, radii
    draw.ellipse((x - across, y - down, x + across, y + down), fill=colour)


def main(folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_icon().save(folder / "icon.png", optimize=True)
    draw_banner().save(folder / "banner.png", optimize=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0]) if given else Path(__file__).resolve().parent.parent / "assets")
