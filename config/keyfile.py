"""The user's key file: readable by the user alone, and never half written.

    {"version": 1, "profiles": {"default": {"FAL_KEY": "..."}}}

No message quotes it, and no exception of a parser, which would hold its text, is passed on.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, TypeGuard

from ..core.errors import BadOption, KeyMissing
from .invocation import quoted
from .private_files import write_private

Profiles: TypeAlias = "Mapping[str, Mapping[str, str]]"

KEY_FILE = "keys.json"

_VERSION = 1


def read_profiles(path: Path) -> Profiles:
    """Read profile -> variable -> value; empty where there is no file.

    Raises KeyMissing for a file that others can read, or that is not what this package writes.
    """
    try:
        with path.open("rb") as file:
            _check_private(path, os.fstat(file.fileno()))
            text = file.read()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or "no such place"
        raise KeyMissing(
            f"The key file {path} cannot be read ({reason}). Give yourself the right to read it, "
            "or set the key in the environment."
        ) from error
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        held = None
    version = held.get("version") if isinstance(held, dict) else None
    if isinstance(version, int) and version > _VERSION:
        raise KeyMissing(f"The key file {path} was written by a newer version; update this one.")
    profiles = held.get("profiles") if isinstance(held, dict) else None
    if version != _VERSION or not _are_profiles(profiles):
        raise KeyMissing(
            f"The key file {path} is damaged and was left as it is. Correct it, or delete it and "
            "set your keys again."
        )
    return profiles


def write_profiles(path: Path, profiles: Profiles) -> None:
    """Write the file as a whole or not at all, for the user alone.

    Raises BadOption when the place cannot be written.
    """
    text = json.dumps({"version": _VERSION, "profiles": profiles}, indent=2)
    try:
        write_private(path, f"{text}\n".encode())
    except OSError as error:
        reason = error.strerror or "no such place"
        raise BadOption(
            f"{path} cannot be written ({reason}). Set the key in the environment instead."
        ) from error


def _check_private(path: Path, status: os.stat_result) -> None:
    """Refuse a file that others can read. Windows has no such modes, and keeps the folder
    private."""
    if os.name == "posix" and stat.S_IMODE(status.st_mode) & 0o077:
        raise KeyMissing(
            f"The key file {path} can be read or changed by others, so it is not used. "
            f"Run: chmod 600 {quoted(str(path))}"
        )


def _are_profiles(value: object) -> TypeGuard[Profiles]:
    return isinstance(value, dict) and all(
        isinstance(held, dict) and all(isinstance(one, str) for one in held.values())
        for held in value.values()
    )
