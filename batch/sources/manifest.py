"""A list of pictures as a CSV or JSONL file: one row each, read as it is asked for."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import BadOption
from .tables import BadLine, table

PATH, OUTPUT = "path", "output"

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
_NOT_UTF_8 = (
    "these bytes are no UTF-8. What Excel saves as plain CSV is most likely cp1252: add "
    '--encoding cp1252 (encoding="cp1252" in Python), or save it as "CSV UTF-8"'
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a manifest."""

    line: int
    """Of the file, counted from 1."""
    path: str
    """As it is written there."""
    output: str | None
    """None where the row has none."""
    columns: Mapping[str, str]
    """The others."""


class Manifest:
    """A `.csv` or `.jsonl` file: UTF-8, what its byte order mark says, or `encoding`.

    CSV: a header names the columns, blanks around names and cells do not count, and , ; | or a tab
    stands between them. JSONL: one object a line, texts as they are. encoding: of a file without a
    mark, as Python names it; "utf-8" keeps bytes that are none, which may be the name of a file.

    Raises BadOption, with the number of the line, for a file that cannot be read, for one without a
    column `path`, and, from `rows`, for a row that has none.
    """

    def __init__(self, file: Path, encoding: str | None = None) -> None:
        self.file = file
        self._encoding = _encoding_of(encoding)
        self._read = _READERS[file.suffix.lower()]
        with closing(self._lines(True)) as lines:
            self.columns: tuple[str, ...] = next((tuple(cells) for _, cells in lines), ())
            """Their names; of JSONL, those of the first object."""

    def rows(self) -> Iterator[Row]:
        """Yield the rows one at a time, in their order."""
        for line, cells in self._lines(False):
            path, output = cells.pop(PATH, "").strip("\r\n"), cells.pop(OUTPUT, "").strip()
            if not path.strip():
                raise self.error(line, "there is no path; name the picture's file")
            yield Row(line, path, output or None, cells)

    def error(self, line: int, what: str) -> BadOption:
        """Return the refusal that says what is wrong with a line."""
        return BadOption(f"{self.file}, line {line}: {what.rstrip('.')}.")

    def _lines(self, head: bool) -> Generator[tuple[int, dict[str, str]], None, None]:
        try:
            with closing(_texts(self.file, self._encoding)) as lines:
                yield from self._read(lines, head)
        except BadLine as error:
            raise self.error(error.line, str(error)) from error
        except UnicodeError as error:
            raise BadOption(
                f"{self.file} cannot be read as text ({error}); name its encoding, such as "
                "--encoding cp1252."
            ) from error
        except OSError as error:
            raise BadOption(f"{self.file} cannot be read ({error.strerror}).") from error


def is_manifest(file: Path) -> bool:
    """Return whether a file's name says that it lists pictures."""
    return file.suffix.lower() in _READERS


def _encoding_of(name: str | None) -> str | None:
    """Return the name as Python writes it. Raises BadOption for one that it does not know."""
    if name is None:
        return None
    try:
        "".encode(name)  # `lookup` alone also knows what makes no text, such as hex
        return codecs.lookup(name).name
    except (LookupError, ValueError) as error:  # ValueError: a zero byte
        raise BadOption(
            f"There is no encoding {name!r}; name one such as utf-8, cp1252 or utf-16."
        ) from error


def _texts(file: Path, encoding: str | None) -> Generator[str, None, None]:
    """Yield the lines with their ends. A byte order mark counts more than `encoding`.

    Raises BadLine where the file is no UTF-8 and no encoding is named, UnicodeError where it is not
    in the one that is named, and OSError.
    """
    with file.open("rb") as opened:
        start = opened.read(4)
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    name = marked or encoding or "utf-8"
    errors = "surrogateescape" if name in _UTF_8 else "strict"
    with file.open(encoding=name, errors=errors, newline="") as text:
        for number, line in enumerate(text, 1):
            if encoding not in _UTF_8 and errors != "strict" and _KEPT.search(line):
                raise BadLine(number, _NOT_UTF_8)
            yield line


def _csv(lines: Iterator[str], head: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield cells by column, the header's own alone where `head`. A cell too many is left out."""
    rows = table(lines, lambda names: PATH in map(_column, names))
    line, header = next(rows)
    columns = [*map(_column, header)]
    named = [name for name in columns if name]
    if len({*named}) < len(named):
        raise BadLine(line, "two columns have the same name")
    if head:
        yield line, dict.fromkeys(named, "")
        return
    for line, cells in rows:
        yield line, {name: cell for name, cell in zip(columns, cells, strict=False) if name}


def _jsonl(lines: Iterator[str], head: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the texts of each object; what is a list or an object itself is left out."""
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadLine(line, f"this is no JSON object ({error})") from error
        if not isinstance(row, dict):
            raise BadLine(line, "this is no JSON object; write one with a path on each line")
        yield line, {_column(name): _text(value) for name, value in row.items()}


def _column(name: str) -> str:
    name = name.strip()
    return name.casefold() if name.casefold() in (PATH, OUTPUT) else name


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (str, int, float)) else ""


_READERS = {".csv": _csv, ".jsonl": _jsonl}
