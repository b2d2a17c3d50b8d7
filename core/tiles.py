"""Square tiles of a picture, so that costly work is done only where there is something to do."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType
from typing import TypeAlias

import torch.nn.functional as functional
from torch import Tensor

Window: TypeAlias = tuple[EllipsisType, slice, slice]

# On a processor the side keeps a tile's planes inside its caches; other devices want few launches.
_SIDE = {"cpu": 256}
_SIDE_ELSEWHERE = 2048


@dataclass(frozen=True)
class Tile:
    """The pixels [top, bottom) x [left, right)."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def window(self) -> Window:
        """The tile as an index into the last two axes of a tensor."""
        return ..., slice(self.top, self.bottom), slice(self.left, self.right)

    def widened(self, margin: int, height: int, width: int) -> Tile:
        """The tile with `margin` more pixels on each side, as far as the picture goes."""
        return Tile(
            max(self.top - margin, 0),
            min(self.bottom + margin, height),
            max(self.left - margin, 0),
            min(self.right + margin, width),
        )

    def inside(self, outer: Tile) -> Window:
        """The tile as an index into a tensor that holds `outer`."""
        return Tile(
            self.top - outer.top,
            self.bottom - outer.top,
            self.left - outer.left,
            self.right - outer.left,
        ).window

    def halved(self) -> Tile:
        """The pixels of the picture of half the size that this tile's pixels lie on."""
        return Tile(self.top // 2, (self.bottom + 1) // 2, self.left // 2, (self.right + 1) // 2)


def tile_side(device_type: str) -> int:
    """The side that suits a device; a power of two, so that tiles of halved pictures nest."""
    return _SIDE.get(device_type, _SIDE_ELSEWHERE)


def all_tiles(height: int, width: int, side: int) -> list[Tile]:
    """The tiles of a grid of `side` pixels, row by row, those at the border cut to size."""
    return [
        Tile(top, min(top + side, height), left, min(left + side, width))
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def busy_tiles(busy: Tensor, side: int) -> list[Tile]:
    """Those of all tiles that hold at least one busy pixel. busy: (H, W) bool, any device."""
    height, width = busy.shape
    pooled = functional.max_pool2d(busy[None, None].float(), side, ceil_mode=True)
    flags = pooled.flatten().tolist()
    return [tile for tile, flag in zip(all_tiles(height, width, side), flags, strict=True) if flag]
