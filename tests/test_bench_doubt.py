"""`bench/doubt.py`: its ranking and its tables on pictures drawn here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.bench import doubt_run
from rmbg_nodes.core.errors import BadPicture

SIDE = 96
Y, X = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight discs: six found as they are, one seen through a haze, one not found at all."""
    truth = np.clip((0.6 - np.hypot(Y, X)) * SIDE / 4 + 0.5, 0, 1).astype(np.float32)
    masks = {f"right{n}": truth for n in range(6)}
    masks |= {"haze": truth * 0.3 + 0.25, "nothing": 0 * truth}
    for name in ("images", "truth", "masks"):
        (tmp_path / name).mkdir()
    colours = np.array([200, 40, 30]) * truth[..., None] + 128 * (1 - truth[..., None])
    for name, mask in masks.items():
        Image.fromarray(colours.astype(np.uint8)).save(tmp_path / "images" / f"{name}.jpg")
        Image.fromarray((truth * 255).astype(np.uint8)).save(tmp_path / "truth" / f"{name}.png")
        np.save(tmp_path / "masks" / f"{name}.npy", mask.astype(np.float32))
    return tmp_path


@pytest.mark.parametrize("alone", [False, True])
def test_the_wrong_masks_stand_first(folder: Path, alone: bool) -> None:
    judged = doubt_run.ranked(folder, alone=alone)
    assert [Path(one.name).stem for one in judged[:2]] == ["nothing", "haze"]
    assert judged[0].doubt == 1
    assert judged[0].iou == 0
    assert judged[-1].iou > 0.99
    rows = doubt_run.ranking(judged)
    assert [row[-1] for row in rows[1:4]] == ["yes", "yes", ""]
    assert ("" in rows[1][4:-1]) == alone  # the colours, which need the picture


def test_the_tables_count_what_was_found(folder: Path) -> None:
    sets = {"drawn": doubt_run.ranked(folder, alone=False)}
    head, row = doubt_run.found(sets)
    cells = dict(zip(head, row, strict=True))
    assert (cells["the worst"], cells["looked at"], cells["found"]) == ("2", "3", "2")
    _, *steps = doubt_run.calibration(sets)
    assert sum(int(step[1]) for step in steps) == 8
    assert steps[0][3] == "0.00"
    assert steps[-1][3] == "0.50"  # the haze is above one half where the subject is
    assert "8 masks" in doubt_run.below(sets)


def test_a_mask_that_is_missing_is_named(folder: Path) -> None:
    (folder / "masks" / "haze.npy").unlink()
    with pytest.raises(BadPicture, match=r"haze\.npy is missing"):
        doubt_run.ranked(folder, alone=False)
