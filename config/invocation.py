"""How a user of this very installation types a command of ours."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

DISTRIBUTION = "rmbg-nodes"

_PLAIN = re.compile(r"[\w.:\\/+=@-]+")  # what no shell of Windows looks at


def command(fixed: str, *values: str) -> str:
    """Return the line that runs `rmbg <fixed> <values>` here; the values may come from anywhere.

    Where the package is installed that is the plain command. In a folder that ComfyUI loads by path
    there is no `rmbg`, so the line names the interpreter and the folder.
    """
    end = ["--"] if any(value.startswith("-") for value in values) else []
    arguments = [fixed, *end, *map(quoted, values)]
    if __name__.partition(".")[0] == "rmbg_nodes" and _installed():
        return " ".join(["rmbg", *arguments])
    program = (sys.executable, str(Path(__file__).resolve().parent.parent))
    return " ".join([*map(quoted, program), *arguments])


def quoted(word: str, *, windows: bool = os.name == "nt") -> str:
    """Quote the word as a shell takes it for one argument, on one line, and runs nothing in it.

    With control characters it has the form $'a\\012b', which bash, zsh and ksh read back; where
    only double quotes are known (windows) they become "?".
    """
    if windows:
        # Quotes, also where no blank asks for them: the blank before it does, and goes again.
        plain = "".join(sign if sign.isprintable() else "?" for sign in word)
        safe = _PLAIN.fullmatch(plain)
        return plain if safe else f'"{subprocess.list2cmdline([f" {plain}"])[2:]}'
    if word.isprintable():
        return shlex.quote(word)
    data = word.encode("utf-8", "surrogateescape")
    return "$'" + "".join(map(_as_octal, data)) + "'"


def _as_octal(byte: int) -> str:
    """Write a byte as octal, a quote too: a shell that does not know the form still finds the end
    of the word."""
    return chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\" else f"\\{byte:03o}"


def _installed() -> bool:
    try:
        importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
