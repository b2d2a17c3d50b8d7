"""The subject sockets of Remove Background and Apply Mask, and the options of `rmbg mask`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes import BadOption, BadPicture
from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.cli import main
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.pipeline.gate import load
from rmbg_nodes.tests.support.comfy_standin import standing_in
from rmbg_nodes.tests.test_nodes import masked, remove, remover
from rmbg_nodes.tests.test_subject import GREEN, HEIGHT, RED, WIDTH, blocky, disc, scene, union

LEFT, RIGHT = disc(80, 120, 40), disc(240, 120, 40)
IMAGE = scene((LEFT, RED), (RIGHT, GREEN))
ROUGH = disc(82, 118, 38)[None]
BOX = {"x": 36, "y": 76, "width": 90, "height": 90}
NO_MASK = torch.zeros(1, 64, 64)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[ModuleType]:
    with standing_in(tmp_path):
        yield importlib.import_module("rmbg_nodes.nodes.node_list")


def keyer(nodes: ModuleType):
    return remover(nodes, load(find("keyer"), {}, PlainHost()))


def is_left_alone(mask: torch.Tensor) -> bool:
    return bool(mask[120, 80] == 1) and bool(mask[:, 160:].max() == 0)


@pytest.mark.parametrize(
    "given",
    [
        {"subject": ROUGH},
        {"boxes": BOX},
        {"boxes": [BOX]},
        {"boxes": [[BOX]]},
        {"subject": ROUGH, "boxes": [[BOX]]},
        {"subject": NO_MASK, "boxes": [[BOX]]},
    ],
    ids=["mask", "box", "boxes", "boxes of each picture", "both", "no mask and boxes"],
)
def test_only_what_is_meant_is_kept(nodes: ModuleType, given: dict[str, object]) -> None:
    _, (mask,), (report,) = remove(nodes, keyer(nodes), [IMAGE], **given)
    assert is_left_alone(mask[0])
    assert "only what the subject mask points at was kept" in report


def test_nothing_connected_keeps_all_and_load_images_no_mask_is_none(nodes: ModuleType) -> None:
    for given in ({}, {"subject": NO_MASK}):
        _, (mask,), (report,) = remove(nodes, keyer(nodes), [IMAGE], **given)
        assert mask[0, 120, 80] == mask[0, 120, 240] == 1
        assert "subject mask" not in report


def test_each_picture_has_its_own(nodes: ModuleType) -> None:
    both = IMAGE.expand(2, -1, -1, -1)
    rough = torch.cat([ROUGH, disc(240, 120, 38)[None]])
    _, (mask,), _ = remove(nodes, keyer(nodes), [both], subject=rough)
    assert is_left_alone(mask[0])
    assert is_left_alone(mask[1].flip(1))
    boxes = [[BOX], [BOX | {"x": 196}]]
    _, (mask,), _ = remove(nodes, keyer(nodes), [both], boxes=boxes)
    assert is_left_alone(mask[0])
    assert is_left_alone(mask[1].flip(1))


def test_masks_that_do_not_pair_up_are_refused(nodes: ModuleType) -> None:
    with pytest.raises(BadOption, match="3 subject masks and pictures: 1"):
        remove(nodes, keyer(nodes), [IMAGE], subject=ROUGH.expand(3, -1, -1))


def test_a_frame_in_which_the_detector_found_nothing_fails_alone(nodes: ModuleType) -> None:
    both = IMAGE.expand(2, -1, -1, -1)
    (image,), (mask,), (report,) = remove(
        nodes, keyer(nodes), [both], boxes=[[BOX], []], on_failure="leave out"
    )
    assert len(image) == len(mask) == 1
    assert "points at nothing" in report


def test_edges_only_fits_the_mask_itself(nodes: ModuleType) -> None:
    plug = remover(nodes, load(find("edges"), {"reach": 16}, PlainHost()))
    _, (mask,), _ = remove(nodes, plug, [IMAGE], subject=blocky(LEFT, 16))
    assert (mask[0] - LEFT).abs().mean() < 0.002
    _, (again,), (report,) = remove(nodes, plug, [IMAGE], subject=blocky(RIGHT, 16))
    assert (again[0] - RIGHT).abs().mean() < 0.002, "another mask is another answer"
    with pytest.raises(BadPicture, match="has no subject mask"):
        remove(nodes, plug, [IMAGE])


def test_apply_mask_fits_then_chooses_then_corrects(nodes: ModuleType) -> None:
    both = union(LEFT, RIGHT)
    _, kept = masked(nodes, IMAGE, both, subject=ROUGH).result
    assert torch.equal(kept[0], LEFT)
    _, kept = masked(nodes, IMAGE, 1 - both, invert=True, boxes=BOX).result
    torch.testing.assert_close(kept[0], LEFT)
    _, kept = masked(nodes, IMAGE, blocky(union(LEFT, RIGHT)[0], 16), fit=16, subject=ROUGH).result
    assert (kept[0] - LEFT).abs().mean() < 0.002
    painted = disc(240, 120, 20)[None]
    _, kept = masked(nodes, IMAGE, both, subject=ROUGH, keep=painted).result
    assert kept[0, 120, 240] == 1, "what is painted has the last word"


def test_rmbg_mask_takes_both(tmp_path: Path) -> None:
    files = {}
    for name, plane in {"mask": blocky(union(LEFT, RIGHT)[0], 16)[0], "subject": ROUGH[0]}.items():
        files[name] = str(tmp_path / f"{name}.png")
        Image.fromarray((plane.numpy() * 255).astype(np.uint8)).save(files[name])
    picture, out = str(tmp_path / "picture.png"), str(tmp_path / "out.png")
    Image.fromarray((IMAGE[0].numpy() * 255).round().astype(np.uint8)).save(picture)
    given = ["mask", picture, files["mask"], "-o", out, "--only-mask"]
    assert main([*given, "--fit", "16", "--subject", files["subject"]]) == 0
    with Image.open(out) as image:
        found = np.asarray(image) / 255
    assert found.shape == (HEIGHT, WIDTH)
    assert np.abs(found - LEFT.numpy()).mean() < 0.003
