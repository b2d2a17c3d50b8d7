"""CSV as spreadsheets write it: a header, and rows with the numbers of their lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator

_DELIMITERS = (",", ";", "\t", "|")
# Excel's own way to say what stands between the cells.
_SEP_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?[\s,;|]*', re.IGNORECASE)
_NOTHING = re.compile(r'[\s,;|"]*')
_NO_PATH = "there is no column path; the first line names the columns, and what stands between them"


class _Sheet(csv.excel):
    strict = True  # a quote that is never closed would swallow the rest of the file as one cell
    skipinitialspace = True


class BadLine(ValueError):
    """What is wrong with one line of a file."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        """Counted from 1."""


def table(
    lines: Iterator[str], is_header: Callable[[list[str]], bool]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the header and the rows, each with the line it begins in, but for lines without a cell.

    The header is the first line with something in it, cut by the first delimiter with which it is
    one. Cells are without the blanks around them, also around quotes. Raises BadLine.
    """
    text, line, delimiters = _first(lines)
    header, delimiter, used = _header(text, line, lines, delimiters, is_header)
    yield line, header
    reader = csv.reader(_closed(lines, delimiter), _Sheet, delimiter=delimiter)
    while True:
        begin = line + used + reader.line_num
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise BadLine(begin, f"this is no row of a CSV file ({error})") from error
        if any(cells):
            yield begin, cells


def _first(lines: Iterator[str]) -> tuple[str, int, tuple[str, ...]]:
    """Return the first line with something in it, its number, and the possible delimiters."""
    delimiters: tuple[str, ...] = _DELIMITERS
    for number, text in enumerate(lines, 1):
        if said := _SEP_LINE.fullmatch(text):
            delimiters = (said[1],)
        elif not _NOTHING.fullmatch(text):
            return text, number, delimiters
    return "", 1, delimiters


def _header(
    text: str,
    line: int,
    lines: Iterator[str],
    delimiters: tuple[str, ...],
    is_header: Callable[[list[str]], bool],
) -> tuple[list[str], str, int]:
    """Return the names, what stands between them, and how many lines they take."""
    used = 1
    while True:
        wrong: csv.Error | None = None
        for delimiter in delimiters:
            closed = _closed(iter(text.splitlines(keepends=True)), delimiter)
            try:
                found = next(csv.reader(closed, _Sheet, delimiter=delimiter), [])
            except csv.Error as error:
                wrong = error
                continue
            names = [name.strip() for name in found]
            if is_header(names):
                return names, delimiter, used
        # A name may hold an end of line; not so many of them.
        more = next(lines, "") if wrong and len(text) < csv.field_size_limit() else ""
        if not more:
            raise BadLine(line, f"this is no header of a CSV file ({wrong})" if wrong else _NO_PATH)
        text, used = text + more, used + 1


def _closed(lines: Iterator[str], delimiter: str) -> Iterator[str]:
    """Return the lines without blanks between a closing quote and what stands between cells."""
    blanks = re.compile(rf'"[ \xa0]+(?={re.escape(delimiter)}|[\r\n]*$)')
    return (blanks.sub('"', line) for line in lines)
