"""What is printed never steers the terminal, whatever the names of files and providers hold."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOWrapper
from typing import TextIO, cast

# C0, C1, DEL, line separators, and what turns the order of reading. As in JSON, so that JSON which
# is printed stays JSON.
_STEERING = (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_AS_TEXT = {code: f"\\u{code:04x}" for code in _STEERING}
_BUT_LAYOUT = {code: text for code, text in _AS_TEXT.items() if chr(code) not in "\t\n"}


def in_one_line(text: str) -> str:
    """The text with every control character shown, as a cell of a table."""
    return text.translate(_AS_TEXT)


@contextmanager
def harmless() -> Iterator[None]:
    """Inside it, text on stdout and stderr shows control characters (\\u001b) and never sends them.
    Bytes pass as they are. A bar may go back to the beginning of its line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a file name may hold what the console cannot show
            stream.reconfigure(errors="backslashreplace")
    out, err = (cast("TextIO", _Harmless(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        yield


class _Harmless:
    """The stream, but for what is written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        back = text[:1] if text.startswith("\r") else ""
        return self._stream.write(back + text[len(back) :].translate(_BUT_LAYOUT))
