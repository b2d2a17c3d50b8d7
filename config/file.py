"""The user's settings file: what stands in it, as the environment variables that it stands in for.

A key is its variable without RMBG_, in small letters: `offline = true` is RMBG_OFFLINE=1. The one
thing that no variable can say are `[[weights]]` rows. Nothing secret is taken from this file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import get_args

from ..catalogue.licences import DataTerms, OwnWeights
from ..core.errors import BadOption
from .invocation import command
from .toml import looks_secret, parse_toml

FILE_NAME = "settings.toml"
PREFIX = "RMBG_"

_WEIGHTS = "weights"
_DATA_TERMS = "data_terms"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SettingsFile:
    """What stands in the file."""

    path: Path
    values: Mapping[str, str] = field(default_factory=dict)
    """Variable -> text, as the environment would hold it."""
    weights: Mapping[str, OwnWeights] = field(default_factory=dict)
    """sha256 -> what the user says of that file."""
    exists: bool = True
    """False where nothing was read."""


def key_of(variable: str) -> str:
    """Return what a variable is called in the file."""
    return variable.removeprefix(PREFIX).lower()


def may_hold_key(text: str) -> bool:
    """Return whether a value should not be shown: it may be a key in the wrong variable, or hold
    one in the name of a folder."""
    return looks_secret(text) or any(map(looks_secret, re.split(r"[\\/:;]", text)))


def read_settings_file(path: Path, *, required: bool) -> SettingsFile:
    """Read the file as it is now, parsed once for each of its versions.

    required: a file that is not there is a mistake. Raises BadOption for that, for one that cannot
    be read, and for what no setting can be: pins that silently do not hold would be worse than no
    run. Whether the keys and values mean something is for `settings.check_file`.
    """
    try:
        now = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if not required:
            return SettingsFile(path, exists=False)
        raise BadOption(
            f"There is no settings file {path}. Make it with `{command('config init')}`, or unset "
            "the variable that names it."
        ) from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return _parsed(path, now.st_mtime_ns, now.st_size, now.st_ino)


@lru_cache(maxsize=4)
def _parsed(path: Path, *version: int) -> SettingsFile:
    del version  # only a part of the cache's key
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    # Amounts of money stay as they are written.
    table = parse_toml(data, f"The settings file {path}", parse_float=str)
    try:
        weights = _rows(table.pop(_WEIGHTS, []))
        values = {PREFIX + key.upper(): _text(key, value) for key, value in table.items()}
    except BadOption as error:
        raise BadOption(f"{path}: {error}") from error
    return SettingsFile(path, values, weights)


def _unreadable(path: Path, error: Exception) -> BadOption:
    reason = getattr(error, "strerror", None) or "no such place"
    return BadOption(
        f"The settings file {path} cannot be read ({reason}), and what it pins would not hold. "
        f"Give yourself the right to read it, or name another with {PREFIX}SETTINGS."
    )


def _text(key: str, value: object) -> str:
    """Write a value as its variable: switches as 1 and 0, lists like PATH, tables as NAME=VALUE."""
    text: str | None = None
    if isinstance(value, bool):
        text = "1" if value else "0"
    elif isinstance(value, (str, int)):
        text = str(value)
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        text = os.pathsep.join(value)
    elif isinstance(value, dict) and all(isinstance(one, (str, int)) for one in value.values()):
        text = ",".join(f"{name}={one}" for name, one in value.items())
    if text is None or not text.isprintable():
        raise BadOption(f"{key} has a value that no setting takes; write a text, number or switch.")
    return text


def _rows(given: object) -> dict[str, OwnWeights]:
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        raise BadOption("weights must be written as [[weights]], one for each file.")
    rows: dict[str, OwnWeights] = {}
    for number, row in enumerate(given, 1):
        own = _row(f"[[weights]] number {number}", row)
        if own.sha256 in rows:
            raise BadOption(f"two [[weights]] have the sha256 {own.sha256}; keep one.")
        rows[own.sha256] = own
    return rows


def _row(where: str, row: Mapping[str, object]) -> OwnWeights:
    names = [one.name for one in fields(OwnWeights) if one.name != _DATA_TERMS]
    if set(row) - {_DATA_TERMS} != set(names):
        raise BadOption(
            f"{where} must have exactly: {', '.join(names)}; {_DATA_TERMS} is optional."
        )
    data_terms = next((one for one in get_args(DataTerms) if one == row.get(_DATA_TERMS)), None)
    if _DATA_TERMS in row and data_terms is None:
        raise BadOption(f"{where}: {_DATA_TERMS} must be {', '.join(get_args(DataTerms))}.")
    commercial = row["commercial"]
    if not isinstance(commercial, bool):
        raise BadOption(f"{where}: commercial must be true or false.")
    texts = {name: str(row[name]).strip() for name in names if name != "commercial"}
    for name, text in texts.items():
        if not isinstance(row[name], str) or not text or not text.isprintable():
            raise BadOption(f"{where}: {name} must be a text of one line.")
    sha256 = texts["sha256"].lower()
    if not _SHA256.fullmatch(sha256):
        raise BadOption(
            f"{where}: sha256 must be 64 hexadecimal digits; `{command('weights verify FILE')}` "
            "prints them."
        )
    own = {**texts, "sha256": sha256}
    return OwnWeights(**own, commercial=commercial, data_terms=data_terms or "unknown")
