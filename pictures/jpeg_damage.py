"""Tells a JPEG whose scan was damaged from an intact one (ITU-T T.81, annex F).

Huffman codes hold no checksum: a decoder reads on through damage, and shows what it makes of it.
But then it seldom needs as many bytes as there are. Three signs are looked for, none of which an
intact file shows; docs/decisions.md has the figures.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import av.error
from PIL import Image

from .deep import decode_strictly
from .jpeg import FRAMES, SCAN, TABLES, segments
from .still import DAMAGED, DECODER_ERRORS, Unusable

_BASELINE, _SEQUENTIAL, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_RESTARTS, _END = 0xDD, b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")
_AC = 0x10  # in a table's number
_SCALE = 8  # decoded as an eighth, which leaves out all but the Huffman codes
# Decoders read up to 8 bytes ahead. Ones are no code, so nothing can be made of these.
_AHEAD = b"\xff\x00" * 8
_ZEROS = 32  # bytes that hold at least one block of 63 equal numbers
_MOST_INTERVALS = 4000  # two small decodings each


@dataclass(frozen=True)
class _Scan:
    """The first scan of a file."""

    kind: int
    head: bytes
    """All before its codes."""
    frame_at: int
    """Where the frame header is in the head."""
    codes: bytes
    only: bool
    """Nothing but the end follows."""
    ended: bool
    """A marker follows."""
    first_codes: tuple[int, ...]
    """Of the tables it uses for AC, what a code of zeros stands for."""
    restarts: int
    """Units between two restart markers; 0 for none."""

    @property
    def components(self) -> tuple[bytes, ...]:
        """Number, sampling and table of each."""
        count = self.head[self.frame_at + 9]
        first = self.frame_at + 10
        return tuple(self.head[at : at + 3] for at in range(first, first + 3 * count, 3))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        height, width = struct.unpack_from(">HH", self.head, self.frame_at + 5)
        return width, height

    @property
    def unit(self) -> tuple[int, int]:
        """Pixels of the smallest piece that is coded, (width, height)."""
        if len(self.components) == 1:
            return 8, 8
        sampling = [component[1] for component in self.components]
        return 8 * max(one >> 4 for one in sampling), 8 * max(one & 15 for one in sampling)


def check_jpeg(data: bytes) -> None:
    """Raise Unusable for a JPEG whose scan is damaged; one without metadata. Arithmetic and
    lossless codes are not looked at."""
    scan = _first_scan(data)
    if scan is None:
        return
    sequential = scan.kind != _PROGRESSIVE
    if (sequential and (_is_blank(scan) or _has_other_length(scan))) or _is_refused(data):
        raise Unusable(DAMAGED)


def _is_blank(scan: _Scan) -> bool:
    """Whether there are zeros in place of codes.

    In most files a code of zeros stands for a small number, and no picture is made of 63 of them in
    a row; in the others it ends an empty block. Zeros before the end are some encoders' padding.
    """
    is_number = any(code & 15 for code in scan.first_codes)
    codes = scan.codes.rstrip(b"\0") if scan.ended else scan.codes
    return is_number and bytes(_ZEROS) in codes


def _has_other_length(scan: _Scan) -> bool:
    """Whether the codes are spent before the picture is complete, or left over when it is."""
    if not scan.only or len(scan.components) not in (1, 3, 4):
        return False
    width, height = scan.size
    if not scan.restarts:
        return _is_wrong(scan, scan.codes, width, height)
    across, down = -(-width // scan.unit[0]), -(-height // scan.unit[1])
    pieces = _RESTART.split(scan.codes)
    while len(pieces) > 1 and not pieces[-1]:
        pieces.pop()
    if len(pieces) != -(-across * down // scan.restarts):
        return True
    if len(pieces) > _MOST_INTERVALS:
        return False
    left = across * down
    for piece in pieces:
        units = min(scan.restarts, left)
        left -= units
        size = _frame_of(units, scan, across)
        if size and _is_wrong(scan, piece, *size):
            return True
    return False


def _frame_of(units: int, scan: _Scan, across: int) -> tuple[int, int] | None:
    """A picture of so many units; None where there is none that a JPEG can hold."""
    wide, tall = scan.unit
    if units % across == 0:
        return scan.size[0], units // across * tall
    return (units * wide, tall) if units * wide <= 65500 else None


def _is_wrong(scan: _Scan, codes: bytes, width: int, height: int) -> bool:
    at = scan.frame_at + 5
    head = scan.head[:at] + struct.pack(">HH", height, width) + scan.head[at + 4 :]
    padding = len(codes) - len(codes.rstrip(codes[-1:])) if scan.ended else 0
    return (
        not _is_complete(head + codes + _AHEAD, scan, width, height)
        or padding < len(codes)
        and _is_complete(head + codes[: -padding - 1], scan, width, height)
    )


def _is_complete(data: bytes, scan: _Scan, width: int, height: int) -> bool:
    """Whether libjpeg gets the whole picture out of it; it waits for more where it does not."""
    mode = "CMYK" if len(scan.components) == 4 else "L"
    size = -(-width // _SCALE), -(-height // _SCALE)
    try:
        Image.frombytes(mode, size, data, "jpeg", (mode, "", _SCALE, 0))
    except DECODER_ERRORS:
        return False
    return True


def _is_refused(data: bytes) -> bool:
    """Whether FFmpeg's decoder finds codes that there are not, or more numbers than fit a block."""
    try:
        decode_strictly("mjpeg", data)
    except av.error.InvalidDataError:
        return True
    except (av.error.FFmpegError, ValueError):  # what it does not know
        return False
    return False


def _first_scan(data: bytes) -> _Scan | None:
    """None for what holds no Huffman codes. `data` was taken apart before, so it has its parts."""
    tables: dict[int, int] = {}
    kind = frame_at = restarts = 0
    for marker, at, segment in segments(data):
        body = segment[4:]
        if marker in FRAMES:
            kind, frame_at = marker, at
        elif marker == TABLES:
            tables |= _first_codes(body)
        elif marker == _RESTARTS and len(body) >= 2:
            restarts = int.from_bytes(body[:2], "big")
        elif marker == SCAN and kind in (_BASELINE, _SEQUENTIAL, _PROGRESSIVE) and body:
            start = at + 4 + len(body)
            found = _MARKER.search(data, start)
            end = found.start() if found else len(data)
            chosen = [body[2 + 2 * index] for index in range(body[0]) if 2 + 2 * index < len(body)]
            first_codes = tuple(tables.get(_AC | number & 15, 1) for number in chosen)
            components = data[frame_at + 9]
            return _Scan(
                kind,
                data[:start],
                frame_at,
                data[start:end].rstrip(b"\xff"),
                body[0] == components and data[end : end + 2] in (_END, b""),
                found is not None,
                first_codes,
                restarts,
            )
    return None


def _first_codes(body: bytes) -> Mapping[int, int]:
    """Number of each table -> what its code of zeros stands for."""
    found: dict[int, int] = {}
    while len(body) > 17:
        count = sum(body[1:17])
        found[body[0]] = body[17]
        body = body[17 + count :]
    return found
