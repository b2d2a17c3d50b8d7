"""Jobs that nobody knows of: a journal that was damaged or taken away may have listed some.

A file beside the journal says so, for every process and after every crash, until the user goes on
without them. It is written before the damaged journal is put aside.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..config.invocation import command
from ..config.private_files import sync_names

_FILE = "unknown-jobs.txt"


def note(folder: Path, sentence: str) -> None:
    """Say durably what has happened. Raises OSError."""
    file = os.open(folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{sentence}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
    sync_names([folder])


def sentence(folder: Path) -> str:
    """What has happened, and how to go on; empty when every job is known."""
    happened = _happened(folder)
    return happened and (
        f"{happened} No picture is sent to a provider while it may have been paid for before: look "
        f"at your provider's jobs, then go on without the lost list with "
        f"`{command('pending --adopt')}`."
    )


def adopt(folder: Path) -> str:
    """Go on without them; returns what had happened, empty when every job is known. Raises
    OSError."""
    happened = _happened(folder)
    if happened:
        os.unlink(folder / _FILE)
        sync_names([folder])
    return happened


def _happened(folder: Path) -> str:
    try:
        said = (folder / _FILE).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"{folder / _FILE} cannot be read ({error.strerror})."
    return " ".join(said.split()) or "Jobs that were listed earlier are not known any more."
