"""Chromium shows what is written: transparent where it is, and in its colours."""

# Pins the inside of video.joining.join

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rmbg_nodes.tests.support.browser import SHOTS, chromium
from rmbg_nodes.tests.support.videos import video_info
from rmbg_nodes.video.frames import CutFrame
from rmbg_nodes.video.joining.join import join
from rmbg_nodes.video.writing.open_writer import open_writer
from rmbg_nodes.video.writing.video_formats import video_format

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIDE = 32
ALPHAS = (0, 64, 128, 192, 255)
COLOURS = ((200, 100, 50), (255, 255, 255), (40, 40, 40))
WIDTH, HEIGHT = SIDE * len(ALPHAS), SIDE * len(COLOURS)
BEHIND = (0, 0, 255)
INFO = video_info(WIDTH, HEIGHT)
DRAW = """() => {
    const shown = document.querySelector('.shown')
    const canvas = document.createElement('canvas')
    canvas.width = shown.videoWidth || shown.naturalWidth
    canvas.height = shown.videoHeight || shown.naturalHeight
    const context = canvas.getContext('2d')
    context.drawImage(shown, 0, 0)
    return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data)
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    yield opened
    opened.close()


def fields() -> Tensor:
    """Squares: a row for each colour, a column for each alpha."""
    colours = torch.tensor(COLOURS) / 255
    alphas = torch.tensor(ALPHAS) / 255
    rows = colours.repeat_interleave(SIDE, 0)[:, None, :].expand(HEIGHT, WIDTH, 3)
    columns = alphas.repeat_interleave(SIDE, 0)[None, :, None].expand(HEIGHT, WIDTH, 1)
    return torch.cat((rows, columns), dim=-1)


def written(format: str, folder: Path, image: Tensor) -> Path:
    """A video of two segments, or the whole at once where the format has none."""
    row = video_format(format)
    parts = []
    for first in (0, 2) if row.closed_segments else (0,):
        part = folder / f"{first}{row.suffix}"
        writer = open_writer(row, part, INFO)
        for number in (first, first + 1):
            writer.write(CutFrame(number, number, 1, image))
        writer.close()
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    whole = folder / f"whole{row.suffix}"
    join(parts, whole, None, INFO, tag=row.tag, warn=pytest.fail)
    return whole


def show(page: Page, file: Path, kind: str) -> None:
    data = base64.b64encode(file.read_bytes()).decode()
    element = (
        f'<img class="shown" src="data:{kind};base64,{data}">'
        if kind.startswith("image/")
        else f'<video class="shown" muted src="data:{kind};base64,{data}"></video>'
    )
    colour = f"rgb{BEHIND}"
    page.set_content(f'<body style="margin:0;background:{colour};display:flex">{element}</body>')
    page.wait_for_function(
        "() => { const e = document.querySelector('.shown');"
        " return e.complete || e.readyState >= 2 || e.error }"
    )
    assert page.evaluate("() => document.querySelector('.shown').error?.message ?? ''") == ""


def drawn(page: Page) -> NDArray[np.float64]:
    """The middle of each square as a canvas has it: straight colours and alpha, in levels."""
    pixels = np.array(page.evaluate(DRAW), float).reshape(HEIGHT, WIDTH, 4)
    return pixels[SIDE // 2 :: SIDE, SIDE // 2 :: SIDE]


@pytest.mark.parametrize(
    ("format", "kind"), [("webm-vp9", "video/webm"), ("webp-animated", "image/webp")]
)
def test_transparent_parts_show_what_is_behind(
    format: str, kind: str, page: Page, tmp_path: Path
) -> None:
    show(page, written(format, tmp_path, fields()), kind)
    seen = drawn(page)
    assert np.abs(seen[..., 3] - np.array(ALPHAS)).max() <= 2
    # Its own conversion of video without a GPU is up to five levels off in blue.
    colours = np.array(COLOURS)[:, None, :]
    assert np.abs(seen[:, 1:, :3] - colours).max() <= 6

    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"video-{format}.png")
    with Image.open(SHOTS / f"video-{format}.png") as shot:
        on_page = np.asarray(shot.convert("RGB"), float)[SIDE // 2 :: SIDE, SIDE // 2 :: SIDE]
    share = np.array(ALPHAS)[None, :, None] / 255
    wanted = share * colours + (1 - share) * np.array(BEHIND)
    assert np.abs(on_page[: len(COLOURS), : len(ALPHAS)] - wanted).max() <= 6


def test_an_opaque_film_has_its_colours(page: Page, tmp_path: Path) -> None:
    if not page.evaluate(
        "() => document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.640028\"')"
    ):
        pytest.skip("this Chromium has no decoder for H.264")
    show(page, written("h264", tmp_path, fields()[..., :3].contiguous()), "video/mp4")
    seen = drawn(page)
    assert np.abs(seen[..., 3] - 255).max() == 0
    assert np.abs(seen[..., :3] - np.array(COLOURS)[:, None, :]).max() <= 6
