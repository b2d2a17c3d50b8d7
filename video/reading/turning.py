"""Which way up a video is shown: its display matrix, as one of the eight orientations."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from ..frames import VideoInfo

if TYPE_CHECKING:
    from av.video.frame import VideoFrame as Decoded

#: Signs of a, b, c, d in x' = a x + c y, y' = b x + d y (y down) -> orientation, as in EXIF.
_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}

#: Orientation -> degrees clockwise, and whether left and right are exchanged after that.
TURNS = {
    1: (0, False),
    2: (0, True),
    3: (180, False),
    4: (180, True),
    5: (90, True),
    6: (90, False),
    7: (270, True),
    8: (270, False),
}


def orientation_of_frame(frame: Decoded) -> int:
    """Return the orientation 1..8 of a decoded frame; 1 where its display matrix is no quarter
    turn, which `is_askew` tells."""
    return _ORIENTATIONS.get(_signs(frame), 1)


def orientation_of_info(info: VideoInfo) -> int:
    """Return the orientation 1..8 of all frames of a video; reading it from each would keep each
    in memory until the next collection of garbage."""
    turn = (info.rotation, info.mirrored)
    return next(orientation for orientation, row in TURNS.items() if row == turn)


def is_askew(frame: Decoded) -> bool:
    """Return whether the frame is to be shown at an angle that is no quarter turn."""
    return _signs(frame) not in _ORIENTATIONS


def upright_aspect(aspect: Fraction, orientation: int) -> Fraction:
    """Return width over height of a pixel after turning."""
    return 1 / aspect if TURNS[orientation][0] % 180 else aspect


def _signs(frame: Decoded) -> tuple[int, int, int, int]:
    stated = cast("Mapping[str, bytes]", frame.side_data).get("DISPLAYMATRIX")
    if stated is None:
        return (1, 0, 0, 1)
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(stated)[:36])
    largest = max(map(abs, (a, b, c, d)), default=0)
    if not largest:
        return (1, 0, 0, 1)
    a, b, c, d = (round(8 * value / largest) for value in (a, b, c, d))
    return tuple(value // 8 if value % 8 == 0 else 2 for value in (a, b, c, d))  # type: ignore[return-value]
