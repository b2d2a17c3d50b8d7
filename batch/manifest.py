"""A list of pictures as a CSV or JSONL file: one row each, read as it is asked for."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..core.errors import BadOption

PATH, OUTPUT = "path", "output"
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Row:
    """line: of the file, counted from 1. path: as it is written there. output: None where the row
    has none. columns: the others."""

    line: int
    path: str
    output: str | None
    columns: Mapping[str, str]


class Manifest:
    """A `.csv` or `.jsonl` file, UTF-8 with or without a byte order mark. CSV: the first line names
    the columns, and says whether , or ; or a tab stands between them. JSONL: one object a line.

    columns: the names, of the first object where it is JSONL. Raises BadOption, with the number of
    the line, for a file that cannot be read, for one without a column `path`, and, from `rows`, for
    a row that has none.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
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
            # Bytes that are not UTF-8 are kept: they may be the name of a file.
            with self.file.open(
                encoding="utf-8-sig", errors="surrogateescape", newline=""
            ) as opened:
                yield from self._read(opened, self.error, head)
        except OSError as error:
            raise BadOption(f"{self.file} cannot be read ({error.strerror}).") from error


def is_manifest(file: Path) -> bool:
    """Whether a file's name says that it lists pictures."""
    return file.suffix.lower() in _READERS


_Blame = Callable[[int, str], BadOption]


def _csv(lines: IO[str], blame: _Blame, head: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """Cells by column, the header's own as the first where `head`. A cell too many is left out."""
    header = lines.readline()
    columns, delimiter = _columns(header, blame)
    if head:
        yield 1, dict.fromkeys(columns, "")
        return
    # strict: a quote that is never closed would swallow the rest of the file as one cell.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 2
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise blame(line, f"this is no row of a CSV file ({error})") from error
        if any(cell.strip() for cell in cells):
            yield line, dict(zip(columns, cells, strict=False))


def _columns(header: str, blame: _Blame) -> tuple[list[str], str]:
    """The names of the columns and what stands between them."""
    for delimiter in _DELIMITERS:
        try:
            names = [_column(name) for name in next(csv.reader([header], delimiter=delimiter), [])]
        except csv.Error as error:
            raise blame(1, f"this is no header of a CSV file ({error})") from error
        if PATH in names:
            if len({*names}) < len(names):
                raise blame(1, "two columns have the same name")
            return names, delimiter
    raise blame(1, f"there is no column {PATH}; the first line of a UTF-8 file names the columns")


def _jsonl(lines: IO[str], blame: _Blame, head: bool) -> Iterator[tuple[int, dict[str, str]]]:
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
