"""ComfyUI's workflow in a picture file, where its frontend finds it again.

In PNG the text chunks "prompt" and "workflow", in WebP the EXIF tags Model, Make and those below
it, each "name:JSON", as ComfyUI's own nodes write them. ComfyUI reads no workflow from a JPEG.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from PIL import Image

from .metadata import Metadata

NAMES = ("prompt", "workflow")
_MODEL, _MAKE = 0x0110, 0x010F
_LONGEST_KEYWORD = 79


def with_workflow(metadata: Metadata, texts: Mapping[str, str]) -> Metadata:
    """The same, and a workflow: name -> JSON, "prompt" and whatever else the frontend sent along.

    Names that are no PNG keyword are left out, and where a name is taken, what was there stays.
    """
    usable = {
        name: text
        for name, text in texts.items()
        if name.isascii() and name.isprintable() and 0 < len(name) <= _LONGEST_KEYWORD
    }
    exif = Image.Exif()
    others = [name for name in usable if name != "prompt"]
    tags = {_MAKE - index: name for index, name in enumerate(others)}
    if "prompt" in usable:
        tags[_MODEL] = "prompt"
    for tag, name in tags.items():
        exif[tag] = f"{name}:{usable[name]}"
    return replace(
        metadata, texts={**usable, **metadata.texts}, exif=exif.tobytes() if tags else b""
    )


def has_workflow(metadata: Metadata) -> bool:
    """Whether a file holds one."""
    return any(name in metadata.texts or f"{name}:".encode() in metadata.exif for name in NAMES)
