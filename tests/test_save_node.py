"""Save Cut-out (RMBG) on a stand-in for ComfyUI: files, numbers, alpha, rounding, metadata."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.pictures.metadata import has_workflow, metadata_of
from rmbg_nodes.pictures.provenance import GENERATED, Provenance, read_provenance
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.tests.support.comfy_standin import (
    Control,
    InterruptProcessingException,
    standing_in,
)
from rmbg_nodes.tests.support.fake_backend import FakeLocal
from rmbg_nodes.tests.support.inspecting import inspected

PROMPT = {"1": {"class_type": "RMBG_Load", "inputs": {}}}
EXTRA = {"workflow": {"nodes": [], "note": "猫"}}
RGBA = torch.rand(1, 8, 12, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def comfy(tmp_path: Path) -> Iterator[Control]:
    with standing_in(tmp_path) as control:
        yield control


@pytest.fixture
def node(comfy: Control):
    made = importlib.import_module("rmbg_nodes.nodes.save_node").SaveCutout
    hidden = made.hidden
    hidden.prompt, hidden.extra_pnginfo = PROMPT, EXTRA
    return made


def save(node, image: torch.Tensor, **changed: object) -> list[dict[str, str]]:
    defaults = {
        item.id: item.settings["default"]
        for item in node.GET_SCHEMA().inputs
        if "default" in item.settings
    }
    images: list[dict[str, str]] = node.execute(image=image, **(defaults | changed)).ui["images"]
    return images


def paths(comfy: Control, saved: list[dict[str, str]]) -> list[Path]:
    return [comfy.base / "output" / one["subfolder"] / one["filename"] for one in saved]


def saved_path(comfy: Control, node, image: torch.Tensor, **changed: object) -> Path:
    (path,) = paths(comfy, save(node, image, **changed))
    return path


def run(count: int, on_failure: str = "stop", failing: Collection[int] = ()):
    """One batch through Remove Background's own code."""
    module: ModuleType = importlib.import_module("rmbg_nodes.nodes.run_batches")
    pipeline = importlib.import_module("rmbg_nodes.pipeline.remove")
    images = torch.rand(count, 24, 20, 3, generator=torch.Generator().manual_seed(2))
    backend = FakeLocal(failing=failing)
    (batch,) = module.run_batches(backend, None, [images], pipeline.Finishing(), on_failure)
    return batch


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def said_by(path: Path) -> Provenance | None:
    return read_provenance(metadata_of(path.read_bytes()))


def test_it_is_an_output_node_and_says_what_it_saved(node, comfy: Control) -> None:
    schema = node.GET_SCHEMA()
    assert schema.is_output_node
    assert schema.outputs == []
    saved = save(node, RGBA.expand(2, -1, -1, -1))
    assert saved == [
        {"filename": f"cut-out_0000{n}_.png", "subfolder": "", "type": "output"} for n in (1, 2)
    ]
    assert all(path.exists() for path in paths(comfy, saved))
    assert comfy.progress[-1] == (2, 2)


def test_numbers_go_on_and_prefixes_make_folders(node, comfy: Control) -> None:
    first = save(node, RGBA, filename_prefix="shop/%width%x%height%-%batch_num%")
    again = save(node, RGBA, filename_prefix="shop/12x8-0", format="webp")
    assert [one["subfolder"] for one in (*first, *again)] == ["shop", "shop"]
    assert [one["filename"] for one in (*first, *again)] == [
        "12x8-0_00001_.png",
        "12x8-0_00002_.webp",
    ]
    assert all(path.exists() for path in paths(comfy, [*first, *again]))


@pytest.mark.parametrize(("format", "top"), [("png", 255), ("webp", 255), ("png 16 bit", 65535)])
def test_straight_alpha_rounded_to_the_nearest_level(node, comfy, format: str, top: int) -> None:
    picture = read_picture(saved_path(comfy, node, RGBA, format=format), name="x")
    assert picture.alpha is not None
    pixels = torch.cat([picture.pixels, picture.alpha[..., None]], dim=-1)
    expected = (RGBA[0].double() * top + 0.5).floor()
    assert torch.equal((pixels.double() * top).round(), expected)
    assert picture.depth == (16 if top > 255 else 8)


