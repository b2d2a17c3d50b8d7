"""The samples of a TIFF page whose channels are whole bytes, each in its place.

What the channels mean is decided here and not by a decoder, so that it is the same for 8 and 16
bits, strips and tiles, and however many channels there are. LZW and PackBits are unpacked by
libtiff in Pillow, which is shown the bytes as a grey picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .plugins import decode
from .still import CUT_OFF, DAMAGED, Levels, Samples, Unusable, decoding, within_pillows_limit
from .tags import LONG, SHORT, Directory, with_directory

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
FILL_ORDER, STRIPS, SAMPLES, ROWS, STRIP_BYTES, PLANAR = 266, 273, 277, 278, 279, 284
PREDICTOR, TILE_SIZE, TILES, TILE_BYTES, EXTRA = 317, (322, 323), 324, 325, 338
_INK_SET, _INKS, _CMYK = 332, 334, 1

# photometric interpretation -> channels that are colours
_COLOURS = {0: 1, 1: 1, 2: 3, 5: 4}
_WHITE_IS_ZERO, _SEPARATED = 0, 5
_RAW, _LZW, _DEFLATE, _PACKBITS = 1, 5, (8, 32946), 32773
_UNPACKED_BY_LIBTIFF = (_LZW, _PACKBITS)
_ASSOCIATED, _UNASSOCIATED = 1, 2
_MOST_CHANNELS = 32  # there is memory for that many
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class _Grid:
    """How the pixels are divided: strips are tiles as wide as the picture."""

    width: int
    height: int
    planes: int
    """1, or one for each sample."""
    samples: int
    """Of a pixel in a plane."""
    wide: int
    """Of a piece, as `tall` is."""
    tall: int
    tiled: bool

    @property
    def across(self) -> int:
        return -(-self.width // self.wide)

    @property
    def down(self) -> int:
        return -(-self.height // self.tall)

    def rows(self, row: int) -> int:
        """Return the rows that a row of pieces holds; only the last strip is shorter."""
        return self.tall if self.tiled else min(self.tall, self.height - row * self.tall)


def is_plain(page: Directory) -> bool:
    """Return whether `read_samples` knows how the page is stored."""
    bits = page.numbers(BITS, (1,))
    compressions = (_RAW, *_DEFLATE, *_UNPACKED_BY_LIBTIFF)
    return (
        set(bits) in ({8}, {16})
        and page.number(PHOTOMETRIC, 1) in _COLOURS
        and page.number(COMPRESSION, 1) in compressions
        and _predictor(page) in (1, 2)
    )


def _predictor(page: Directory) -> int:
    """What the codes of LZW and deflate hold: 1 = samples, 2 = differences. Others have none."""
    packed = page.number(COMPRESSION, 1) in (*_DEFLATE, _LZW)
    return page.number(PREDICTOR, 1) if packed else 1


def read_samples(page: Directory) -> Samples:
    """Return colours and alpha as stored, white above black. Raises Unusable.

    Alpha is the first extra channel that says that it is one; a single one of which nothing is said
    is taken for alpha, as other programs do. All other extra channels are left out.
    """
    photometric = page.number(PHOTOMETRIC, 1)
    colours = _COLOURS[photometric]
    if photometric == _SEPARATED and not page.number(_INK_SET, _CMYK) == _CMYK:
        raise Unusable("its inks are other than CMYK; save it as RGB")
    levels = _levels(page)
    count = levels.shape[2]
    if count < colours:
        raise Unusable(DAMAGED)
    values = levels[..., :colours]
    if photometric == _WHITE_IS_ZERO:
        values = np.invert(values)
    kinds = page.numbers(EXTRA, (_UNASSOCIATED,) if count == colours + 1 else ())
    alphas = [
        (channel, kind)
        for channel, kind in zip(range(colours, count), kinds, strict=False)
        if kind in (_ASSOCIATED, _UNASSOCIATED)
    ]
    if not alphas:
        return Samples(values, None)
    channel, kind = alphas[0]
    return Samples(values, levels[..., channel], premultiplied=kind == _ASSOCIATED)


def _levels(page: Directory) -> Levels:
    """(H, W, samples) uint8 or uint16."""
    grid = _grid(page)
    dtype = np.dtype(np.uint16 if page.number(BITS, 8) == 16 else np.uint8)
    stored = dtype.newbyteorder("<" if page.order == "<" else ">")
    levels = np.empty((grid.height, grid.width, grid.samples * grid.planes), dtype)
    offsets, lengths = _pieces(page, grid)
    per_plane = grid.across * grid.down
    row_bytes = grid.wide * grid.samples * dtype.itemsize
    for plane in range(grid.planes):
        part = slice(plane * per_plane, (plane + 1) * per_plane)
        rows = [grid.rows(number // grid.across) for number in range(per_plane)]
        packed = zip(offsets[part], lengths[part], strict=True)
        channels = slice(plane * grid.samples, (plane + 1) * grid.samples)
        pieces = _unpacked(page, [*packed], rows, row_bytes)
        for number, piece in enumerate(pieces):
            values = np.frombuffer(piece, stored).reshape(-1, grid.wide, grid.samples)
            if _predictor(page) == 2:
                values = np.cumsum(values, axis=1, dtype=dtype)
            top, left = (
                at * size
                for at, size in zip(
                    divmod(number, grid.across), (grid.tall, grid.wide), strict=True
                )
            )
            target = levels[top : top + grid.tall, left : left + grid.wide, channels]
            target[:] = values[: target.shape[0], : target.shape[1]]
    return levels


def _grid(page: Directory) -> _Grid:
    width, height, samples = (page.number(tag, 1) for tag in (WIDTH, HEIGHT, SAMPLES))
    tiled = TILES in page.entries
    wide = page.number(TILE_SIZE[0], 0) if tiled else width
    tall = page.number(TILE_SIZE[1], 0) if tiled else min(height, page.number(ROWS, height))
    planes = samples if page.number(PLANAR, 1) == 2 else 1
    if min(width, height, samples, wide, tall) < 1:
        raise Unusable(DAMAGED)
    if samples > _MOST_CHANNELS:
        raise Unusable(f"it has {samples} channels; save it as RGB")
    return _Grid(width, height, planes, samples // planes, wide, tall, tiled)


def _pieces(page: Directory, grid: _Grid) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where each piece begins, and how long it is. Raises Unusable where some are missing."""
    where, how_long = (TILES, TILE_BYTES) if grid.tiled else (STRIPS, STRIP_BYTES)
    offsets = page.numbers(where)
    left = tuple(max(0, len(page.data) - offset) for offset in offsets)
    lengths = page.numbers(how_long, left)
    count = grid.across * grid.down * grid.planes
    if min(len(offsets), len(lengths)) < count:
        raise Unusable(CUT_OFF)
    return offsets[:count], lengths[:count]


