"""Samples of every kind become the R'G'B' that the standards say, reckoned here in floats."""

# Pins the inside of video.reading.read_frames
# Pins the inside of video.reading.ycbcr

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rmbg_nodes.tests.support.videos import make_still
from rmbg_nodes.video.reading.info import read_info
from rmbg_nodes.video.reading.read_frames import read_frames
from rmbg_nodes.video.reading.ycbcr import (
    MATRICES,
    PRIMARIES,
    TRANSFERS,
    UNSPECIFIED,
    code_of,
    matrix_name,
)

HEIGHT, WIDTH = 60, 84

#: Kr, Kb of the standards, not of the package's rows.
KR_KB = {
    "bt709": (0.2126, 0.0722),
    "bt601": (0.299, 0.114),
    "bt2020nc": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
#: By how much the columns and rows of chroma are fewer.
SUBSAMPLING = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}


@dataclass(frozen=True)
class Kind:
    pixel_format: str
    bits: int
    chroma: str = "444"
    alpha: bool = False
    codec: str = "ffv1"
    suffix: str = ".mkv"
    left: bool = False
    """Chroma samples lie in the columns of the even luma samples, and not between two."""

    @property
    def options(self) -> dict[str, str]:
        return {"qp": "0"} if self.codec == "libx264" else {}


KINDS = {
    kind.pixel_format + kind.codec: kind
    for kind in (
        Kind("yuv420p", 8, "420"),
        Kind("yuv420p", 8, "420", codec="libx264", suffix=".mp4", left=True),
        Kind("yuv422p", 8, "422"),
        Kind("yuv444p", 8),
        Kind("yuv420p10le", 10, "420"),
        Kind("yuv420p10le", 10, "420", codec="libx264", suffix=".mp4", left=True),
        Kind("yuv422p10le", 10, "422"),
        Kind("yuv444p10le", 10),
        Kind("yuv444p12le", 12),
        Kind("yuv444p16le", 16),
        Kind("yuva420p", 8, "420", alpha=True),
        Kind("yuva444p", 8, alpha=True),
        Kind("yuva422p10le", 10, "422", alpha=True),
        Kind("yuva444p10le", 10, alpha=True),
        Kind("yuva444p12le", 12, alpha=True),
        Kind("yuva444p16le", 16, alpha=True),
    )
}


def smooth(seed: int, height: int, width: int, low: float, high: float) -> NDArray[np.float64]:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((height, width)), 6)
    return low + (high - low) * (noise - noise.min()) / np.ptp(noise)


