"""What is known of a format that videos are written in, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from ..frames import Colours, VideoInfo

VideoFormatId: TypeAlias = Literal[
    "prores-4444",
    "webm-vp9",
    "png",
    "webp",
    "exr",
    "webp-animated",
    "h264",
    "hevc",
    "matte-h264",
    "matte-prores",
]
Alpha: TypeAlias = Literal["straight", "premultiplied", "none"]
Carries: TypeAlias = Literal["alpha", "audio", "subtitles", "timestamps"]


#: Those that every format can name; pixels of others, and of RGB, become bt709's.
_WRITTEN_MATRICES = ("bt709", "bt601", "bt2020nc")


@dataclass(frozen=True)
class Quality:
    """What a quality of 1..100 means to an encoder."""

    option: str
    """Its name of the setting: "crf", "quality"."""
    worst: int
    """Its value at 1."""
    best: int
    """Its value at 100."""
    usual: int
    """Its value where none is chosen."""

    def value(self, quality: int | None) -> int:
        """Return the encoder's value for a quality of 1..100."""
        if quality is None:
            return self.usual
        return round(self.worst + (self.best - self.worst) * (quality - 1) / 99)


@dataclass(frozen=True)
class VideoFormat:
    """A way to write a video."""

    id: VideoFormatId
    label: str
    suffix: str
    """Of the file; of each picture where it is a sequence."""
    purpose: str
    """In one line, for people who choose."""
    container: str
    """FFmpeg's name of the muxer; empty for a sequence: one file a picture, in a folder."""
    codec: str
    """FFmpeg's name of the encoder; of a sequence the id of the picture format."""
    pixel_formats: Mapping[int, str]
    """FFmpeg's names by bits of a sample; of a sequence without meaning."""
    alpha: Alpha
    carries: frozenset[Carries]
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the encoder."""
    container_options: Mapping[str, str] = field(default_factory=dict)
    """Of the muxer."""
    clock_option: str = ""
    """The muxer's option for steps a second of its own clock, to which it would round the moment of
    a segment's first frame."""
    quality: Quality | None = None
    """None: it has one quality."""
    tag: str = ""
    """The codec's name in the container, where the muxer's own choice opens in fewer programs; a
    file that is made of copied packets needs it, too."""
    colour_filter: str = ""
    """FFmpeg's filter that writes the colours' names into each picture, where the encoder does
    not."""
    lossy: bool = False
    """Samples are not kept exactly."""
    most_frames: int | None = None
    """How many it may have; None: any number."""
    closed_segments: bool = True
    """Segments written one by one can be joined; False: the whole is written at once."""
    matte: bool = False
    """The alpha is written, as opaque gray, and not the colours."""
    even: bool = False
    """Sides are even: the last column or row is repeated where they are not."""
    square_pixels: bool = False
    """It cannot say that pixels are wider than high: pictures are stretched to square ones."""
    full_range: bool = True
    """It can hold samples of full range; else they become 16..235."""
    time_step: float = 0.0
    """Seconds to which the container rounds timestamps; 0: it keeps them."""

    @property
    def is_sequence(self) -> bool:
        """Whether it is a folder with one file a picture."""
        return not self.container

    @property
    def is_rgb(self) -> bool:
        """Whether samples are R'G'B'."""
        return not any(name.startswith("yuv") for name in self.pixel_formats.values())

    @property
    def needs_extended(self) -> bool:
        """Whether the colours beneath alpha 0 are seen: what is lossy lets them ring into the
        edge, so the subject's colours go on there (`cutout` with `extended`)."""
        return self.alpha == "straight" and self.lossy

    def bits(self, wanted: int) -> int:
        """Return the bits of a sample that this format uses for a source of so many."""
        depths = sorted(self.pixel_formats)
        return next((depth for depth in depths if depth >= wanted), depths[-1])


def written_size(format: VideoFormat, info: VideoInfo) -> tuple[int, int]:
    """Return the width and height of the video that a source becomes in this format."""
    width, height = info.width, info.height
    if format.square_pixels and info.pixel_aspect > 1:
        width = round(width * info.pixel_aspect)
    elif format.square_pixels:
        height = round(height / info.pixel_aspect)
    if format.even:
        return width + width % 2, height + height % 2
    return width, height


def written_colours(format: VideoFormat, colours: Colours) -> Colours:
    """Return how the samples of a video in this format stand for colours: as the source's do, as
    far as the format can."""
    if format.is_rgb:
        return replace(colours, matrix="rgb", full_range=True)
    return Colours(
        matrix=colours.matrix if colours.matrix in _WRITTEN_MATRICES else "bt709",
        full_range=colours.full_range and format.full_range and colours.matrix != "rgb",
        primaries=colours.primaries,
        transfer=colours.transfer,
    )
