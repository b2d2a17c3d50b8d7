"""Sequences of pictures hold every frame exactly."""

# Pins the inside of video.sequences

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.video.frames import Colours, CutFrame, VideoInfo
from rmbg_nodes.video.sequences import picture_path
from rmbg_nodes.video.video_formats import video_format
from rmbg_nodes.video.writing import open_writer

INFO = VideoInfo(
    width=65,
    height=47,
    rotation=0,
    pixel_aspect=Fraction(1),
    time_base=Fraction(1, 25),
    frame_rate=Fraction(25),
    frames=None,
    seconds=None,
    bits=8,
    colours=Colours("bt709", False, "bt709", "bt709"),
)


def noise(seed: int, channels: int = 4) -> Tensor:
    return torch.rand(47, 65, channels, generator=torch.Generator().manual_seed(seed))


def sequence(format: str, folder: Path, info: VideoInfo = INFO, channels: int = 4) -> list[Path]:
    row = video_format(format)
    writer = open_writer(row, folder, info)
    for number in (7, 8, 9):
        writer.write(CutFrame(number, number, 1, noise(number, channels)))
    writer.close()
    return [picture_path(folder, number, row.suffix) for number in (7, 8, 9)]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("bits", "depth"), [(8, 8), (10, 16), (12, 16)])
@pytest.mark.parametrize("format", ["png"])
def test_every_picture_comes_back_to_half_a_level(
    format: str, bits: int, depth: int, channels: int, tmp_path: Path
) -> None:
    folder = tmp_path / "cut" / "walk"
    paths = sequence(format, folder, replace(INFO, bits=bits), channels)
    assert sorted(folder.iterdir()) == paths
    for number, path in zip((7, 8, 9), paths, strict=True):
        picture = read_picture(path, name=path.name)
        assert picture.depth == depth
        apart = (picture.image - noise(number, channels)).abs().max()
        assert apart <= 0.5 / (2**depth - 1) + 1e-6


def test_names_are_numbers_of_the_source(tmp_path: Path) -> None:
    assert picture_path(tmp_path, 12, ".png").name == "frame_000012.png"


def test_what_is_given_up_is_gone_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "frame_000001.png").write_bytes(b"kept")
    writer = open_writer(video_format("png"), tmp_path, INFO)
    writer.write(CutFrame(2, 2, 1, noise(2)))
    writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["frame_000001.png"]


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    writer = open_writer(video_format("png"), tmp_path, INFO)
    with pytest.raises(BadPicture, match="64 x 48 in a video of 65 x 47"):
        writer.write(CutFrame(0, 0, 1, torch.zeros(48, 64, 4)))
