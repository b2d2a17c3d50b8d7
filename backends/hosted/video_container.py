"""What a file of video is, by its first bytes: what its upload is called, and whether an answer is
one at all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .alpha_file import looks_like

#: So many bytes tell.
HEAD = 4096


@dataclass(frozen=True)
class Container:
    """One kind of video file."""

    suffix: str
    content_type: str
    form: re.Pattern[bytes]
    """Of its first bytes."""


_CONTAINERS = (
    Container(".mov", "video/quicktime", re.compile(rb"....ftypqt  |....(?:moov|mdat|wide)", re.S)),
    Container(".mp4", "video/mp4", re.compile(rb"....ftyp(?!avi[fs]|heic|heix|mif1)", re.S)),
    Container(".webm", "video/webm", re.compile(rb"\x1aE\xdf\xa3.{0,60}?webm", re.S)),
    Container(".mkv", "video/x-matroska", re.compile(rb"\x1aE\xdf\xa3", re.S)),
    Container(".avi", "video/x-msvideo", re.compile(rb"RIFF....AVI ", re.S)),
)


def container_of(head: bytes) -> Container | None:
    """Return the kind of video file that begins like this; None for anything else."""
    return next((kind for kind in _CONTAINERS if kind.form.match(head)), None)


def not_a_video(head: bytes) -> str:
    """Say what a file is that begins like this and is no video."""
    return looks_like(head) if head.strip() else "nothing, for it is empty"
