"""What lies behind a cut-out video: a colour, a picture, another video."""

# Pins the inside of video.writing.backdrops

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from rmbg_nodes.core.errors import BadPicture
from rmbg_nodes.pictures.write import encode
from rmbg_nodes.tests.support.videos import Clip, make_video, number_on, video_info
from rmbg_nodes.video.frames import Colours, VideoInfo
from rmbg_nodes.video.writing.backdrops import open_backdrop

INFO = video_info()


def no_warning(sentence: str) -> None:
    raise AssertionError(sentence)


def numbers(path: Path, moments: list[Fraction], info: VideoInfo = INFO) -> list[int]:
    """Which frames of a backdrop are shown at these moments."""
    backdrop = open_backdrop(path, info, warn=no_warning)
    seen = []
    for moment in moments:
        pixels = backdrop.at(moment)
        assert pixels.shape == (info.height, info.width, 3)
        seen.append(number_on((pixels.numpy() * 255).astype(np.uint8)))
    backdrop.close()
    backdrop.close()
    return seen


def test_a_colour_is_everywhere_and_always() -> None:
    backdrop = open_backdrop((1.0, 0.5, 0.0), INFO, warn=no_warning)
    for moment in (Fraction(0), Fraction(100)):
        seen = backdrop.at(moment)
        assert torch.equal(seen, torch.tensor([1.0, 0.5, 0.0]).expand(48, 64, 3))


def test_a_picture_covers_the_frame_from_its_middle(tmp_path: Path) -> None:
    wide = torch.zeros(48, 128, 3)
    wide[:, 32:96] = torch.tensor([0.0, 1.0, 0.0])
    path = tmp_path / "wide.png"
    path.write_bytes(encode(wide, "png"))
    seen = open_backdrop(path, INFO, warn=no_warning).at(Fraction(3))
    assert torch.equal(seen, wide[:, 32:96])

    small = tmp_path / "small.png"
    small.write_bytes(encode(torch.full((10, 7, 4), 0.5), "png"))
    seen = open_backdrop(small, INFO, warn=no_warning).at(Fraction(3))
    assert seen.shape == (48, 64, 3)
    assert (seen - (128 / 255) ** 2).abs().max() < 1e-5  # see-through is black


def test_a_picture_covers_frames_of_wide_pixels_as_they_are_seen(tmp_path: Path) -> None:
    wide = torch.zeros(48, 128, 3)
    wide[:, :64] = 1.0
    path = tmp_path / "wide.png"
    path.write_bytes(encode(wide, "png"))
    info = replace(INFO, pixel_aspect=Fraction(2))
    seen = open_backdrop(path, info, warn=no_warning).at(Fraction(0))
    assert seen[:, :31].min() == 1.0
    assert seen[:, 33:].max() == 0.0


def test_a_video_plays_at_its_own_speed(tmp_path: Path) -> None:
    path = make_video(tmp_path / "behind.mp4", Clip(frames=12, rate=Fraction(12)))
    moments = [Fraction(number, 25) for number in range(25)]
    assert numbers(path, moments) == [int(moment * 12) for moment in moments]


def test_a_video_that_ends_begins_again(tmp_path: Path) -> None:
    path = make_video(tmp_path / "behind.mp4", Clip(frames=5))
    moments = [Fraction(number, 25) for number in range(13)]
    assert numbers(path, moments) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2]


@pytest.mark.parametrize("first", [1, 4, 7, 12, 23])
def test_going_on_later_shows_the_same(first: int, tmp_path: Path) -> None:
    clip = Clip(
        width=64,
        height=48,
        frames=5,
        rate=Fraction(25),
        times=(0, 1, 2, 6, 7),
        time_base=Fraction(1, 25),
    )
    path = make_video(tmp_path / "behind.mkv", clip)
    moments = [Fraction(number, 25) for number in range(30)]
    assert numbers(path, moments[first:]) == numbers(path, moments)[first:]


def test_a_high_dynamic_range_is_told_of() -> None:
    said: list[str] = []
    info = replace(INFO, colours=Colours("bt2020nc", False, "bt2020", "smpte2084"))
    open_backdrop((1.0, 1.0, 1.0), info, warn=said.append)
    assert len(said) == 1
    assert "PQ" in said[0]


def test_what_is_neither_picture_nor_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no picture")
    with pytest.raises(BadPicture, match=r"notes\.txt"):
        open_backdrop(path, INFO, warn=no_warning)
    with pytest.raises(BadPicture, match="choose another file"):
        open_backdrop(tmp_path / "none.png", INFO, warn=no_warning)
