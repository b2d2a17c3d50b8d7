"""Which tracks of sound and words each container carries, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import BadOption


@dataclass(frozen=True)
class Container:
    """A kind of file that holds tracks."""

    label: str
    muxer: str
    """FFmpeg's name."""
    audio: frozenset[str] | None
    """FFmpeg's names of the codecs that it carries and that players of it know; None: any."""
    subtitles: frozenset[str]
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the muxer."""
    before_zero: bool = False
    """It can hold what lies before its beginning: the run-up that a sound decoder needs."""

    def carries(self, kind: str, codec: str) -> bool:
        """Return whether a track can be copied. kind: "audio" or "subtitle"."""
        if kind == "subtitle":
            return codec in self.subtitles
        return self.audio is None or codec in self.audio


#: Decoders that PyAV names where FFmpeg's codec has another name.
_CODEC_NAMES = {
    "mp3float": "mp3",
    "mp2float": "mp2",
    "ssa": "ass",
    "srt": "subrip",
    "pgssub": "hdmv_pgs_subtitle",
    "dvdsub": "dvd_subtitle",
    "dvbsub": "dvb_subtitle",
}


def codec_name(decoder: str) -> str:
    """Return FFmpeg's name of the codec that a decoder reads."""
    return _CODEC_NAMES.get(decoder, decoder.removeprefix("lib"))


_PCM = frozenset(
    f"pcm_{kind}"
    for kind in ("s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f32be", "u8")
)
_COMPRESSED = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac"})

_MOV = Container("MOV", "mov", _COMPRESSED | _PCM, frozenset({"mov_text"}), before_zero=True)
_MP4 = Container(
    "MP4",
    "mp4",
    _COMPRESSED | {"opus", "flac"},
    frozenset({"mov_text"}),
    {"movflags": "+faststart"},
    before_zero=True,
)
_WEBM = Container("WebM", "webm", frozenset({"opus", "vorbis"}), frozenset({"webvtt"}))
_MATROSKA = Container(
    "Matroska",
    "matroska",
    None,
    frozenset({"subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"}),
)

CONTAINERS: Mapping[str, Container] = {
    ".mov": _MOV,
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".webm": _WEBM,
    ".mkv": _MATROSKA,
}


def container_of(path: Path) -> Container:
    """Return the row of a file's suffix. Raises BadOption."""
    row = CONTAINERS.get(path.suffix.lower())
    if row is None:
        raise BadOption(f"{path.name} ends in none of {', '.join(CONTAINERS)}; choose one of them.")
    return row
