"""What commands print alike: sentences and tables, which never steer the terminal, whatever the
names of files and providers hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOWrapper
from typing import TextIO, cast

# C0, C1, DEL, line separators, and what turns the order of reading. As in JSON, so that JSON which
# is printed stays JSON.
_STEERING = (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_AS_TEXT = {code: f"\\u{code:04x}" for code in _STEERING}
_BUT_LAYOUT = {code: text for code, text in _AS_TEXT.items() if chr(code) not in "\t\n"}


def say(*sentences: str) -> None:
    """Print sentences to stderr, each as a line of this program's; stdout is for results."""
    for sentence in sentences:
        print(f"rmbg: {sentence}", file=sys.stderr)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line for each row, its columns as wide as their widest word."""
    rows = [[word.translate(_AS_TEXT) for word in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table for a page of the documentation."""
    cells = ([cell.replace("|", "\\|") for cell in row] for row in (heading, *rows))
    first, *others = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([first, "|" + "---|" * len(heading), *others])


@contextmanager
def harmless() -> Iterator[None]:
    """Show control characters in text on stdout and stderr (\\u001b) instead of sending them. Bytes
    pass as they are. A bar may go back to the beginning of its line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a file name may hold what the console cannot show
            stream.reconfigure(errors="backslashreplace")
    out, err = (cast("TextIO", _Harmless(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        yield


class _Harmless:
    """A stream that shows control characters in what is written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        back = text[:1] if text.startswith("\r") else ""
        return self._stream.write(back + text[len(back) :].translate(_BUT_LAYOUT))
