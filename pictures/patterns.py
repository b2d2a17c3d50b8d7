"""What an argument that names no file may be: a pattern, or an address."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

# Two letters at least: one is a drive of Windows.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def split_pattern(argument: str) -> tuple[Path, tuple[str, ...]]:
    """The folder that is there as it stands, and the names behind it, from the first wildcard on.

    A folder's own name is none, though it may read like one: in `shots [2]/*.jpg` the folder is
    `shots [2]`.
    """
    parts = Path(argument).parts
    base, used = Path(), 0
    last = max((n for n, part in enumerate(parts) if glob.has_magic(part)), default=0)
    while used < len(parts) and (
        os.path.isdir(base / parts[used]) or (used < last and not glob.has_magic(parts[used]))
    ):
        base, used = base / parts[used], used + 1
    return base, parts[used:]


def is_pattern(argument: str) -> bool:
    """Whether wildcards stand behind the folder that is there."""
    return any(map(glob.has_magic, split_pattern(argument)[1]))


NOT_FETCHED = "is an address, and addresses are not fetched; download the picture and name its file"


def address(argument: str) -> str:
    """An address such as https://host/shoe.jpg, without what may be secret in it (user, query,
    fragment); empty where it is none."""
    if not _SCHEME.match(argument.strip()):
        return ""
    scheme, _, rest = argument.strip().partition("://")
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
