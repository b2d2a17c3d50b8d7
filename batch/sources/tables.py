"""CSV as spreadsheets write it: a header, and rows with the numbers of their lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator

_DELIMITERS = (",", ";", "\t", "|")
# Excel's own way to say what stands between the cells.
_SEP_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?[\s,;|]*', re.IGNORECASE)
_NOTHING = re.compile(r'[\s,;|"]*')


class NotTable(ValueError):
    """line: where it is none, counted from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def table(
    lines: Iterator[str], is_header: Callable[[list[str]], bool]
) -> Iterator[tuple[int, list[str]]]:
    """The header and the rows, each with the line it begins in; lines without a cell are left out.

    The header is the first line with something in it, cut by the first delimiter with which it is
    one. Cells are without the blanks around them, also around quotes. Raises NotTable.
    """
    text, line, delimiters = _first(lines)
    header, delimiter, used = _header(text, line, lines, delimiters, is_header)
    yield line, header
    # strict: a quote that is never closed would swallow the rest of the file as one cell.
    reader = csv.reader(
        _closed(lines, delimiter), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    while True:
        begin = line + used + reader.line_num
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise NotTable(begin, f"this is no row of a CSV file ({error})") from error
        if any(cells):
            yield begin, cells


def _first(lines: Iterator[str]) -> tuple[str, int, tuple[str, ...]]:
    """The first line with something in it, its number, and what may stand between its cells."""
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
    """The names, what stands between them, and how many lines they take."""
    used = 1
    while True:
        wrong: csv.Error | None = None
        for delimiter in delimiters:
            reader = csv.reader(
                _closed(iter(text.splitlines(keepends=True)), delimiter),
                delimiter=delimiter,
                strict=True,
                skipinitialspace=True,
            )
            try:
                names = [name.strip() for name in next(reader, [])]
            except csv.Error as error:
                wrong = error
                continue
            if is_header(names):
                return names, delimiter, used
        # A name may hold an end of line; not so many of them.
        more = next(lines, "") if wrong and len(text) < csv.field_size_limit() else ""
        if not more:
            said = f"this is no header of a CSV file ({wrong})" if wrong else _NO_PATH
            raise NotTable(line, said)
        text, used = text + more, used + 1


_NO_PATH = "there is no column path; the first line names the columns, and what stands between them"


def _closed(lines: Iterator[str], delimiter: str) -> Iterator[str]:
    """Without the blanks between a closing quote and what stands between the cells."""
    blanks = re.compile(rf'"[ \xa0]+(?={re.escape(delimiter)}|[\r\n]*$)')
    return (blanks.sub('"', line) for line in lines)
