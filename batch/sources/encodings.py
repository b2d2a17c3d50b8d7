"""The lines of a text file, by its byte order mark, by the encoding that is named, or as UTF-8."""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator
from pathlib import Path

from ...core.errors import BadOption

# The longer marks first: the one of UTF-32 begins with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF_8 = ("utf-8", "utf-8-sig")
# What `surrogateescape` makes of bytes that are no UTF-8.
_KEPT = re.compile("[\udc80-\udcff]")


class NotUtf8(ValueError):
    """line: the first that is none, counted from 1."""

    def __init__(self, line: int) -> None:
        super().__init__(
            "these bytes are no UTF-8. What Excel saves as plain CSV is most likely cp1252: add "
            '--encoding cp1252 (encoding="cp1252" in Python), or save it as "CSV UTF-8"'
        )
        self.line = line


def encoding_of(name: str | None) -> str | None:
    """The name as Python writes it. Raises BadOption for one that it does not know."""
    if name is None:
        return None
    try:
        "".encode(name)  # `lookup` alone also knows what makes no text, such as hex
        return codecs.lookup(name).name
    except (LookupError, ValueError) as error:  # ValueError: a zero byte
        raise BadOption(
            f"There is no encoding {name!r}; name one such as utf-8, cp1252 or utf-16."
        ) from error


def lines_of(file: Path, encoding: str | None) -> Generator[str, None, None]:
    """One at a time, with their ends. A byte order mark counts more than `encoding`; without both
    it is UTF-8. Bytes that are none are kept, as in the names of files, where UTF-8 is asked for.

    Raises NotUtf8 where nobody said what it is, UnicodeError where it is not what was said, and
    OSError.
    """
    with file.open("rb") as opened:
        start = opened.read(4)
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    name = marked or encoding or "utf-8"
    errors = "surrogateescape" if name in _UTF_8 else "strict"
    with file.open(encoding=name, errors=errors, newline="") as text:
        for number, line in enumerate(text, 1):
            if encoding not in _UTF_8 and errors != "strict" and _KEPT.search(line):
                raise NotUtf8(number)
            yield line
