"""Videos are written so that their alpha, colours and timestamps come back."""

# Pins the inside of video.joining.join
# Pins the inside of video.reading.read_frames

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rmbg_nodes.core.errors import BadOption, BadPicture
from rmbg_nodes.tests.support.videos import video_info
from rmbg_nodes.video.frames import Colours, CutFrame, VideoInfo
from rmbg_nodes.video.joining.join import join
from rmbg_nodes.video.reading.info import read_info
from rmbg_nodes.video.reading.read_frames import read_frames
from rmbg_nodes.video.writing.open_writer import open_writer
from rmbg_nodes.video.writing.video_formats import VIDEO_FORMATS, video_format, written_size

#: What this installation can write.
WRITABLE = [row for row in VIDEO_FORMATS if row.id != "exr" or find_spec("OpenEXR")]
FILMS = [row for row in VIDEO_FORMATS if row.closed_segments and not row.is_sequence]
WITH_ALPHA = [row.id for row in FILMS if row.alpha != "none"]
OPAQUE = [row.id for row in FILMS if row.alpha == "none" and not row.matte]
MATTES = [row.id for row in FILMS if row.matte]
TICKS = (0, 3003, 6006, 12012, 13000)
FFPROBE = shutil.which("ffprobe")
FFMPEG = shutil.which("ffmpeg")


def info_of(width: int = 64, height: int = 48, bits: int = 8, **changes: object) -> VideoInfo:
    times = {"time_base": Fraction(1, 90000), "frame_rate": Fraction(30000, 1001)}
    return video_info(width, height, bits=bits, **{**times, **changes})


def colours_of(width: int, height: int) -> Tensor:
    """A picture that changes slowly through all hues and greys."""
    down, across = torch.meshgrid(
        torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij"
    )
    return torch.stack((across, down, 1 - (across + down) / 2), dim=-1)


