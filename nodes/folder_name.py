"""Whether ComfyUI can serve files from this pack's folder under the name that it has."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from urllib.parse import quote

FOLDER = Path(__file__).parent.parent.name

# What stays as it is in an address's path. ComfyUI's server compares the other signs quoted with
# unquoted ones, and never finds the file.
_KEPT = "!$&'()*+,/:;=@~"
# The frontend takes what stands before these signs for the folder when it looks for a help page.
_CUT = re.compile("[.@]")

_log = logging.getLogger("rmbg_nodes")


def say_what_is_not_served(name: str = FOLDER) -> None:
    """Write one line into the log where the folder's name keeps something from the user."""
    missing = not_served(name)
    if missing:
        _log.warning(
            "The folder's name %r keeps %s from you: ComfyUI does not find them. Rename the folder "
            "to %s and start ComfyUI again.",
            name,
            missing,
            plain_name(name),
        )


def not_served(name: str) -> str:
    """What ComfyUI does not find in a folder of custom_nodes with this name; empty where it finds
    everything. The files of its page the pack serves itself then (web_folder.py)."""
    has_pages = not _CUT.search(name)
    if is_served(name):
        return "" if has_pages else "this pack's help pages"
    pages = "" if has_pages else ", and its help pages,"
    return f"this pack's templates and thumbnails{pages}"


def is_served(name: str) -> bool:
    """Say whether ComfyUI's server finds files in a folder with this name."""
    return quote(name, safe=_KEPT) == name


def plain_name(name: str) -> str:
    """Return the same with hyphens for every sign that is no letter of ASCII, digit, - or _."""
    return re.sub("[^A-Za-z0-9_-]+", "-", name).strip("-") or "rmbg-nodes"
