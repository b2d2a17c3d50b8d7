"""From a finished cut-out to the bytes of its files: where the subject stands, what is behind it,
and what the files hold."""

# Pins the inside of batch.produce
# Pins the inside of batch.recipe.placing
# Pins the inside of batch.recipe.post_process
# Pins the inside of batch.recipe.presets
# Pins the inside of core.composite
# Pins the inside of pictures.fields

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from torch import Tensor

from rmbg_nodes.batch import Canvas, Output, Recipe, read_recipe
from rmbg_nodes.batch.produce import produce as encoded
from rmbg_nodes.batch.produce import take
from rmbg_nodes.batch.recipe.placing import on_canvas, open_backdrop
from rmbg_nodes.batch.recipe.post_process import open_treatment
from rmbg_nodes.batch.recipe.presets import PRESETS
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.composite import CompositeOptions, compose
from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.core.report import Report
from rmbg_nodes.core.types import Facts
from rmbg_nodes.pictures.fields import Origin
from rmbg_nodes.pictures.metadata import metadata_of
from rmbg_nodes.pictures.provenance import read_provenance
from rmbg_nodes.pictures.read import Picture, read_picture
from rmbg_nodes.pictures.write import encode
from rmbg_nodes.pipeline.finishing import Done, Finishing
from rmbg_nodes.pipeline.inputs import Input
from rmbg_nodes.pipeline.remove import remove
from rmbg_nodes.tests.support.fake_backend import FAKE_LOCAL, FakeLocal

FACTS = Facts("keyer", "keyer", "keyer", "cpu", 0.1)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
WHITE = (1.0, 1.0, 1.0)


def done_with(alpha: Tensor, colour: Tensor | None = None) -> Done:
    """A finished picture with this alpha, (H, W), of a dark red, or of these colours."""
    if colour is None:
        colour = torch.tensor([0.6, 0.1, 0.1]).expand(*alpha.shape, 3)
    report = Report(
        "shoe.jpg",
        alpha.shape[1],
        alpha.shape[0],
        "commercial",
        "allowed",
        "Apache License 2.0",
        FACTS,
    )
    image = torch.cat([colour * (alpha[..., None] > 0), alpha[..., None]], dim=-1)
    return Done(0, "shoe.jpg", image, alpha, report)


def arranged(done: Done, recipe: Recipe, finishing: Finishing | None = None) -> Done:
    """As on the way through the pipeline."""
    post_process = (finishing or open_treatment(recipe)).post_process
    assert post_process is not None
    return post_process(done)


@dataclass(frozen=True)
class Product:
    """The contents of the result's file, and of the mask's where the recipe asks for one."""

    image: bytes
    mask: bytes | None = None


def produce(
    done: Done, origin: Origin, recipe: Recipe, finishing: Finishing | None = None
) -> Product:
    return Product(**encoded(replace(arranged(done, recipe, finishing), origin=origin), recipe))


def block(
    height: int, width: int, box: tuple[int, int, int, int], soft: bool = False
) -> tuple[Done, Tensor]:
    """A textured rectangle (top, left, height, width) in a picture of this size; soft: with an
    edge of half alpha inside it. With the colours."""
    top, left, high, wide = box
    alpha = torch.zeros(height, width)
    alpha[top : top + high, left : left + wide] = 0.5 if soft else 1.0
    alpha[top + soft : top + high - soft, left + soft : left + wide - soft] = 1
    colour = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(height)) * 0.6
    return done_with(alpha, colour), colour


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(opened(data))


def seen(levels: NDArray[Any], ringing: int = 5) -> tuple[int, int, int, int]:
    """Top, left, height, width of what is not white; ringing: of a JPEG, in levels."""
    there = np.asarray((levels < 256 - ringing).any(axis=2))
    rows, columns = there.any(axis=1).nonzero()[0], there.any(axis=0).nonzero()[0]
    return rows[0], columns[0], rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]