def alphas(width: int, height: int) -> dict[str, Tensor]:
    """A soft ramp, strands as thin as hair, and holes in a solid."""
    chance = torch.Generator().manual_seed(3)
    across = torch.linspace(0, 1, width).expand(height, width)
    strands = torch.rand(height, width, generator=chance)
    kernel = torch.ones(1, 1, 5, 1) / 5
    hair = torch.nn.functional.conv2d(strands[None, None], kernel, padding=(2, 0))[0, 0]
    holes = torch.ones(height, width)
    holes[height // 4 : height // 2, width // 4 : width // 2] = 0
    holes[-height // 4 :, :] = 0
    return {"ramp": across.clone(), "hair": hair.clamp(0, 1), "holes": holes}


def film(format: str, path: Path, images: list[Tensor], info: VideoInfo) -> Path:
    row = video_format(format)
    file = path / f"film{row.suffix}"
    writer = open_writer(row, file, info)
    for number, image in enumerate(images):
        writer.write(CutFrame(number, TICKS[number], 1000, image))
    writer.close()
    return file


def decoded(file: Path) -> list[av.VideoFrame]:
    """The frames, VP9 by the decoder that knows of alpha."""
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != "vp9":
            return list(container.decode(stream))
        context = av.CodecContext.create("libvpx-vp9", "r")
        frames = [frame for packet in container.demux(stream) for frame in context.decode(packet)]
        return frames


def planes(frame: av.VideoFrame) -> list[NDArray[np.float64]]:
    """The planes of a frame as shares of the whole range of a sample, none thrown away."""
    bits = frame.format.components[0].bits
    kind = np.uint8 if bits == 8 else np.uint16
    return [
        np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)[:, : plane.width]
        / float(2**bits - 1)
        for plane in frame.planes
    ]


def rgb(
    frame: av.VideoFrame, weights: tuple[float, float] = (0.2126, 0.0722)
) -> NDArray[np.float64]:
    """R'G'B' of a frame of limited range, by the standard's formulas and in double precision;
    swscale's own default takes the nearest sample of colour and is off by two levels."""
    bits = frame.format.components[0].bits
    level = (2**bits - 1) / 2 ** (bits - 8)  # in steps of 8 bits
    luma, *chroma = (plane * level for plane in planes(frame)[:3])
    blue, red = (_spread((plane - 128) / 224, luma.shape) for plane in chroma)
    grey, (of_red, of_blue) = (luma - 16) / 219, weights
    r, b = grey + 2 * (1 - of_red) * red, grey + 2 * (1 - of_blue) * blue
    g = (grey - of_red * r - of_blue * b) / (1 - of_red - of_blue)
    return np.clip(np.stack((r, g, b), axis=-1), 0, 1)


def _spread(chroma: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Samples of colour at all pixels: they lie on the left column, between two rows."""
    rows, columns = np.arange(shape[0]) + 0.0, np.arange(shape[1]) + 0.0
    if chroma.shape[0] < shape[0]:
        rows = rows / 2 - 0.25
    if chroma.shape[1] < shape[1]:
        columns = columns / 2
    down = np.array([np.interp(rows, np.arange(len(line)), line) for line in chroma.T]).T
    return np.array([np.interp(columns, np.arange(len(line)), line) for line in down])


@pytest.mark.parametrize("alpha", ["ramp", "hair", "holes"])
@pytest.mark.parametrize("size", [(64, 48), (65, 47)], ids=str)
@pytest.mark.parametrize("format", WITH_ALPHA)
def test_alpha_comes_back(format: str, size: tuple[int, int], alpha: str, tmp_path: Path) -> None:
    matte = alphas(*size)[alpha]
    image = torch.cat((colours_of(*size), matte.unsqueeze(-1)), dim=-1)
    file = film(format, tmp_path, [image] * 3, info_of(*size))
    frames = decoded(file)
    assert [(frame.width, frame.height) for frame in frames] == [size] * 3
    for frame in frames:
        apart = np.abs(planes(frame)[3] - matte.numpy())
        assert apart.mean() < 2 / 255
        if alpha == "holes":
            assert apart.max() < 16 / 255


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("format", [*WITH_ALPHA, *OPAQUE])
def test_colours_come_back(format: str, bits: int, tmp_path: Path) -> None:
    image = colours_of(96, 64)
    if format in WITH_ALPHA:
        image = torch.cat((image, torch.ones(64, 96, 1)), dim=-1)
    file = film(format, tmp_path, [image] * 2, info_of(96, 64, bits))
    assert bits == 8 or format != "hevc" or decoded(file)[0].format.name == "yuv420p10le"
    for frame in decoded(file):
        apart = np.abs(rgb(frame) - image[..., :3].numpy())
        assert apart.mean() < 1 / 255
        assert apart[2:-2, 2:-2].max() < 8 / 255


@pytest.mark.parametrize(
    ("matrix", "weights"),
    [("bt601", (0.299, 0.114)), ("bt709", (0.2126, 0.0722)), ("bt2020nc", (0.2627, 0.0593))],
)
@pytest.mark.parametrize("format", [*WITH_ALPHA, *OPAQUE])
def test_colours_are_in_the_matrix_of_the_source(
    format: str, matrix: str, weights: tuple[float, float], tmp_path: Path
) -> None:
    image = torch.tensor([0.8, 0.3, 0.1]).expand(48, 64, 3)
    info = info_of(colours=Colours(matrix, False, "bt709", "bt709"))
    for frame in decoded(film(format, tmp_path, [image] * 2, info)):
        assert np.abs(rgb(frame, weights) - image.numpy()).max() < 2 / 255


@pytest.mark.parametrize("format", [*WITH_ALPHA, *OPAQUE])
def test_a_source_of_full_range_stays_so_where_the_format_can(format: str, tmp_path: Path) -> None:
    image = torch.tensor([0.9, 0.05, 0.4]).expand(48, 64, 3)
    info = info_of(colours=Colours("bt709", True, "bt709", "bt709"))
    file = film(format, tmp_path, [image] * 2, info)
    whole = read_info(file)
    assert whole.colours.full_range == video_format(format).full_range
    said: list[str] = []
    for frame in read_frames(file, whole, warn=said.append):
        seen = frame.pixels[..., :3].float() / torch.iinfo(frame.pixels.dtype).max
        assert (seen - image).abs().max() < 2.5 / 255
    assert said == []


@pytest.mark.parametrize("format", [row.id for row in FILMS])
@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(8, 9)], ids=str)
def test_wide_and_narrow_pixels_are_kept_or_made_square(
    format: str, aspect: Fraction, tmp_path: Path
) -> None:
    row = video_format(format)
    image = torch.full((48, 64, 4 if row.alpha != "none" or row.matte else 3), 0.5)
    file = film(format, tmp_path, [image] * 2, info_of(pixel_aspect=aspect))
    whole = tmp_path / f"whole{row.suffix}"
    join([file], whole, None, info_of(), tag=row.tag, warn=pytest.fail)
    for path in (file, whole):
        info = read_info(path)
        shown = info.width * info.pixel_aspect / info.height
        assert float(shown) == pytest.approx(float(64 * aspect / 48), rel=0.01)
        assert info.pixel_aspect == (1 if row.square_pixels else aspect)


@pytest.mark.parametrize("format", MATTES)
def test_a_matte_is_the_alpha_in_gray(format: str, tmp_path: Path) -> None:
    for name, matte in alphas(64, 48).items():
        image = torch.cat((colours_of(64, 48), matte.unsqueeze(-1)), dim=-1)
        for frame in decoded(film(format, tmp_path, [image] * 2, info_of())):
            apart = np.abs(rgb(frame) - matte.unsqueeze(-1).numpy())
            assert apart.mean() < 2 / 255, name


@pytest.mark.parametrize("format", [row.id for row in FILMS])
def test_timestamps_and_durations_come_back(format: str, tmp_path: Path) -> None:
    row = video_format(format)
    images = [torch.full((48, 64, 4 if row.alpha != "none" or row.matte else 3), 0.5)] * 5
    with av.open(str(film(format, tmp_path, images, info_of()))) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        step = max(float(stream.time_base), row.time_step)
        seen = [float(packet.pts * stream.time_base) for packet in packets]
    assert seen == pytest.approx([tick / 90000 for tick in TICKS], abs=step / 2 + 1e-9)
    assert all(packet.dts == packet.pts for packet in packets)
    assert packets[0].is_keyframe
    if not row.time_step:
        assert packets[-1].duration * stream.time_base == Fraction(1000, 90000)


@pytest.mark.parametrize("format", [row.id for row in FILMS])
def test_segments_join_by_copying_packets(format: str, tmp_path: Path) -> None:
    """Both begin with a key frame, and what is before the packets is the same."""
    row = video_format(format)
    channels = 4 if row.alpha != "none" or row.matte else 3
    chance = torch.Generator().manual_seed(1)
    images = [torch.rand(48, 64, channels, generator=chance).round() for _ in range(4)]
    parts = []
    for start in (0, 2):
        part = tmp_path / f"{start}{row.suffix}"
        writer = open_writer(row, part, info_of())
        for number in (start, start + 1):
            writer.write(CutFrame(number, TICKS[number], 3003, images[number]))
        writer.close()
        parts.append(part)
    headers = []
    for part in parts:
        with av.open(str(part)) as container:
            headers.append(bytes(container.streams.video[0].codec_context.extradata or b""))
    assert headers[0] == headers[1]
    whole = tmp_path / f"whole{row.suffix}"
    join(parts, whole, None, info_of(), tag=row.tag, warn=pytest.fail)
    with av.open(str(whole)) as container:
        stream = container.streams.video[0]
        seen = [packet.pts * stream.time_base for packet in container.demux(stream) if packet.size]
        assert not row.tag or stream.codec_context.codec_tag == row.tag
    step = max(float(stream.time_base), row.time_step)
    assert [float(at) for at in seen] == pytest.approx([t / 90000 for t in TICKS[:4]], abs=step)
    info = read_info(whole)
    assert info.has_alpha == (row.alpha != "none")
    assert (info.width, info.height) == (64, 48)
    apart = [planes(frame) for part in parts for frame in decoded(part)]
    joined = [planes(frame) for frame in decoded(whole)]
    assert len(joined) == 4
    for one, other in zip(apart, joined, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("format", [row.id for row in FILMS])
def test_files_name_their_colours(format: str, tmp_path: Path) -> None:
    row = video_format(format)
    image = torch.full((48, 64, 4 if row.alpha != "none" or row.matte else 3), 0.5)
    info = info_of(colours=Colours("bt601", False, "smpte170m", "bt709"))
    with av.open(str(film(format, tmp_path, [image] * 2, info))) as container:
        context = container.streams.video[0].codec_context
        frame = next(container.decode(video=0))
    assert (context.colorspace, context.color_primaries, context.color_trc) == (6, 6, 1)
    assert (frame.colorspace, frame.color_range) == (6, 1)


@pytest.mark.parametrize("format", [row.id for row in FILMS if row.even])
def test_odd_sides_repeat_their_last_column_and_row(format: str, tmp_path: Path) -> None:
    row = video_format(format)
    image = colours_of(65, 47)
    if row.matte:
        image = image[..., [0, 0, 0, 0]]
    info = info_of(65, 47)
    assert written_size(row, info) == (66, 48)
    for frame in decoded(film(format, tmp_path, [image] * 2, info)):
        seen = rgb(frame)
        assert seen.shape == (48, 66, 3)
        assert np.abs(seen[:47, :65] - image[..., :3].numpy()).mean() < 2 / 255
        assert np.abs(seen[-1] - seen[-2]).max() < 8 / 255


@pytest.mark.skipif(FFPROBE is None, reason="no ffprobe on this machine")
@pytest.mark.parametrize("format", [row.id for row in FILMS])
def test_ffprobe_reads_the_same(format: str, tmp_path: Path) -> None:
    row = video_format(format)
    image = torch.full((48, 64, 4 if row.alpha != "none" or row.matte else 3), 0.5)
    file = film(format, tmp_path, [image] * 3, info_of())
    fields = (
        "codec_tag_string,color_space,color_primaries,color_transfer,color_range,nb_read_frames"
    )
    command = ["ffprobe", "-v", "error", "-count_frames", "-of", "json", "-show_entries"]
    done = subprocess.run(
        [*command, f"stream={fields}", str(file)], capture_output=True, check=True, text=True
    )
    (stream,) = json.loads(done.stdout)["streams"]
    assert stream["nb_read_frames"] == "3"
    names = ("color_space", "color_primaries", "color_transfer", "color_range")
    assert [stream[name] for name in names] == ["bt709", "bt709", "bt709", "tv"]
    if row.tag:
        assert stream["codec_tag_string"] == row.tag


@pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg on this machine")
@pytest.mark.parametrize("format", WITH_ALPHA)
def test_ffmpeg_puts_it_on_a_backdrop(format: str, tmp_path: Path) -> None:
    """FFmpeg's own program takes the alpha as straight and mixes the colours that were written."""
    matte = alphas(64, 48)["ramp"].unsqueeze(-1)
    colour = torch.tensor([0.8, 0.3, 0.1]).expand(48, 64, 3)
    file = film(format, tmp_path, [torch.cat((colour, matte), dim=-1)] * 2, info_of())
    assert FFMPEG is not None
    decoder = ["-c:v", "libvpx-vp9"] if format == "webm-vp9" else []
    white = ["-f", "lavfi", "-i", "color=white:s=64x48,format=gbrp"]
    exact = "[1]scale=flags=full_chroma_int+accurate_rnd,format=gbrap[over]"
    mixed = ["-filter_complex", f"{exact};[0][over]overlay=format=gbrp", "-frames:v", "1"]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    command = [FFMPEG, "-v", "error", *white, *decoder, "-i", str(file), *mixed, *raw]
    done = subprocess.run(command, capture_output=True, check=True)
    seen = np.frombuffer(done.stdout, np.uint8).reshape(48, 64, 3) / 255.0
    wanted = (matte * colour + 1 - matte).numpy()
    assert np.abs(seen - wanted).max() < 6 / 255
    assert np.abs(seen - wanted).mean() < 2 / 255


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit of a file's size here")
def test_a_full_disk_is_told_of(tmp_path: Path) -> None:
    """No file is closed that lacks its end. In a process of its own, whose files stay small."""
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True
    )
    assert done.stdout.split() == [row.id for row in WRITABLE], done.stderr
    assert [path for path in tmp_path.rglob("*.*") if path.stat().st_size > 0] == []


_FULL = """
import resource, signal, sys
from pathlib import Path
import torch
from rmbg_nodes.core.errors import BadOption
from rmbg_nodes.tests.test_video_writing import WRITABLE, info_of
from rmbg_nodes.video.frames import CutFrame
from rmbg_nodes.video.writing.open_writer import open_writer

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
noise = torch.Generator().manual_seed(1)
for row in WRITABLE:
    folder = Path(sys.argv[1]) / row.id
    folder.mkdir()
    writer = open_writer(row, folder if row.is_sequence else folder / f"a{row.suffix}", info_of())
    try:
        for number in range(40):
            channels = 3 if row.alpha == "none" and not row.matte else 4
            picture = torch.rand(48, 64, channels, generator=noise)
            writer.write(CutFrame(number, number * 3000, 3000, picture))
        writer.close()
    except BadOption as error:
        assert "cannot be written" in str(error), error
        writer.discard()
        print(row.id)
"""


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    writer = open_writer(video_format("h264"), tmp_path / "a.mp4", info_of())
    with pytest.raises(BadPicture, match="one size"):
        writer.write(CutFrame(0, 0, 1, torch.zeros(32, 64, 3)))
    with pytest.raises(BadPicture, match="backdrop"):
        writer.write(CutFrame(0, 0, 1, torch.zeros(48, 64, 4)))
    writer.discard()
    assert not (tmp_path / "a.mp4").exists()


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="prores-4444"):
        video_format("divx")
    with pytest.raises(BadOption, match="one quality"):
        open_writer(video_format("prores-4444"), tmp_path / "a.mov", info_of(), quality=50)
    with pytest.raises(BadOption, match="1 to 100"):
        open_writer(video_format("h264"), tmp_path / "a.mp4", info_of(), quality=101)
    with pytest.raises(BadOption, match="cannot be written"):
        open_writer(video_format("h264"), tmp_path / "none" / "a.mp4", info_of())


@pytest.mark.parametrize("format", ["webm-vp9", "h264", "hevc", "matte-h264"])
def test_more_quality_is_more_bytes(format: str, tmp_path: Path) -> None:
    row = video_format(format)
    chance = torch.Generator().manual_seed(1)
    image = torch.rand(48, 64, 4 if row.alpha != "none" or row.matte else 3, generator=chance)
    sizes = []
    for quality in (1, None, 100):
        file = tmp_path / f"{quality}{row.suffix}"
        writer = open_writer(row, file, info_of(), quality=quality)
        writer.write(CutFrame(0, 0, 3003, image))
        writer.close()
        sizes.append(file.stat().st_size)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3
