"""A list of pictures as a CSV or JSONL file: one row each, read as it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import BadOption
from .encodings import NotUtf8, encoding_of, lines_of
from .tables import NotTable, table

PATH, OUTPUT = "path", "output"


@dataclass(frozen=True, slots=True)
class Row:
    """line: of the file, counted from 1. path: as it is written there. output: None where the row
    has none. columns: the others."""

    line: int
    path: str
    output: str | None
    columns: Mapping[str, str]


class Manifest:
    """A `.csv` or `.jsonl` file: UTF-8, what its byte order mark says (UTF-16 as Excel writes it
    among them), or `encoding`. CSV: a header names the columns, blanks around names and cells do
    not count, and , ; | or a tab stands between them. JSONL: one object a line, texts as they are.

    encoding: of a file without a mark, as Python names it; "utf-8" keeps bytes that are none, which
    may be the name of a file. columns: the names, of the first object where it is JSONL. Raises
    BadOption, with the number of the line, for a file that cannot be read, for one without a column
    `path`, and, from `rows`, for a row that has none.
    """

    def __init__(self, file: Path, encoding: str | None = None) -> None:
        self.file = file
        self._encoding = encoding_of(encoding)
        self._read = _READERS[file.suffix.lower()]
        with closing(self._lines(True)) as lines:
            self.columns: tuple[str, ...] = next((tuple(cells) for _, cells in lines), ())

    def rows(self) -> Iterator[Row]:
        """One at a time, in their order."""
        for line, cells in self._lines(False):
            path, output = cells.pop(PATH, "").strip("\r\n"), cells.pop(OUTPUT, "").strip()
            if not path.strip():
                raise self.error(line, "there is no path; name the picture's file")
            yield Row(line, path, output or None, cells)

    def error(self, line: int, what: str) -> BadOption:
        """What is wrong with one line."""
        return BadOption(f"{self.file}, line {line}: {what.rstrip('.')}.")

    def _lines(self, head: bool) -> Generator[tuple[int, dict[str, str]], None, None]:
        try:
            with closing(lines_of(self.file, self._encoding)) as lines:
                yield from self._read(lines, self.error, head)
        except NotUtf8 as error:
            raise self.error(error.line, str(error)) from error
        except UnicodeError as error:
            raise BadOption(
                f"{self.file} cannot be read as text ({error}); name its encoding, such as "
                "--encoding cp1252."
            ) from error
        except OSError as error:
            raise BadOption(f"{self.file} cannot be read ({error.strerror}).") from error


def is_manifest(file: Path) -> bool:
    """Whether a file's name says that it lists pictures."""
    return file.suffix.lower() in _READERS


_Blame = Callable[[int, str], BadOption]


def _csv(lines: Iterator[str], blame: _Blame, head: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """Cells by column, the header's own as the first where `head`. A cell too many is left out."""
    rows = table(lines, _is_header)
    try:
        line, header = next(rows)
        columns = [*map(_column, header)]
        named = [name for name in columns if name]
        if len({*named}) < len(named):
            raise blame(line, "two columns have the same name")
        if head:
            yield line, dict.fromkeys(named, "")
            return
        for line, cells in rows:
            yield line, {name: cell for name, cell in zip(columns, cells, strict=False) if name}
    except NotTable as error:
        raise blame(error.line, str(error)) from error


def _is_header(names: list[str]) -> bool:
    return PATH in map(_column, names)


def _jsonl(lines: Iterator[str], blame: _Blame, head: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """The texts of each object; what is a list or an object itself is left out."""
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise blame(line, f"this is no JSON object ({error})") from error
        if not isinstance(row, dict):
            raise blame(line, "this is no JSON object; write one with a path on each line")
        yield line, {_column(name): _text(value) for name, value in row.items()}


def _column(name: str) -> str:
    name = name.strip()
    return name.casefold() if name.casefold() in (PATH, OUTPUT) else name


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (str, int, float)) else ""


_READERS = {".csv": _csv, ".jsonl": _jsonl}