SHAPES = {
    "wide": (60, 90, (10, 5, 21, 77)),
    "high": (90, 60, (3, 30, 80, 13)),
    "one pixel wide": (50, 50, (5, 40, 30, 1)),
    "at the corner": (64, 64, (0, 0, 40, 40)),
    "all of it": (33, 47, (0, 0, 33, 47)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(200, 200), (173, 251), (31, 90)])
def test_the_subject_fills_its_share_and_stands_in_the_middle(
    shape: str, size: tuple[int, int]
) -> None:
    height, width, box = SHAPES[shape]
    done, _ = block(height, width, box)
    recipe = Recipe(background="white", canvas=Canvas(size, margin=0.075))
    levels = pixels(produce(done, Origin(), recipe).image)
    assert levels.shape == (size[1], size[0], 3)
    top, left, high, wide = seen(levels)
    factor = min(0.85 * size[1] / box[2], 0.85 * size[0] / box[3])
    assert abs(high - box[2] * factor) <= 1
    assert abs(wide - box[3] * factor) <= 1
    assert abs((top + high / 2) - size[1] / 2) <= 1
    assert abs((left + wide / 2) - size[0] / 2) <= 1


@pytest.mark.parametrize(
    ("anchor", "rest"),
    [("top", (30, 65)), ("bottom-right", (100, 100)), ("left", (65, 30))],
)
def test_the_anchor_is_inside_the_margin(anchor: Any, rest: tuple[int, int]) -> None:
    done, _ = block(40, 40, (5, 5, 30, 30))
    recipe = Recipe(
        background="white", canvas=Canvas((200, 200), margin=0.15, anchor=anchor, scale=0.5)
    )
    assert seen(pixels(produce(done, Origin(), recipe).image)) == (*rest, 70, 70)


@pytest.mark.parametrize("soft", [False, True])
def test_white_is_exactly_white_around_the_subject(soft: bool) -> None:
    done, _ = block(300, 400, (40, 60, 180, 240), soft=soft)
    recipe = Recipe(background="white", canvas=Canvas((240, 240), margin=0.1))
    levels = pixels(produce(done, Origin(), recipe).image)
    top, left, high, wide = seen(levels)
    around = np.ones(levels.shape[:2], bool)
    around[top - 1 : top + high + 1, left - 1 : left + wide + 1] = False
    assert (levels[around] == 255).all()
    assert around.mean() > 0.2

    for quality in (None, 50, 75, 92, 100):
        jpeg = replace(recipe, output=Output("jpeg", quality))
        levels = pixels(produce(done, Origin(), jpeg).image)
        for border in (levels[:16], levels[-16:], levels[:, :16], levels[:, -16:]):
            assert (border == 255).all(), quality


def test_a_jpeg_keeps_the_colour_of_every_pixel() -> None:
    """4:4:4: red lines of one pixel on white stay red."""
    alpha = torch.zeros(64, 64)
    alpha[:, 8:56:8] = 1
    recipe = Recipe(background="white", output=Output("jpeg", 95))
    levels = pixels(produce(done_with(alpha), Origin(), recipe).image).astype(int)
    assert (levels[:, 8:56:8, 0] - levels[:, 8:56:8, 2]).mean() > 100


CANVASES = {
    "subject": Canvas((90, 70)),
    "source": Canvas("source", margin=0.2),
    "contain": Canvas((90, 70), fit="contain"),
    "cover": Canvas((90, 70), fit="cover", anchor="top"),
    "stretch": Canvas((90, 70), fit="stretch"),
    "none": Canvas((50, 40), fit="none", anchor="bottom-right"),
    "over the edge": Canvas((90, 70), offset=(-40, 30), scale=1.4),
    "beyond the edge": Canvas((90, 70), offset=(200, 0)),
    "linear": Canvas((90, 70), blend="linear"),
    "shadow": Canvas((90, 70), shadow=0.7, margin=0.2),
    "shadow over the edge": Canvas((90, 70), shadow=1, offset=(20, 35)),
    "linear shadow": Canvas((64, 80), shadow=0.5, blend="linear", margin=0.3, anchor="left"),
}


