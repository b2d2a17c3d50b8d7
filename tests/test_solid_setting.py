"""The setting `solid` wherever it is offered: what it does, what the report and receipt say."""

# Pins the inside of batch.recipe.model
# Pins the inside of batch.recipe.post_process

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes import remove_background
from rmbg_nodes.batch.recipe.model import Recipe
from rmbg_nodes.batch.recipe.post_process import open_treatment
from rmbg_nodes.cli import main
from rmbg_nodes.pipeline.finishing import SOLID_NOTE, Finishing
from rmbg_nodes.tests.support.comfy_standin import standing_in
from rmbg_nodes.tests.test_interface import AlphaBackend
from rmbg_nodes.tests.test_nodes import masked, remove, remover
from rmbg_nodes.tests.test_solid import disc, picture

SUBJECT = disc(70)[0]
IMAGE = picture(disc(70))
HALF_SEEN = torch.minimum(SUBJECT, 1 - 0.7 * disc(40)[0])
MIDDLE = (96, 128)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[ModuleType]:
    with standing_in(tmp_path):
        yield importlib.import_module("rmbg_nodes.nodes.node_list")


def test_remove_background_has_it_on_and_says_so(nodes: ModuleType) -> None:
    plug = remover(nodes, AlphaBackend(HALF_SEEN))
    _, (mask,), (report,) = remove(nodes, plug, [IMAGE])
    assert mask[0][MIDDLE] == 1
    assert SOLID_NOTE in report
    _, (mask,), (report,) = remove(nodes, plug, [IMAGE], solid=False)
    assert mask[0][MIDDLE] < 0.5
    assert SOLID_NOTE not in report


def test_a_mask_that_is_solid_already_is_no_news(nodes: ModuleType) -> None:
    _, (mask,), (report,) = remove(nodes, remover(nodes, AlphaBackend(SUBJECT)), [IMAGE])
    assert torch.equal(mask[0], SUBJECT)
    assert SOLID_NOTE not in report


def test_apply_mask_has_it_off(nodes: ModuleType) -> None:
    _, mask = masked(nodes, IMAGE, HALF_SEEN[None]).result
    assert torch.equal(mask[0], HALF_SEEN)
    _, mask = masked(nodes, IMAGE, HALF_SEEN[None], solid=True).result
    assert mask[0][MIDDLE] == 1


def test_python_leaves_the_backends_alpha_alone_unless_it_is_asked() -> None:
    assert remove_background(IMAGE, AlphaBackend(HALF_SEEN)).mask[0][MIDDLE] < 0.5
    assert remove_background(IMAGE, AlphaBackend(HALF_SEEN), solid=True).mask[0][MIDDLE] == 1


def test_a_recipe_has_it_on_and_the_receipt_says_it() -> None:
    assert open_treatment(Recipe()).solid
    assert not open_treatment(Recipe(solid=False)).solid
    assert Finishing(solid=True).data()["solid"] is True


def test_rmbg_mask_makes_solid(tmp_path: Path) -> None:
    given, mask, out = (str(tmp_path / name) for name in ("picture.png", "mask.png", "out.png"))
    Image.fromarray((IMAGE[0].numpy() * 255).round().astype(np.uint8)).save(given)
    Image.fromarray((HALF_SEEN.numpy() * 255).round().astype(np.uint8)).save(mask)
    for options, opaque in ((["--solid"], True), ([], False)):
        assert main(["mask", given, mask, "-o", out, "--only-mask", *options]) == 0
        with Image.open(out) as image:
            assert (np.asarray(image)[MIDDLE] == 255) == opaque
