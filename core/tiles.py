"""Square tiles of a picture, so that costly work is done only where there is something to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import EllipsisType
from typing import TypeAlias

import torch
from torch import Tensor

Window: TypeAlias = tuple[EllipsisType, slice, slice]

# On a processor the side keeps a tile's planes inside its caches; other devices want few launches.
_SIDE = {"cpu": 128}
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
        """Return the tile as an index into the last two axes of a tensor."""
        return ..., slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def region(self) -> tuple[slice, slice]:
        """Return the tile as an index into the first two axes of a tensor."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def widened(self, margin: int, height: int, width: int) -> Tile:
        """Return the tile with `margin` more pixels on each side, as far as the picture goes."""
        return Tile(
            max(self.top - margin, 0),
            min(self.bottom + margin, height),
            max(self.left - margin, 0),
            min(self.right + margin, width),
        )

    def inside(self, outer: Tile) -> Window:
        """Return the tile as an index into a tensor that holds `outer`."""
        return Tile(
            self.top - outer.top,
            self.bottom - outer.top,
            self.left - outer.left,
            self.right - outer.left,
        ).window

    def halved(self) -> Tile:
        """Return the pixels of the picture of half the size that this tile's pixels lie on."""
        return Tile(self.top // 2, (self.bottom + 1) // 2, self.left // 2, (self.right + 1) // 2)


def tile_side(device_type: str) -> int:
    """Return the side for a device; a power of two, so that tiles of halved pictures nest."""
    return _SIDE.get(device_type, _SIDE_ELSEWHERE)


def all_tiles(height: int, width: int, side: int) -> list[Tile]:
    """Return the tiles of a grid of `side` pixels, row by row, those at the border cut to size."""
    return tiles_of(Tile(0, height, 0, width), height, width, side)


def tiles_of(window: Tile, height: int, width: int, side: int) -> list[Tile]:
    """Return those of all tiles that have a part in `window`."""
    return [
        Tile(top, min(top + side, height), left, min(left + side, width))
        for top in range(window.top // side * side, window.bottom, side)
        for left in range(window.left // side * side, window.right, side)
    ]


@dataclass(frozen=True)
class Enlargement:
    """A bilinear enlargement of planes (..., h, w) to (..., H, W), of which only tiles are made.

    The same as `functional.interpolate`, to rounding.
    """

    small: tuple[int, int]
    """(h, w)."""
    large: tuple[int, int]
    """(H, W), not smaller."""

    def below(self, tile: Tile) -> Tile:
        """Return the small pixels between which the pixels of a large tile lie."""
        rows, columns = self._places(tile)
        return Tile(
            math.floor(rows[0]),
            math.ceil(rows[-1]) + 1,
            math.floor(columns[0]),
            math.ceil(columns[-1]) + 1,
        )

    def tile(self, planes: Tensor, tile: Tile) -> Tensor:
        """Enlarge one tile. planes: (..., h, w), what lies `below` it."""
        below = self.below(tile)
        rows, columns = self._places(tile)
        return _sampled(_sampled(planes, -1, columns - below.left), -2, rows - below.top)

    def _places(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Find where its rows and columns lie among the small ones; on the CPU, in float64."""
        sides = (tile.top, tile.bottom), (tile.left, tile.right)
        rows, columns = (
            ((torch.arange(*side, dtype=torch.float64) + 0.5) * (small / large) - 0.5).clamp_(
                0, small - 1
            )
            for side, small, large in zip(sides, self.small, self.large, strict=True)
        )
        return rows, columns


def _sampled(planes: Tensor, dim: int, places: Tensor) -> Tensor:
    """Interpolate linearly along one of the last two axes."""
    shape = (-1, 1) if dim == -2 else (-1,)
    before, after = (
        planes.index_select(dim, whole.to(planes.device, torch.int64))
        for whole in (places.floor(), places.ceil())
    )
    return torch.lerp(before, after, places.frac().to(planes).view(shape))