def samples(kind: Kind, full: bool) -> list[NDArray[np.uint8 | np.uint16]]:
    columns, rows = SUBSAMPLING[kind.chroma]
    step = 2 ** (kind.bits - 8)
    luma = (0, 255) if full else (16, 235)
    planes = [
        smooth(1, HEIGHT, WIDTH, *luma),
        smooth(2, HEIGHT // rows, WIDTH // columns, 60, 190),
        smooth(3, HEIGHT // rows, WIDTH // columns, 60, 190),
    ]
    scaled = [plane * step for plane in planes]
    if kind.alpha:
        scaled.append(smooth(4, HEIGHT, WIDTH, 0, 2**kind.bits - 1))
    dtype = np.uint8 if kind.bits == 8 else np.uint16
    return [plane.round().astype(dtype) for plane in scaled]


def between(plane: NDArray[np.float64], kind: Kind) -> NDArray[np.float64]:
    """Interpolate chroma linearly at the places of luma."""
    columns, rows = SUBSAMPLING[kind.chroma]
    offset = 0.0 if kind.left else 0.5
    across = (np.arange(WIDTH) + offset) / columns - offset if columns > 1 else np.arange(WIDTH)
    down = (np.arange(HEIGHT) + 0.5) / rows - 0.5
    wide = np.stack([np.interp(across, np.arange(plane.shape[1]), row) for row in plane])
    return np.stack(
        [np.interp(down, np.arange(plane.shape[0]), column) for column in wide.T], axis=1
    )


def reckoned(
    planes: list[NDArray[np.uint8 | np.uint16]], kind: Kind, matrix: str, full: bool
) -> NDArray[np.float64]:
    """Return R'G'B'(A) in 0..1 by the definition of Y'CbCr."""
    step, most = 2 ** (kind.bits - 8), 2**kind.bits - 1
    y, cb, cr = (plane.astype(float) for plane in planes[:3])
    cb, cr = (between(plane, kind) - 128 * step for plane in (cb, cr))
    luma = y / most if full else (y - 16 * step) / (219 * step)
    cb, cr = (plane / (most if full else 224 * step) for plane in (cb, cr))
    kr, kb = KR_KB[matrix]
    red = luma + 2 * (1 - kr) * cr
    blue = luma + 2 * (1 - kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    colours = np.clip(np.stack([red, green, blue], axis=-1), 0, 1)
    if not kind.alpha:
        return colours
    return np.concatenate([colours, planes[3][..., None] / most], axis=-1)


def read_one(path: Path) -> NDArray[np.float64]:
    info = read_info(path)
    frame = [*read_frames(path, info, warn=pytest.fail)][1]
    pixels = frame.pixels.numpy()
    return pixels / np.iinfo(pixels.dtype).max


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", KR_KB)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_colours_are_those_of_the_standard(
    tmp_path: Path, kind: Kind, matrix: str, full: bool
) -> None:
    planes = samples(kind, full)
    path = make_still(
        tmp_path / f"a{kind.suffix}",
        kind.codec,
        kind.pixel_format,
        planes,
        matrix=MATRICES[matrix].code,
        colour_range=2 if full else 1,
        options=kind.options,
    )
    info = read_info(path)
    assert (info.colours.matrix, info.colours.full_range) == (matrix, full)
    assert (info.bits, info.has_alpha) == (kind.bits, kind.alpha)
    error = 255 * np.abs(read_one(path) - reckoned(planes, kind, matrix, full))
    assert error[..., :3].max() <= (0.6 if kind.bits == 8 else 0.15)
    assert error[..., 3:].max(initial=0) <= 0.01


RGB_KINDS = {
    "gbrp": (8, "utvideo"),
    "gbrp10le": (10, "ffv1"),
    "gbrp12le": (12, "ffv1"),
    "gbrp14le": (14, "ffv1"),
    "gbrp16le": (16, "ffv1"),
    "gbrap": (8, "utvideo"),
    "gbrap10le": (10, "ffv1"),
    "gbrap12le": (12, "ffv1"),
    "gbrap16le": (16, "ffv1"),
}


@pytest.mark.parametrize("pixel_format", RGB_KINDS)
def test_rgb_is_only_brought_to_the_whole_range(tmp_path: Path, pixel_format: str) -> None:
    bits, codec = RGB_KINDS[pixel_format]
    dtype = np.uint8 if bits == 8 else np.uint16
    most = 2**bits - 1
    colours = [
        smooth(seed, HEIGHT, WIDTH, 0, most) for seed in range(4 if "a" in pixel_format else 3)
    ]
    planes = [plane.round().astype(dtype) for plane in colours]
    path = tmp_path / ("a.avi" if codec == "utvideo" else "a.mkv")
    make_still(path, codec, pixel_format, planes, matrix=0, colour_range=2)
    info = read_info(path)
    assert (info.bits, info.has_alpha, info.colours.matrix) == (bits, len(planes) == 4, "rgb")
    expected = np.stack([planes[place] for place in (2, 0, 1, 3)[: len(planes)]], axis=-1) / most
    assert 65535 * np.abs(read_one(path) - expected).max() <= 1


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(
    ("pixel_format", "bits"), [("gray", 8), ("gray10le", 10), ("gray16le", 16)]
)
def test_grey_is_read_by_its_range(
    tmp_path: Path, pixel_format: str, bits: int, full: bool
) -> None:
    step, most = 2 ** (bits - 8), 2**bits - 1
    luma = smooth(1, HEIGHT, WIDTH, *((0, most) if full else (16 * step, 235 * step))).round()
    plane = luma.astype(np.uint8 if bits == 8 else np.uint16)
    path = make_still(
        tmp_path / "a.mkv", "ffv1", pixel_format, [plane], colour_range=2 if full else 1
    )
    expected = luma / most if full else (luma - 16 * step) / (219 * step)
    assert 255 * np.abs(read_one(path) - expected[..., None]).max() <= (0.6 if bits == 8 else 0.1)


@pytest.mark.parametrize(
    ("lines", "matrix"), [(480, "bt601"), (576, "bt601"), (719, "bt601"), (720, "bt709")]
)
def test_an_unstated_matrix_is_guessed_by_the_lines(lines: int, matrix: str) -> None:
    assert matrix_name(UNSPECIFIED, lines) == matrix


def test_names_and_numbers_are_those_of_ffmpeg() -> None:
    assert [code_of(PRIMARIES, name) for name in ("bt709", "bt470bg", "bt2020")] == [1, 5, 9]
    assert [code_of(TRANSFERS, name) for name in ("bt709", "smpte2084", "no such")] == [1, 16, 2]