@pytest.mark.parametrize("name", CANVASES)
@pytest.mark.parametrize("behind", ["white", "#204060", "transparent", "picture"])
def test_it_is_what_compose_makes_of_the_whole_canvas(
    tmp_path: Path, name: str, behind: str
) -> None:
    canvas = CANVASES[name]
    done, _ = block(60, 80, (11, 13, 37, 40), soft=True)
    path = tmp_path / "wood.png"
    path.write_bytes(encode(torch.rand(31, 77, 3), "png"))
    recipe = Recipe(background=str(path) if behind == "picture" else behind, canvas=canvas)
    backdrop = open_backdrop(recipe)
    placed = on_canvas(done.image, canvas, backdrop or recipe.colour, "x")

    width, height = canvas.size if isinstance(canvas.size, tuple) else (80, 60)
    if backdrop is not None:
        whole = backdrop.at((height, width))[None]  # type: ignore[arg-type]
    elif recipe.colour is not None:
        whole = torch.tensor(recipe.colour).expand(1, height, width, 3)
    else:
        whole = torch.zeros(1, height, width, 4)
    options = CompositeOptions(
        canvas.fit,
        canvas.anchor,
        canvas.offset,
        canvas.scale,
        canvas.margin,
        1.0,
        canvas.blend,
        canvas.shadow,
    )
    image, coverage = compose(done.image[None], None, whole, options)
    assert torch.equal(placed.image, image[0])
    assert torch.equal(placed.coverage, coverage[0])


@pytest.mark.parametrize("fill", [1.0, 0.9, 0.5])
@pytest.mark.parametrize("box", [(7, 5, 40, 21), (0, 9, 12, 61)])
def test_a_square_is_made_around_the_subject_and_resizes_nothing(
    fill: float, box: tuple[int, int, int, int]
) -> None:
    done, _ = block(60, 80, box, soft=True)
    recipe = Recipe(canvas=Canvas("square", margin=(1 - fill) / 2))
    image = read_picture(produce(done, Origin(16), recipe).image, name="x")
    side = image.pixels.shape[0]
    assert image.pixels.shape == (side, side, 3)
    assert abs(side - max(box[2:]) / fill) <= 1
    top, left, high, wide = box
    y, x = (side - high) // 2, (side - wide) // 2
    inner = (slice(y, y + high), slice(x, x + wide))
    cut = done.image[top : top + high, left : left + wide]
    assert image.alpha is not None
    assert (image.pixels[inner] - cut[..., :3]).abs().max() < 1 / 65535
    assert (image.alpha[inner] - cut[..., 3]).abs().max() < 1 / 65535
    assert image.alpha.sum() == pytest.approx(float(cut[..., 3].sum()), rel=1e-4)


def test_a_square_takes_anchor_and_offset_inside_its_margin() -> None:
    done, _ = block(60, 80, (10, 10, 20, 40))
    canvas = Canvas("square", margin=0.1, anchor="bottom", offset=(1, -2))
    levels = pixels(produce(done, Origin(), Recipe(background="white", canvas=canvas)).image)
    assert levels.shape == (50, 50, 3)
    assert seen(levels) == (50 - 5 - 20 - 2, 5 + 1, 20, 40)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_files_that_obey_it(name: str) -> None:
    row = PRESETS[name]
    box = (30, 50, 300, 210)
    done, _ = block(360, 300, box)
    product = produce(done, Origin(), read_recipe(over={"preset": name}))
    image = opened(product.image)
    assert image.format == {"jpeg": "JPEG", "png": "PNG"}[row.format]
    side = round(300 / row.fill)
    width, height = row.size if isinstance(row.size, tuple) else (side, side)
    assert abs(image.width - width) <= 1
    assert abs(image.height - height) <= 1
    levels = np.asarray(image)
    if row.background == "transparent":
        assert image.mode == "RGBA"
        clear = levels[..., 3] == 0
        high, wide = (~clear).any(axis=1).sum(), (~clear).any(axis=0).sum()
        assert clear[0].all()
    else:
        assert image.mode == "RGB"
        assert row.background == "white"
        corner = min(width, height) // 40
        for part in (levels[:corner, :corner], levels[-corner:, -corner:], levels[:8], levels[-8:]):
            assert (part == 255).all()
        _, _, high, wide = seen(levels, ringing=80)
    assert max(high / height, wide / width) == pytest.approx(row.fill, abs=2 / min(width, height))


