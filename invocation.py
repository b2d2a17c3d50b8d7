"""How a user of this very installation types a command of ours."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import subprocess
import sys
from pathlib import Path

DISTRIBUTION = "rmbg-nodes"


def command(arguments: str) -> str:
    """The line that runs `rmbg <arguments>` here.

    Where the package is installed that is the plain command. In a folder that ComfyUI loads by path
    there is no `rmbg`, so the line names the interpreter and the folder.
    """
    if __package__ == "rmbg_nodes" and _installed():
        return f"rmbg {arguments}"
    prefix = [sys.executable, str(Path(__file__).resolve().parent)]
    quoted = subprocess.list2cmdline(prefix) if os.name == "nt" else shlex.join(prefix)
    return f"{quoted} {arguments}"


def _installed() -> bool:
    try:
        importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
