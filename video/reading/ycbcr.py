"""How Y'CbCr samples stand for R'G'B': names as FFmpeg writes them, numbers as it counts them.

For reading and for writing alike: `Colours` of a video holds names of these rows. A writer tags its
stream with `MATRICES[name].code`, `code_of(PRIMARIES, name)`, `code_of(TRANSFERS, name)` and
`range_code(full)`, and hands `MATRICES[name].swscale` and the same range to PyAV's `reformat`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..frames import Colours

#: From how many lines of the stored picture on an unstated matrix is taken for bt709.
HD_LINES = 720

#: AVCOL_*_UNSPECIFIED, the same number in all three lists.
UNSPECIFIED = 2


@dataclass(frozen=True)
class Matrix:
    """Y' = red R' + (1 - red - blue) G' + blue B'; Cb and Cr are B' - Y' and R' - Y', scaled."""

    name: str
    code: int
    """AVColorSpace, as streams and frames are tagged."""
    swscale: int
    """SWS_CS_*, as `reformat` takes it."""
    red: float
    """Share of red in luma."""
    blue: float
    """Share of blue in luma."""


MATRICES: Mapping[str, Matrix] = {
    row.name: row
    for row in (
        Matrix("bt709", 1, 1, 0.2126, 0.0722),
        Matrix("fcc", 4, 4, 0.30, 0.11),
        Matrix("bt601", 6, 5, 0.299, 0.114),
        Matrix("smpte240m", 7, 7, 0.212, 0.087),
        Matrix("bt2020nc", 9, 9, 0.2627, 0.0593),
    )
}

#: No matrix: the samples are R'G'B'.
RGB = "rgb"

_MATRIX_NAMES = {row.code: row.name for row in MATRICES.values()} | {0: RGB, 5: "bt601"}
#: Stated, and nothing here or in swscale can turn it into R'G'B'.
UNREADABLE_MATRICES = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "SMPTE ST 2085",
    12: "chroma-derived",
    13: "chroma-derived with constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}

PRIMARIES: Mapping[int, str] = {
    1: "bt709",
    UNSPECIFIED: "unknown",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}

TRANSFERS: Mapping[int, str] = {
    1: "bt709",
    UNSPECIFIED: "unknown",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}

#: Of high dynamic range: what they are called.
HDR_TRANSFERS = {"smpte2084": "PQ", "arib-std-b67": "HLG"}


def code_of(rows: Mapping[int, str], name: str) -> int:
    """Return the number of a name in PRIMARIES or TRANSFERS; "unspecified" where it has none."""
    return next((code for code, row in rows.items() if row == name), UNSPECIFIED)


def range_code(full: bool) -> int:
    """Return AVColorRange: 2 ("jpeg", "pc") for full range, 1 ("mpeg", "tv") for 16..235."""
    return 2 if full else 1


def matrix_name(code: int, lines: int) -> str:
    """Return the matrix that a stream of `lines` stored lines states, or that it must mean.

    Unstated, it is bt601 below 720 lines and bt709 from there on, as players take it.
    """
    guess = "bt709" if lines >= HD_LINES else "bt601"
    return _MATRIX_NAMES.get(code, guess)


def stated_colours(
    *, matrix: int, full_range: bool, primaries: int, transfer: int, lines: int, rgb: bool
) -> Colours:
    """Return what the numbers of a stream mean. rgb: its pixel format has no luma."""
    return Colours(
        matrix=RGB if rgb else matrix_name(matrix, lines),
        full_range=full_range,
        primaries=PRIMARIES.get(primaries, "unknown"),
        transfer=TRANSFERS.get(transfer, "unknown"),
    )