@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
def test_nothing_behind_the_subject(format: Any) -> None:
    done, _ = block(40, 40, (10, 12, 18, 8), soft=True)
    recipe = Recipe(canvas=Canvas((64, 48)), output=Output(format))
    image = opened(produce(done, Origin(), recipe).image)
    assert (image.mode, image.size) == ("RGBA", (64, 48))
    levels = np.asarray(image)
    assert (levels[:2] == 0).all()
    assert levels[24, 32, 3] == 255


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_without_a_canvas_the_picture_keeps_its_size_and_place(format: Any) -> None:
    done, colour = block(37, 53, (5, 6, 20, 30))
    recipe = Recipe(background="white", output=Output(format))
    levels = pixels(produce(done, Origin(), recipe).image).astype(int)
    assert seen(levels, ringing=80 if format == "jpeg" else 1) == (5, 6, 20, 30)
    expected = torch.where(done.image[..., 3:] == 1, colour, 1.0).numpy() * 255
    assert np.abs(levels - expected).max() <= (30 if format == "jpeg" else 0.51)


def test_the_pipeline_puts_a_colour_behind_alike() -> None:
    """By the cut-out itself and after it: a soft edge, and white exact."""
    alpha = torch.linspace(-0.2, 1.2, 64).clamp(0, 1).expand(40, 64)
    done = done_with(alpha)
    recipe = Recipe(background="#ffeecc")
    assert open_treatment(recipe).background == recipe.colour
    assert open_treatment(Recipe()).background is None
    assert open_treatment(Recipe(background="white", canvas=Canvas())).background is None
    flat = done.image[..., :3] * alpha[..., None] + torch.tensor(recipe.colour) * (
        1 - alpha[..., None]
    )
    theirs = pixels(produce(replace(done, image=flat), Origin(), recipe).image).astype(int)
    ours = pixels(produce(done, Origin(), recipe).image).astype(int)
    assert np.abs(ours - theirs).max() <= 1
    assert (ours[:, 0] == (255, 238, 204)).all()


def test_the_mask_is_that_of_the_result() -> None:
    done, _ = block(40, 60, (10, 12, 20, 8), soft=True)
    plain = Recipe(output=Output(mask=True))
    mask = produce(done, Origin(), plain).mask
    assert mask is not None
    assert np.abs(pixels(mask) / 255 - done.mask.numpy()).max() <= 0.5 / 255
    moved = replace(
        plain,
        background="white",
        canvas=Canvas((80, 80), shadow=1),
        output=Output("jpeg", mask=True),
    )
    product = produce(done, Origin(), moved)
    assert product.mask is not None
    mask_image = opened(product.mask)
    assert (mask_image.mode, mask_image.size, mask_image.format) == ("L", (80, 80), "PNG")
    levels = np.asarray(mask_image)
    assert levels[40, 40] == 255
    assert levels.any(axis=1).sum() == 72
    assert produce(done, Origin(), Recipe()).mask is None