def _unpacked(
    page: Directory, pieces: Sequence[tuple[int, int]], rows: Sequence[int], row_bytes: int
) -> Sequence[bytes | memoryview]:
    """The bytes of every piece of a plane. Raises Unusable."""
    compression = page.number(COMPRESSION, 1)
    if compression in _UNPACKED_BY_LIBTIFF:
        return _by_libtiff(page, pieces, rows, row_bytes)
    unpacked = []
    for (offset, length), count in zip(pieces, rows, strict=True):
        data = page.data[offset : offset + length]
        if page.number(FILL_ORDER, 1) == 2:
            data = data.translate(_REVERSED)
        if compression in _DEFLATE:
            data = _inflated(data, count * row_bytes)
        if len(data) < count * row_bytes:
            raise Unusable(CUT_OFF)
        unpacked.append(memoryview(data)[: count * row_bytes])
    return unpacked


def _inflated(data: bytes, length: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(data, length)
        inflater.decompress(inflater.unconsumed_tail, 1)  # to the checksum
    except zlib.error as error:
        raise Unusable(DAMAGED) from error
    return content


def _by_libtiff(
    page: Directory, pieces: Sequence[tuple[int, int]], rows: Sequence[int], row_bytes: int
) -> Sequence[memoryview]:
    """All pieces as the strips of one grey picture, `row_bytes` wide."""
    order = page.order
    numbers = {
        WIDTH: [row_bytes],
        HEIGHT: [sum(rows)],
        STRIPS: [offset for offset, _ in pieces],
        ROWS: [rows[0]],
        STRIP_BYTES: [length for _, length in pieces],
    }
    values = {
        tag: (LONG, struct.pack(f"{order}{len(found)}I", *found)) for tag, found in numbers.items()
    }
    short = {BITS: 8, COMPRESSION: page.number(COMPRESSION, 1), PHOTOMETRIC: 1, SAMPLES: 1}
    short[FILL_ORDER] = page.number(FILL_ORDER, 1)
    values |= {tag: (SHORT, struct.pack(f"{order}H", number)) for tag, number in short.items()}
    file = with_directory(page.data, values, order)
    with decoding(), within_pillows_limit("tiff"):
        content = memoryview(decode(file, "tiff", (row_bytes, sum(rows))).tobytes())
    ends = np.cumsum(rows) * row_bytes
    return [content[end - count * row_bytes : end] for end, count in zip(ends, rows, strict=True)]