def test_rounding_has_no_bias(node, comfy: Control) -> None:
    """ComfyUI's own node cuts off, which darkens by half a level."""
    ramp = torch.linspace(0, 1, 60_000).view(1, 200, 300, 1).expand(-1, -1, -1, 3)
    levels = np.asarray(opened(saved_path(comfy, node, ramp)))
    assert abs((levels / 255 - ramp[0].numpy()).mean()) < 1e-5


def test_half_precision_and_single_channels_are_taken(node, comfy: Control) -> None:
    path = saved_path(comfy, node, RGBA[..., :1].half())
    levels = (RGBA[0, ..., :1].half().float() * 255 + 0.5).floor().expand(-1, -1, 3)
    np.testing.assert_array_equal(np.asarray(opened(path)), levels.numpy())


def test_a_mask_replaces_the_alpha_and_hides_what_was_behind(node, comfy: Control) -> None:
    mask = torch.zeros(1, 8, 12)
    mask[:, :, :6] = 1
    path = saved_path(comfy, node, RGBA, mask=mask)
    levels = np.asarray(opened(path))
    expected = (RGBA[0, ..., :3] * 255 + 0.5).floor().numpy()
    np.testing.assert_array_equal(levels[..., :3], expected)  # a cut-out's colours are its own
    np.testing.assert_array_equal(levels[..., 3], mask[0].numpy() * 255)
    photo = RGBA[..., :3].clone()
    photo[:, :, 6:] = torch.tensor([0.0, 1.0, 0.0])  # the backdrop
    photo[:, :, :6] = torch.tensor([1.0, 0.0, 0.0])
    levels = np.asarray(opened(saved_path(comfy, node, photo, mask=mask)))
    assert (levels[..., 0] == 255).all()
    assert (levels[..., 1] == 0).all()


def test_one_picture_goes_with_many_masks(node, comfy: Control) -> None:
    masks = torch.rand(3, 4, 6)
    saved = save(node, RGBA, mask=masks)
    assert len(saved) == 3
    with pytest.raises(BadOption, match="do not pair up"):
        save(node, RGBA.expand(2, -1, -1, -1), mask=masks)


def test_jpeg_stands_on_the_colour(node, comfy: Control) -> None:
    image = torch.zeros(1, 32, 32, 4)
    image[:, 8:24, 8:24] = torch.tensor([1.0, 0.0, 0.0, 1.0])
    path = saved_path(comfy, node, image, format="jpeg", color="#0000ff")
    assert path.suffix == ".jpg"
    levels = np.asarray(opened(path)).astype(int)
    assert np.abs(levels[2, 2] - [0, 0, 255]).max() <= 3
    assert np.abs(levels[16, 16] - [255, 0, 0]).max() <= 3
    with pytest.raises(BadOption, match="no transparency"):
        save(node, image, format="jpeg", color="transparent")


def test_the_workflow_is_kept_or_dropped_by_choice(node, comfy: Control) -> None:
    info = opened(saved_path(comfy, node, RGBA)).info
    assert json.loads(info["prompt"]) == PROMPT
    assert json.loads(info["workflow"]) == EXTRA["workflow"]
    webp = saved_path(comfy, node, RGBA, format="webp")
    assert opened(webp).getexif()[0x0110] == f"prompt:{json.dumps(PROMPT)}"
    for format in ("png", "webp", "png 16 bit", "jpeg"):
        path = saved_path(comfy, node, RGBA, format=format, keep_workflow=False)
        assert b"RMBG_Load" not in path.read_bytes()
    comfy.disable_metadata = True
    assert not has_workflow(metadata_of(saved_path(comfy, node, RGBA).read_bytes()))


def test_without_a_report_the_file_says_nothing(node, comfy: Control) -> None:
    for report in (None, ""):
        path = saved_path(comfy, node, RGBA, report=report, keep_workflow=False)
        assert b"rmbg" not in path.read_bytes()


