"""sha256 of weight files, computed once and remembered by path, size and time."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from ...core.errors import WeightsUnusable

_CHUNK = 1 << 22
_FILE = "weights-sha256.json"

# Path -> size, modification time in nanoseconds, sha256.
_Memory: TypeAlias = "dict[str, tuple[int, int, str]]"


def sha256_of(path: Path, data_folder: Path, *, anew: bool = False) -> str:
    """The file's sha256, from memory while its size and time are the same.

    anew: read the file whatever is remembered. Raises WeightsUnusable when it cannot be read.
    """
    known = None if anew else remembered(path, data_folder)
    if known is not None:
        return known
    sha256 = digest(path)
    remember(path, sha256, data_folder)
    return sha256


def digest(path: Path) -> str:
    """The file's sha256, read now. Raises WeightsUnusable when it cannot be read."""
    sha256 = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
    except OSError as error:
        raise WeightsUnusable(
            f"{path} cannot be read ({error.strerror}). Check its permissions and the disk."
        ) from error
    return sha256.hexdigest()


def remember(path: Path, sha256: str, data_folder: Path) -> None:
    """Keep a sha256 until the file's size or time changes.

    Whole or not at all. A folder that cannot be written to costs only the next reading.
    """
    part = data_folder / f".rmbg-{secrets.token_hex(8)}.part"
    with suppress(OSError):
        now = path.stat()
        memory = _load(data_folder)
        memory[os.path.realpath(path)] = (now.st_size, now.st_mtime_ns, sha256)
        data_folder.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(json.dumps(memory, indent=1), encoding="utf-8")
            os.replace(part, data_folder / _FILE)
        finally:
            part.unlink(missing_ok=True)


def remembered(path: Path, data_folder: Path) -> str | None:
    """The sha256 of an earlier reading; None when there was none or the file has changed since."""
    entry = _load(data_folder).get(os.path.realpath(path))
    try:
        now = path.stat()
    except OSError:
        return None
    if entry is None or entry[:2] != (now.st_size, now.st_mtime_ns):
        return None
    return entry[2]


def _load(data_folder: Path) -> _Memory:
    """Nothing, when there is no file or it is not one of ours: then files are read again."""
    try:
        content = json.loads((data_folder / _FILE).read_text(encoding="utf-8"))
        return {
            str(path): (int(size), int(time), str(sha256))
            for path, (size, time, sha256) in content.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
