"""The formats that videos are written in, one row each; the command line and the docs read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..core.errors import BadOption
from .frames import Colours, VideoInfo

VideoFormatId: TypeAlias = Literal[
    "prores-4444",
    "webm-vp9",
    "png",
    "h264",
    "hevc",
    "matte-h264",
    "matte-prores",
]
Alpha: TypeAlias = Literal["straight", "premultiplied", "none"]
Carries: TypeAlias = Literal["alpha", "audio", "subtitles", "timestamps"]


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
    quality: Quality | None = None
    """None: it has one quality."""
    tag: str = ""
    """The codec's name in the container, where the muxer's own choice opens in fewer programs; a
    file that is made of copied packets needs it, too."""
    colour_filter: str = ""
    """FFmpeg's filter that writes the colours' names into each picture, where the encoder does
    not."""
    matte: bool = False
    """The alpha is written, as opaque gray, and not the colours."""
    even: bool = False
    """Sides are even: the last column or row is repeated where they are not."""
    full_range: bool = True
    """It can hold samples of full range; else they become 16..235."""
    time_step: float = 0.0
    """Seconds to which the container rounds timestamps; 0: it keeps them."""

    @property
    def is_sequence(self) -> bool:
        """Whether it is a folder with one file a picture."""
        return not self.container

    @property
    def needs_extended(self) -> bool:
        """Whether the colours beneath alpha 0 are seen: what is lossy lets them ring into the
        edge, so the subject's colours go on there (`cutout` with `extended`)."""
        return self.alpha == "straight" and not self.is_sequence

    def bits(self, wanted: int) -> int:
        """Return the bits of a sample that this format uses for a source of so many."""
        depths = sorted(self.pixel_formats)
        return next((depth for depth in depths if depth >= wanted), depths[-1])


_ALL: frozenset[Carries] = frozenset({"alpha", "audio", "subtitles", "timestamps"})
_FILM = _ALL - {"alpha"}
_X265 = {"x265-params": "bframes=0:open-gop=0:log-level=error", "preset": "medium"}
#: No frame refers to a later one, so that decoding times are those of display and closed segments
#: join whatever their frame rate.
_X264 = {"bf": "0", "preset": "medium"}
_PRORES = {"vendor": "apl0"}

VIDEO_FORMATS: tuple[VideoFormat, ...] = (
    VideoFormat(
        id="prores-4444",
        label="ProRes 4444",
        suffix=".mov",
        purpose="with alpha, for Premiere, Resolve, Final Cut and After Effects",
        container="mov",
        codec="prores_ks",
        pixel_formats={10: "yuva444p10le"},
        alpha="straight",
        carries=_ALL,
        options={**_PRORES, "profile": "4444", "alpha_bits": "16"},
        tag="ap4h",
        colour_filter="prores_metadata",
        full_range=False,
    ),
    VideoFormat(
        id="webm-vp9",
        label="WebM (VP9)",
        suffix=".webm",
        purpose="with alpha, small, for web pages: Chrome, Edge and Firefox",
        container="webm",
        codec="libvpx-vp9",
        pixel_formats={8: "yuva420p"},
        alpha="straight",
        carries=frozenset({"alpha", "audio", "subtitles", "timestamps"}),
        options={
            "b": "0",
            "deadline": "good",
            "cpu-used": "4",
            "row-mt": "1",
            "auto-alt-ref": "0",
            "lag-in-frames": "0",
        },
        quality=Quality("crf", worst=56, best=6, usual=20),
        time_step=0.001,
    ),
    VideoFormat(
        id="png",
        label="PNG sequence",
        suffix=".png",
        purpose="with alpha, lossless, one picture a frame, for any program",
        container="",
        codec="png",
        pixel_formats={8: "rgba", 16: "rgba64be"},
        alpha="straight",
        carries=frozenset({"alpha"}),
    ),
    VideoFormat(
        id="h264",
        label="H.264",
        suffix=".mp4",
        purpose="opaque, on a new background, plays everywhere",
        container="mp4",
        codec="libx264",
        pixel_formats={8: "yuv420p"},
        alpha="none",
        carries=_FILM,
        options=_X264,
        quality=Quality("crf", worst=40, best=8, usual=18),
        even=True,
    ),
    VideoFormat(
        id="hevc",
        label="HEVC",
        suffix=".mp4",
        purpose="opaque, on a new background, smaller than H.264, 8 or 10 bits",
        container="mp4",
        codec="libx265",
        pixel_formats={8: "yuv420p", 10: "yuv420p10le"},
        alpha="none",
        carries=_FILM,
        options=_X265,
        quality=Quality("crf", worst=42, best=10, usual=20),
        tag="hvc1",
        even=True,
    ),
    VideoFormat(
        id="matte-h264",
        label="Matte, H.264",
        suffix=".mp4",
        purpose="the alpha alone as an opaque gray video, beside the original; plays everywhere",
        container="mp4",
        codec="libx264",
        pixel_formats={8: "yuv420p"},
        alpha="none",
        carries=_FILM,
        options=_X264,
        quality=Quality("crf", worst=40, best=4, usual=14),
        matte=True,
        even=True,
        full_range=False,
    ),
    VideoFormat(
        id="matte-prores",
        label="Matte, ProRes 422 HQ",
        suffix=".mov",
        purpose="the alpha alone as an opaque gray video of 10 bits, for editors",
        container="mov",
        codec="prores_ks",
        pixel_formats={10: "yuv422p10le"},
        alpha="none",
        carries=_FILM,
        options={**_PRORES, "profile": "hq"},
        tag="apch",
        colour_filter="prores_metadata",
        matte=True,
        even=True,
        full_range=False,
    ),
)


def video_format(id: str) -> VideoFormat:
    """Return the row with this id. Raises BadOption for another."""
    found = next((row for row in VIDEO_FORMATS if row.id == id), None)
    if found is None:
        ids = ", ".join(row.id for row in VIDEO_FORMATS)
        raise BadOption(f"There is no video format {id!r}; choose one of {ids}.")
    return found


def written_size(format: VideoFormat, info: VideoInfo) -> tuple[int, int]:
    """Return the width and height of the video that a source becomes in this format."""
    if not format.even:
        return info.width, info.height
    return info.width + info.width % 2, info.height + info.height % 2


def written_colours(format: VideoFormat, colours: Colours) -> Colours:
    """Return how the samples of a video in this format stand for colours: as the source's do, as
    far as the format can."""
    of_rgb = colours.matrix == "rgb"
    return Colours(
        matrix="bt709" if of_rgb else colours.matrix,
        full_range=colours.full_range and format.full_range and not of_rgb,
        primaries=colours.primaries,
        transfer=colours.transfer,
    )