@pytest.mark.parametrize("format", ["png", "png 16 bit", "webp", "jpeg"])
def test_with_a_report_each_file_says_its_own(node, comfy: Control, format: str) -> None:
    batch = run(2)
    rows = json.loads(batch.report.rpartition("\n")[2])
    saved = save(node, batch.image, report=batch.report, format=format, source="generated")
    for path, row in zip(paths(comfy, saved), rows, strict=True):
        said = said_by(path)
        assert said is not None
        assert (said.backend, said.receipt) == ("fake/local", row["receipt"])
        assert said.source_type == GENERATED
        assert str(comfy.base) not in path.read_bytes().decode("latin-1")


@pytest.mark.parametrize("format", ["png", "png 16 bit", "webp", "jpeg"])
def test_the_receipt_matches_what_was_saved(node, comfy: Control, format: str) -> None:
    batch = run(1)
    path = saved_path(comfy, node, batch.image, report=batch.report, format=format)
    assert inspected(str(path)) == 0


def test_failed_pictures_have_no_provenance(node, comfy: Control) -> None:
    passed = run(3, "pass through", failing={1})
    saved = paths(comfy, save(node, passed.image, report=passed.report))
    assert [said_by(path) is None for path in saved] == [False, True, False]
    shorter = run(3, "leave out", failing={1})
    saved = paths(comfy, save(node, shorter.image, report=shorter.report))
    assert len(saved) == 2
    assert all(said_by(path) for path in saved)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ("a sentence", "must be JSON"),
        ("[1]", "must be JSON"),
        ("{}", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ('[{"outcome": "delivered", "licence": "no such"}]', "not the report of a delivered"),
        ("[]", "speaks of 0 pictures, and 1 are to be saved"),
    ],
)
def test_another_report_is_refused_and_nothing_is_saved(
    node, comfy: Control, report: str, words: str
) -> None:
    with pytest.raises(BadOption, match=words):
        save(node, RGBA, report=report)
    assert list(comfy.base.rglob("*.png")) == []


def test_bad_pictures_are_named(node) -> None:
    with pytest.raises(BadPicture, match="The image contains NaN"):
        save(node, torch.full((1, 4, 4, 3), float("nan")))
    with pytest.raises(BadPicture, match="batch x height"):
        save(node, torch.zeros(4, 4, 3))


def test_cancel_stops_between_files(node, comfy: Control) -> None:
    comfy.interrupt_after = 2
    with pytest.raises(InterruptProcessingException):
        save(node, RGBA.expand(5, -1, -1, -1))
    assert len(list(comfy.base.rglob("*.png"))) == 2


def test_load_images_no_mask_saves_the_picture_and_says_so(comfy: Control, node, caplog) -> None:
    image = torch.rand(1, 24, 20, 3, generator=torch.Generator().manual_seed(4))
    with Image.open(saved_path(comfy, node, image, mask=torch.zeros(1, 64, 64))) as saved:
        assert saved.mode == "RGB"
    save(node, image, mask=torch.ones(1, 24, 80))
    none, stretched = [record.getMessage() for record in caplog.records]
    assert none.startswith("Save Cut-out (RMBG): No mask was given: 64 x 64 zeros")
    assert "80 x 24 and the picture 20 x 24" in stretched


@pytest.mark.parametrize("prefix", ["../cut", "/tmp/cut", "a/../../cut"])
def test_a_folder_outside_of_comfyuis_is_refused_in_words(node, prefix: str) -> None:
    with pytest.raises(BadOption, match="leads out of ComfyUI's output folder"):
        save(node, RGBA, filename_prefix=prefix)


def test_a_folder_that_cannot_be_had_is_named(comfy: Control, node) -> None:
    output = comfy.base / "output"
    output.mkdir(parents=True)
    (output / "taken").write_bytes(b"a file where a folder is wanted")
    with pytest.raises(BadOption, match=r"'taken/cut' cannot be had in .*output"):
        save(node, RGBA, filename_prefix="taken/cut")
    assert len(save(node, RGBA, filename_prefix="free/cut")) == 1
