"""What can be asked of a host's model for whole videos, of all that can be asked for a video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from ...catalogue.hosted_videos import CODECS
from ...core.errors import BadOption
from ...core.specs import BackendSpec
from ..video_options import VideoOptions

#: Our formats -> the codecs that hosts write in their place.
_FORMATS: Mapping[str, str] = {"webm-vp9": "webm_vp9", "prores-4444": "mov_proresks"}


def codec_for(out: Path, format: str | None) -> str:
    """Return the codec to ask for, by our format or by how the result is called.

    Raises BadOption where no host writes such a thing.
    """
    if format is not None:
        codec = _FORMATS.get(format)
        wanted = f"the format {format}"
    else:
        codec = next((name for name, end in CODECS.items() if end == out.suffix.lower()), None)
        wanted = out.name
    if codec is None:
        raise BadOption(
            f"{wanted} is nothing that a host's model for whole videos writes with transparency. "
            f"End the result's name in {', '.join(CODECS.values())}, or choose a backend for "
            "pictures, which works frame by frame."
        )
    return codec


def check_whole(spec: BackendSpec, options: VideoOptions, usual: VideoOptions) -> None:
    """Raise BadOption for what is done frame by frame, and so not by this model. usual: what holds
    where nothing is asked for."""
    names = [
        field.name
        for field in fields(options)
        if field.name != "format" and getattr(options, field.name) != getattr(usual, field.name)
    ]
    if names:
        raise BadOption(
            f"{spec.id} works on whole videos at a host, so {', '.join(names)} cannot be asked of "
            "it. Leave that out, or choose a backend for pictures, which works frame by frame."
        )
