"""Sequences of pictures hold every frame exactly."""

# Pins the inside of video.writing.linear_light
# Pins the inside of video.writing.sequences

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.pictures.read import read_picture
from rmbg_nodes.tests.support.videos import video_info
from rmbg_nodes.video.frames import Colours, CutFrame, VideoInfo
from rmbg_nodes.video.writing.linear_light import to_linear
from rmbg_nodes.video.writing.open_writer import open_writer
from rmbg_nodes.video.writing.sequences import picture_path
from rmbg_nodes.video.writing.video_formats import video_format

INFO = video_info(65, 47)


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


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_is_near_and_keeps_alpha_exactly(channels: int, tmp_path: Path) -> None:
    for number, path in zip((7, 8, 9), sequence("webp", tmp_path, INFO, channels), strict=True):
        picture = read_picture(path, name=path.name)
        wanted = noise(number, channels)
        assert (picture.pixels - wanted[..., :3]).abs().mean() < 0.2  # noise, 4:2:0
        if channels == 4:
            assert picture.alpha is not None
            assert (picture.alpha - wanted[..., 3]).abs().max() <= 0.5 / 255 + 1e-6


def read_exr(path: Path) -> NDArray[np.float32]:
    """By FFmpeg's decoder, which is no part of OpenEXR."""
    with av.open(str(path)) as container:
        (frame,) = container.decode(video=0)
    name = frame.format.name
    kind = np.float16 if "f16" in name else np.float32
    lines = [np.frombuffer(bytes(p), kind).reshape(p.height, -1) for p in frame.planes]
    order = (2, 0, 1, 3) if name.startswith("gbrap") else (2, 0, 1)
    pixels = np.stack([lines[at][:, : frame.width] for at in order], axis=-1)
    return pixels.astype(np.float32)


@pytest.mark.parametrize("channels", [3, 4])
def test_exr_is_linear_and_premultiplied(channels: int, tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    srgb = replace(INFO, colours=Colours("rgb", True, "bt709", "iec61966-2-1"))
    for number, path in zip((7, 8, 9), sequence("exr", tmp_path, srgb, channels), strict=True):
        wanted = noise(number, channels).numpy()
        colour = wanted[..., :3]
        light = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
        seen = read_exr(path)
        assert seen.shape == wanted.shape
        if channels == 4:
            light = light * wanted[..., 3:]
            assert np.abs(seen[..., 3] - wanted[..., 3]).max() < 2**-11
        assert np.abs(seen[..., :3] - light).max() < 2**-11


def test_exr_says_what_its_colours_are(tmp_path: Path) -> None:
    openexr = pytest.importorskip("OpenEXR")
    info = replace(
        INFO,
        colours=Colours("bt2020nc", False, "bt2020", "bt709"),
        pixel_aspect=Fraction(4, 3),
        frame_rate=Fraction(30000, 1001),
    )
    header = openexr.File(str(sequence("exr", tmp_path, info)[0])).header()
    wanted = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
    assert header["chromaticities"] == pytest.approx(wanted)
    assert header["framesPerSecond"] == Fraction(30000, 1001)
    assert header["pixelAspectRatio"] == pytest.approx(4 / 3)
    assert header["channels"][0].name == "A"


def test_without_its_extra_exr_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(BadOption, match=r'pip install "rmbg-nodes\[exr\]"'):
        open_writer(video_format("exr"), tmp_path, INFO)


def test_light_of_an_unknown_transfer_is_refused_before_a_frame_is(tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    with pytest.raises(BadOption, match="log316"):
        open_writer(
            video_format("exr"),
            tmp_path,
            replace(INFO, colours=Colours("bt709", False, "bt709", "log316")),
        )


@pytest.mark.parametrize(
    ("transfer", "encoded", "light"),
    [
        # Worked out from the standards' forward curves.
        ("bt709", 4.5 * 0.01, 0.01),
        ("bt709", 1.099296826 * 0.5**0.45 - 0.099296826, 0.5),
        ("iec61966-2-1", 1.055 * 0.5 ** (1 / 2.4) - 0.055, 0.5),
        ("iec61966-2-1", 12.92 * 0.002, 0.002),
        ("bt470m", 0.5 ** (1 / 2.2), 0.5),
        ("bt470bg", 0.5 ** (1 / 2.8), 0.5),
        ("linear", 0.3, 0.3),
        ("arib-std-b67", 0.5, 1 / 12),
        ("arib-std-b67", 1.0, 1.0),
        ("smpte2084", 0.5806888810416109, 1.0),
        ("smpte2084", 1.0, 10000 / 203),
        ("smpte240m", 4 * 0.01, 0.01),
        ("smpte240m", 1.0, 1.0),
        ("unknown", 1.0, 1.0),
    ],
)
def test_light_is_the_inverse_of_the_transfer(transfer: str, encoded: float, light: float) -> None:
    seen = to_linear(torch.tensor([encoded], dtype=torch.float64), transfer)
    assert seen.item() == pytest.approx(light, rel=1e-4)


@pytest.mark.parametrize("channels", [3, 4])
def test_an_animated_webp_plays_what_was_written(channels: int, tmp_path: Path) -> None:
    file = tmp_path / "clip.webp"
    times = (0, 1, 2, 5)
    across = torch.linspace(0, 1, 65).expand(47, 65)
    frames = [
        torch.stack((across, across * (time / 5), 1 - across, across), dim=-1) for time in times
    ]
    writer = open_writer(video_format("webp-animated"), file, INFO, quality=100)
    for number, (time, image) in enumerate(zip(times, frames, strict=True)):
        writer.write(CutFrame(number, time, 1, image[..., :channels].contiguous()))
    writer.close()
    with Image.open(file) as clip:
        assert clip.n_frames == 4
        assert clip.info["loop"] == 0
        shown = []
        for number, image in enumerate(frames):
            clip.seek(number)
            clip.load()
            shown.append(clip.info["duration"])
            seen = np.asarray(clip.convert("RGBA")) / 255.0
            alpha = image[..., 3].numpy() if channels == 4 else np.ones((47, 65))
            assert np.abs(seen[..., 3] - alpha).max() <= 0.5 / 255 + 1e-6
            seen_part, part = seen[:, 20:, :3], image[:, 20:, :3].numpy()
            assert np.abs(seen_part - part).mean() < 4 / 255
    assert shown[:3] == [40, 40, 120]


def test_an_animated_webp_has_few_frames(tmp_path: Path) -> None:
    row = replace(video_format("webp-animated"), most_frames=2)
    writer = open_writer(row, tmp_path / "clip.webp", INFO)
    for number in (0, 1):
        writer.write(CutFrame(number, number, 1, noise(number)))
    with pytest.raises(BadOption, match="at most 2 frames"):
        writer.write(CutFrame(2, 2, 1, noise(2)))
    writer.discard()


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