@pytest.mark.parametrize(
    ("source", "output", "depth"),
    [
        (16, Output(), 16),
        (16, Output("tiff"), 16),
        (16, Output("webp"), 8),
        (16, Output(depth=8), 8),
        (8, Output(), 8),
        (8, Output(depth=16), 16),
    ],
)
def test_depth(source: Any, output: Output, depth: int) -> None:
    done, _ = block(20, 20, (4, 4, 12, 12))
    product = produce(done, Origin(source), Recipe(output=replace(output, mask=True)))
    assert product.mask is not None
    assert read_picture(product.image, name="x").depth == depth
    assert read_picture(product.mask, name="x").depth == depth


def test_other_colours_stay_as_they_are_or_are_refused() -> None:
    done, _ = block(20, 20, (4, 4, 12, 12))
    origin = Origin(16, icc_profile=SRGB)
    kept = opened(produce(done, origin, Recipe(canvas=Canvas((30, 30)))).image)
    assert kept.info["icc_profile"] == SRGB
    for recipe in (Recipe(background="white"), Recipe(background="white", canvas=Canvas())):
        picture = Picture(done.image[..., :3], None, 16, SRGB, "shoe.jpg")
        with pytest.raises(BadPicture, match="shoe.jpg has 16 bits in another colour space"):
            take(picture, recipe)


