"""Rows of words as lines of text for people."""

from __future__ import annotations

from collections.abc import Sequence

from .terminal import in_one_line


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line for each row, its columns as wide as their widest word."""
    rows = [[in_one_line(word) for word in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
