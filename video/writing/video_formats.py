"""The formats that videos are written in, one row each; the command line and the docs read them."""

from __future__ import annotations

from ...core.errors import BadOption
from .video_format_row import (
    Carries,
    Quality,
    VideoFormat,
    VideoFormatId,
    written_colours,
    written_size,
)

__all__ = [
    "VIDEO_FORMATS",
    "Quality",
    "VideoFormat",
    "VideoFormatId",
    "video_format",
    "written_colours",
    "written_size",
]

_ALL: frozenset[Carries] = frozenset({"alpha", "audio", "subtitles", "timestamps"})
_FILM = _ALL - {"alpha"}
_X265 = {"x265-params": "bframes=0:open-gop=0:log-level=error", "preset": "medium"}
#: No frame refers to a later one, so that decoding times are those of display and closed segments
#: join whatever their frame rate.
_X264 = {"bf": "0", "preset": "medium"}
#: Profiles by their numbers: 4444 and HQ have names in some versions only.
_PRORES = {"vendor": "apl0"}

VIDEO_FORMATS: tuple[VideoFormat, ...] = (
    VideoFormat(
        id="prores-4444",
        label="ProRes 4444",
        suffix=".mov",
        purpose="with alpha, for Premiere, Resolve, Final Cut and After Effects",
        container="mov",
        clock_option="movie_timescale",
        codec="prores_ks",
        pixel_formats={10: "yuva444p10le"},
        alpha="straight",
        carries=_ALL,
        options={**_PRORES, "profile": "4", "alpha_bits": "16"},
        tag="ap4h",
        lossy=True,
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
        square_pixels=True,
        lossy=True,
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
        id="webp",
        label="WebP sequence",
        suffix=".webp",
        purpose="with alpha, one picture a frame, a tenth of the size of PNG",
        container="",
        codec="webp",
        pixel_formats={8: "bgra"},
        alpha="straight",
        carries=frozenset({"alpha"}),
        quality=Quality("quality", worst=1, best=100, usual=90),
        square_pixels=True,
        lossy=True,
    ),
    VideoFormat(
        id="exr",
        label="OpenEXR sequence",
        suffix=".exr",
        purpose="with alpha, linear light in half floats, for Nuke, Fusion, Blender and others",
        container="",
        codec="exr",
        pixel_formats={16: "gbrapf32le"},
        alpha="premultiplied",
        carries=frozenset({"alpha"}),
    ),
    VideoFormat(
        id="webp-animated",
        label="animated WebP",
        suffix=".webp",
        purpose="with alpha, for clips of a few seconds: plays where pictures are shown",
        container="webp",
        codec="libwebp_anim",
        pixel_formats={8: "bgra"},
        alpha="straight",
        carries=frozenset({"alpha", "timestamps"}),
        container_options={"loop": "0"},
        quality=Quality("quality", worst=1, best=100, usual=80),
        square_pixels=True,
        lossy=True,
        most_frames=600,
        closed_segments=False,
        time_step=0.001,
    ),
    VideoFormat(
        id="h264",
        label="H.264",
        suffix=".mp4",
        purpose="opaque, on a new background, plays everywhere",
        container="mp4",
        clock_option="movie_timescale",
        codec="libx264",
        pixel_formats={8: "yuv420p"},
        alpha="none",
        carries=_FILM,
        lossy=True,
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
        clock_option="movie_timescale",
        codec="libx265",
        pixel_formats={8: "yuv420p", 10: "yuv420p10le"},
        alpha="none",
        carries=_FILM,
        lossy=True,
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
        clock_option="movie_timescale",
        codec="libx264",
        pixel_formats={8: "yuv420p"},
        alpha="none",
        carries=_FILM,
        lossy=True,
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
        clock_option="movie_timescale",
        codec="prores_ks",
        pixel_formats={10: "yuv422p10le"},
        alpha="none",
        carries=_FILM,
        lossy=True,
        options={**_PRORES, "profile": "3"},
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