RECIPES = {
    "plain": Recipe(),
    "white": Recipe(background="white"),
    "canvas": Recipe(background="white", canvas=Canvas((50, 50))),
    "unmoved": Recipe(background="white", canvas=Canvas((50, 50), fit="contain")),
    "square": Recipe(canvas=Canvas("square")),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("faint", [0.0, 0.003])
def test_a_picture_without_a_subject_is_no_white_picture(name: str, faint: float) -> None:
    with pytest.raises(BadPicture, match=r"^shoe.jpg: no subject was found"):
        produce(done_with(torch.full((20, 30), faint)), Origin(), RECIPES[name])


@pytest.mark.parametrize(
    ("canvas", "output", "words"),
    [
        (Canvas("square", margin=0.4995), Output(), "square canvas would have"),
        (Canvas((9, 9), scale=1e6), Output(), "The foreground would become"),
        (None, Output("webp"), "WebP holds at most 16383 pixels a side, not 17000 x 3"),
    ],
)
def test_what_cannot_be_made_of_one_picture_does_not_end_the_batch(
    canvas: Canvas | None, output: Output, words: str
) -> None:
    height, width = (400, 400) if canvas else (3, 17_000)
    done, _ = block(height, width, (0, 0, height, width))
    with pytest.raises(BadPicture, match=words) as failure:
        produce(done, Origin(), Recipe(canvas=canvas, output=output))
    assert str(failure.value).startswith("shoe.jpg: ")


def test_an_enlarged_subject_is_worth_a_look() -> None:
    done, _ = block(60, 60, (10, 10, 40, 40))
    large = Recipe(background="white", canvas=Canvas((200, 200), margin=0.1))
    assert arranged(done, large).report.warnings == (
        "the subject was enlarged 4.0 times, it may look soft",
    )
    for recipe in (Recipe(), replace(large, canvas=Canvas((50, 50), margin=0.1))):
        assert arranged(done, recipe).report.warnings == ()


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_the_files_say_where_they_come_from(format: Any) -> None:
    done, _ = block(20, 20, (4, 4, 12, 12))
    generated = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    recipe = Recipe(background="white", output=Output(format, mask=True))
    product = produce(done, Origin(source_type=generated), recipe)
    assert product.mask is not None
    of_image = read_provenance(metadata_of(product.image))
    of_mask = read_provenance(metadata_of(product.mask))
    assert of_image is not None
    assert of_mask is not None
    assert (of_image.backend, of_image.usage) == ("keyer", "commercial")
    assert (of_image.source_type, of_mask.source_type) == (generated, "")
    silent = produce(done, Origin(), replace(recipe, output=Output(format, provenance=False)))
    assert read_provenance(metadata_of(silent.image)) is None
    assert b"rmbg" not in silent.image


def test_effort_changes_the_size_and_no_pixel() -> None:
    done, _ = block(120, 160, (10, 10, 100, 140))
    silent = Output(provenance=False)
    fast = produce(done, Origin(), Recipe(output=replace(silent, effort=1))).image
    small = produce(done, Origin(), Recipe(output=replace(silent, effort=9))).image
    plain = produce(done, Origin(), Recipe(output=silent)).image
    assert plain == produce(done, Origin(), Recipe(output=replace(silent, effort=4))).image
    assert fast != small
    assert (pixels(fast) == pixels(small)).all()
    with pytest.raises(BadOption, match="effort is 0"):
        encode(done.image, "png", effort=0)


def test_a_background_picture_covers_the_canvas(tmp_path: Path) -> None:
    """Wide, of three colours: in a high canvas only the middle one is seen."""
    path = tmp_path / "stripes.png"
    stripes = torch.eye(3).repeat_interleave(30, dim=0).expand(30, 90, 3)
    path.write_bytes(encode(stripes, "png"))
    done, _ = block(40, 40, (10, 10, 20, 20))
    recipe = Recipe(background=str(path), canvas=Canvas((50, 60), margin=0.3))
    finishing = open_treatment(recipe)
    path.unlink()  # it is read once
    levels = pixels(produce(done, Origin(), recipe, finishing).image)
    assert levels.shape == (60, 50, 3)
    assert (levels[:10, 10:40] == (0, 255, 0)).all()
    assert levels[30, 25, 1] < 200
    again = pixels(produce(done, Origin(), recipe, finishing).image)
    assert (again == levels).all()  # nobody drew into it


def test_without_a_canvas_the_background_picture_takes_the_pictures_size(tmp_path: Path) -> None:
    path = tmp_path / "blue.jpg"
    path.write_bytes(encode(torch.tensor([0.0, 0.0, 1.0]).expand(16, 16, 3), "jpeg", quality=100))
    done, _ = block(30, 44, (5, 6, 20, 30))
    recipe = Recipe(background=str(path), output=Output("jpeg"))
    levels = pixels(produce(done, Origin(), recipe).image)
    assert levels.shape == (30, 44, 3)
    assert abs(levels[0, 0].astype(int) - (0, 0, 254)).max() < 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"no picture", "is not a PNG"),
        (encode(torch.full((4, 4, 4), 0.5), "png"), "is transparent in places"),
    ],
)
def test_a_background_picture_that_cannot_be_used(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "wood.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadOption, match=words):
        open_backdrop(Recipe(background=str(path)))


def test_opaque_alpha_in_a_background_picture_is_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "wood.png"
    path.write_bytes(encode(torch.ones(4, 4, 4), "png"))
    assert open_backdrop(Recipe(background=str(path))) is not None
    assert open_backdrop(Recipe()) is None


def test_from_a_file_through_the_pipeline_to_a_file(tmp_path: Path) -> None:
    source = torch.full((48, 64, 3), 0.05)
    source[12:36, 20:40] = torch.tensor([0.9, 0.95, 0.9])
    path = tmp_path / "shoe.png"
    path.write_bytes(encode(source, "png"))
    picture = read_picture(path, name="shoe.png")
    recipe = read_recipe(over={"preset": "white-2000", "canvas": {"size": [120, 120]}})
    backend = FakeLocal(FAKE_LOCAL)
    for usable in (recipe, replace(recipe, canvas=None), Recipe(output=Output("webp"))):
        results = remove(
            [Input(0, "shoe.png", partial(take, picture, usable))],
            backend,
            open_treatment(usable),
            settings=Settings(),
        )
        (done,) = results
        assert isinstance(done, Done)
        image = opened(encoded(done, usable)["image"])
        assert image.size == ((120, 120) if usable.canvas else (64, 48))
        assert image.mode == ("RGBA" if usable.transparent else "RGB")
