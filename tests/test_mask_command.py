"""`rmbg mask`: what Apply Mask does, on files."""

# Pins the inside of cli.mask_command
# Pins the inside of core.alpha

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.cli import main
from rmbg_nodes.cli.mask_command import _NUMBERS
from rmbg_nodes.core.alpha import MaskOptions


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A red square on blue."""
    levels = np.zeros((60, 80, 3), np.uint8)
    levels[..., 2] = 200
    levels[20:40, 30:50] = (200, 30, 20)
    return saved(levels, tmp_path / "picture.png")


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """The square, with a hole in it and a speck beside it."""
    levels = np.zeros((60, 80), np.uint8)
    levels[20:40, 30:50] = 255
    levels[28:32, 38:42] = 0
    levels[5:7, 5:7] = 255
    return saved(levels, tmp_path / "mask.png")


def saved(levels: np.ndarray, path: Path) -> Path:
    Image.fromarray(levels).save(path)
    return path


def run(picture: Path, mask: Path, *options: str) -> np.ndarray:
    out = picture.parent / "out.png"
    assert main(["mask", str(picture), str(mask), "-o", str(out), *options]) == 0
    with Image.open(out) as image:
        return np.asarray(image)


def test_the_cut_out_is_rgba_with_the_masks_alpha(picture: Path, mask: Path) -> None:
    cut = run(picture, mask)
    assert cut.shape == (60, 80, 4)
    np.testing.assert_array_equal(cut[..., 3], np.asarray(Image.open(mask)))
    assert cut[22, 32].tolist() == [200, 30, 20, 255]
    assert cut[50, 70, 2] < 100  # the old background's blue is gone under alpha 0


def test_every_number_of_the_options_is_an_option() -> None:
    assert set(_NUMBERS) | {"invert"} == set(MaskOptions.__dataclass_fields__)


def test_corrections_reach_the_mask(picture: Path, mask: Path) -> None:
    clean = run(picture, mask, "--only-mask", "--fill-holes", "1", "--remove-islands", "1")
    assert clean[30, 40] == 255
    assert clean[5, 5] == 0
    assert run(picture, mask, "--only-mask", "--grow", "3")[18, 40] == 255
    assert run(picture, mask, "--only-mask", "--grow", "-3")[21, 40] == 0
    assert run(picture, mask, "--only-mask", "--invert")[0, 0] == 255
    assert 0 < run(picture, mask, "--only-mask", "--feather", "4")[19, 40] < 255


def test_painted_corrections_and_a_colour(picture: Path, mask: Path, tmp_path: Path) -> None:
    painted = np.zeros((60, 80), np.uint8)
    painted[:, :10] = 255
    path = str(saved(painted, tmp_path / "painted.png"))
    assert run(picture, mask, "--keep", path, "--only-mask")[30, 5] == 255
    assert run(picture, mask, "--drop", path, "--only-mask")[5, 5] == 0
    white = run(picture, mask, "--background", "white")
    assert white.shape == (60, 80, 3)
    assert white[50, 70].tolist() == [255, 255, 255]


def test_a_small_mask_is_refined_on_request(picture: Path, tmp_path: Path) -> None:
    small = np.zeros((15, 20), np.float32)
    small[5:10, 7:13] = 1
    small[5:10, [7, 12]] = 0.5  # the square's sides lie in the middle of these
    path = saved((small * 255).astype(np.uint8), tmp_path / "small.png")
    truth = np.zeros((60, 80))
    truth[20:40, 30:50] = 255
    plain, refined = (
        np.abs(run(picture, path, "--only-mask", *more) - truth).mean()
        for more in ([], ["--refine"])
    )
    assert refined < 0.3 * plain


def test_what_cannot_work_is_said(picture: Path, mask: Path, capsys) -> None:
    assert main(["mask", str(picture), str(mask), "-o", str(mask)]) == 2
    assert "choose another name" in capsys.readouterr().err
    assert main(["mask", "-", "-", "-o", "-"]) == 2
    out = str(picture.parent / "out.png")
    assert main(["mask", str(picture), str(mask), "-o", out, "--black-point", "2"]) == 2
    assert "black point" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["", "--keep", "--drop", "--refine"])
def test_a_mask_of_other_proportions_is_said(
    picture: Path, mask: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(picture, mask)
    assert capsys.readouterr().err == ""
    wide = saved(np.full((60, 200), 255, np.uint8), picture.parent / "wide.png")
    if option in ("--keep", "--drop"):
        run(picture, mask, option, str(wide))
    else:
        run(picture, wide, *[option] * bool(option))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{wide}: The ")
    assert "200 x 60 and the picture 80 x 60: other proportions" in line


def test_composites_mask_of_other_proportions_is_said(
    picture: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(picture.parent / "out.png")
    assert main(["composite", str(picture), "--mask", str(mask), "-o", out]) == 0
    assert capsys.readouterr().err == ""
    tall = saved(np.full((160, 80), 255, np.uint8), picture.parent / "tall.png")
    assert main(["composite", str(picture), "--mask", str(tall), "-o", out]) == 0
    assert f"{tall}: The mask is 80 x 160" in capsys.readouterr().err
