"""The bars as a table, for a terminal or for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .quality_measure import OURS, Bar
from .quality_scenes import KINDS

PEERS = ("1038lab", "rembg", "ComfyUI core", "BiRefNet blur fusion", "pymatting")


def text(bars: Sequence[Bar]) -> str:
    return "\n\n".join(aligned(rows) for rows in (_bars(bars), _kinds(bars)))


def markdown(bars: Sequence[Bar]) -> str:
    return "\n\n".join(piped(rows) for rows in (_bars(bars), _kinds(bars)))


def _bars(bars: Sequence[Bar]) -> list[list[str]]:
    rows = [["bar", "what", "reach", OURS, "", *PEERS]]
    for bar in bars:
        peers = [_number(bar.values.get(peer)) for peer in PEERS]
        verdict = "met" if bar.met else "missed"
        rows.append(
            [bar.name, bar.what, _number(bar.reach), _number(bar.values[OURS]), verdict, *peers]
        )
    return rows


def _kinds(bars: Sequence[Bar]) -> list[list[str]]:
    """Ours for each kind of edge."""
    rows = [["bar", "ours, by kind of edge", *KINDS]]
    for bar in bars:
        if len(bar.kinds) == len(KINDS):
            rows.append([bar.name, bar.what, *(_number(bar.kinds[kind]) for kind in KINDS)])
    return rows


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == 0 or value >= 0.1:
        return f"{value:.2f}" if 0 < value < 10 else f"{value:.1f}".removesuffix(".0")
    return f"{value:.1g}"


def piped(rows: list[list[str]]) -> str:
    """Rows, the head first, as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def aligned(rows: list[list[str]]) -> str:
    """Rows in columns, for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
