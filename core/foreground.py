"""The subject's own colour in the edge, so that a cut-out carries nothing of its old background.

An edge pixel shows I = alpha F + (1 - alpha) B. F and B are found together, from coarse to fine,
as the smoothest pair that explains the picture: Germer, Uelwer, Conrad and Harmeling, "Fast
Multi-Level Foreground Estimation", ICPR 2020. Two things are ours. The difference that neither
colour explains is shared by how much fine detail the subject and the clear parts of this picture
show, so that a textured background seen through glass is not taken for the glass. And at fine
levels only tiles with an edge in them are worked on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as functional
from torch import Tensor

from .checks import check_image, check_share, check_values, common_batch, within_range
from .errors import BadPicture
from .layout import to_pixels, to_planes
from .relaxation import constant_colours, foreground_share, relaxed
from .tiles import Tile, all_tiles, tile_side, tiles_of

# F and B of a part of one picture of a batch, by its number.
_Planes: TypeAlias = Callable[[int, Tile], Tensor]

_SWEEPS = 4
_SWEEPS_WHEN_SMALL = 20
_SMALL = 128
# Not cut into tiles: a level of this size.
_WHOLE = 256
_SWEEPS_AT_COARSEST = 100
_COARSEST = 32
# Finer levels take over the share of detail measured here: the statistics no longer change.
_FINEST_MEASURED = 512
# More pixels do not make the colours to start from any better.
_FINEST_AVERAGED = 1024
# Half a level of 8 bits: nearer to 0 or 1 than this, a matte leaves nothing visible to separate.
_SOLID = 1 / 512


def estimate_foreground(image: Tensor, alpha: Tensor, *, amount: float = 1.0) -> Tensor:
    """Return the colour of the subject alone, to be stored as straight RGB beside the same alpha.

    image: (B, H, W, C) with C = 1, 3 or 4, sRGB in 0..1; a fourth channel is not looked at.
    alpha: (B, H, W) in 0..1, 1 = subject, on the image's device. Batches of 1 and N go together.
    amount: 0..1, how far colours move from the picture's to the estimate where 0 < alpha < 1.

    Returns (B, H, W, 3) in the image's dtype. Where alpha is 1, or nearer than half an 8-bit
    level, the picture's own colour comes back bit for bit. Where it is as near to 0 the subject's
    colour is extended, whatever the amount: the old background is never returned there, and a file
    of 8 bits holds none of it under alpha 0. A picture without a
    subject (alpha 0 everywhere) is 0. Estimates are computed in float32, as if colours lay in 0..1.

    Raises BadOption for an amount outside 0..1 and batches that do not pair up, BadPicture for
    other shapes and for values that are not finite.
    """
    tiles = foreground_tiles(image, alpha, amount=amount)
    result = image.new_empty((max(len(image), len(alpha)), *image.shape[1:3], 3))
    for number, tile, colour in tiles:
        result[number][tile.region] = colour
    return result


def foreground_tiles(
    image: Tensor, alpha: Tensor, *, amount: float, extended: bool = True
) -> Iterator[tuple[int, Tile, Tensor]]:
    """Yield the same, one tile at a time: the number in the batch, the tile, its colours (h, w, 3).

    extended: whether the subject's colour is wanted where alpha is 0. Without it some of these
    pixels are 0.
    """
    check_share(amount, "amount of decontamination")
    check_image(image, "image")
    check_values(alpha, "alpha")
    if alpha.ndim != 3 or alpha.shape[1:] != image.shape[1:3]:
        raise BadPicture(
            f"The alpha has the shape {tuple(alpha.shape)} and the image {tuple(image.shape)}. "
            "Give (batch, height, width) of the image's size; upsample_mask makes it."
        )
    batch = common_batch({"image": image.shape[0], "alpha": alpha.shape[0]})
    colour = image.detach()[..., :3]
    if amount == 0 and not extended:
        return _as_they_are(colour.expand(batch, -1, -1, 3), alpha.expand(batch, -1, -1))
    planes = to_planes(within_range(colour.float()).expand(batch, -1, -1, 3))
    matte = within_range(alpha.detach().float()).expand(batch, -1, -1)
    return _assembled(colour.expand(batch, -1, -1, 3), planes, matte, amount, extended)


def _as_they_are(colour: Tensor, alpha: Tensor) -> Iterator[tuple[int, Tile, Tensor]]:
    """Return the picture's own colours where there is any of the subject."""
    _, height, width = alpha.shape
    for number, alphas in enumerate(alpha):
        for tile in all_tiles(height, width, tile_side(alpha.device.type)):
            own, visible = colour[number][tile.region], alphas[tile.region].unsqueeze(-1) > 0
            yield number, tile, torch.where(visible, own, 0)


def _assembled(
    colour: Tensor, planes: Tensor, matte: Tensor, amount: float, extended: bool
) -> Iterator[tuple[int, Tile, Tensor]]:
    """Assemble a tile: what is opaque keeps its colour, and what has none to be estimated is 0."""
    side = tile_side(matte.device.type)
    estimate = _multi_level(planes, matte.unsqueeze(1), side)
    height, width = matte.shape[1:]
    for number, alphas in enumerate(matte):
        has_subject = bool(alphas.amax() > 0)
        for tile in all_tiles(height, width, side):
            own, alpha = colour[number][tile.region], alphas[tile.region].unsqueeze(-1)
            low, high = (float(bound) for bound in torch.aminmax(alpha))
            if low > 1 - _SOLID:
                found = own
            elif not has_subject or (high == 0 and not extended):
                found = torch.zeros_like(own)
            else:
                found = to_pixels(estimate(number, tile)[:, :3])[0].to(own.dtype)
                if amount < 1:
                    found = torch.where(alpha > _SOLID, torch.lerp(own, found, amount), found)
                found = torch.where(alpha > 1 - _SOLID, own, found)
            yield number, tile, found


def _multi_level(image: Tensor, alpha: Tensor, side: int) -> _Planes:
    """Return F of any tile of any picture, (1, 3, h, w). image: (B, 3, H, W), alpha: (B, 1, H, W).

    F and B travel as the first and the last three of six planes.
    """
    levels = [(image, alpha)]
    while max(levels[-1][1].shape[-2:]) > _COARSEST:
        picture, matte = levels[-1]
        levels.append((picture[..., ::2, ::2], matte[..., ::2, ::2]))
    both = constant_colours(*_finest(levels, _FINEST_AVERAGED))

    picture, matte = levels.pop()
    share = foreground_share(picture, matte)
    guess = both.expand(-1, -1, *matte.shape[-2:])
    both = relaxed(picture, matte, guess, share, _SWEEPS_AT_COARSEST)
    planes: _Planes = partial(_part, both)
    busy = _busy(alpha[:, 0], side)
    while levels:
        picture, matte = levels.pop()
        height, width = matte.shape[-2:]
        if max(height, width) <= _FINEST_MEASURED:
            share = foreground_share(picture, matte)
        if max(height, width) <= max(side, _WHOLE):
            sweeps = _SWEEPS_WHEN_SMALL if max(height, width) <= _SMALL else _SWEEPS
            both = relaxed(picture, matte, _doubled(both)[..., :height, :width], share, sweeps)
            planes = partial(_part, both)
        else:
            busy_here = functional.max_pool2d(busy, 2 ** len(levels), ceil_mode=True)
            level = _Level(picture, matte, planes, share, busy_here.bool().tolist(), side)
            planes = _Kept(level).window if levels else level.tile
    return planes


def _part(both: Tensor, number: int, tile: Tile) -> Tensor:
    return both[number : number + 1][tile.window]


def _finest(levels: list[tuple[Tensor, Tensor]], side: int) -> tuple[Tensor, Tensor]:
    """Return the first level that is no larger than `side`."""
    return next(level for level in levels if max(level[1].shape[-2:]) <= side)


def _busy(alpha: Tensor, side: int) -> Tensor:
    """Find which tiles of alpha (B, H, W) have an edge in them: (B, rows, columns), 0 or 1."""
    height, width = alpha.shape[1:]
    flags = [
        bool(((part > _SOLID) & (part < 1 - _SOLID)).any())
        for one in alpha
        for part in (one[tile.window] for tile in all_tiles(height, width, side))
    ]
    return torch.tensor(flags, dtype=torch.float32).view(-1, -(-height // side), -(-width // side))


@dataclass(frozen=True)
class _Level:
    """A level on which only tiles with an edge in them are worked on."""

    picture: Tensor
    """(B, 3, h, w)."""
    matte: Tensor
    """(B, 1, h, w)."""
    coarser: _Planes
    """F and B of the level before."""
    share: Tensor
    """See `foreground_share`."""
    busy: list[list[list[bool]]]
    """For each picture and row, which tiles of `side` pixels have an edge."""
    side: int

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.matte.shape[-2:]
        return height, width

    def tile(self, number: int, tile: Tile) -> Tensor:
        """Return F and B of one tile of one of the pictures, (1, 6, h, w)."""
        if self.busy[number][tile.top // self.side][tile.left // self.side]:
            return self._relaxed(number, tile)
        # Even margins keep pixels beside their coarser parents.
        outer = tile.widened(2, *self.size)
        coarser = self.coarser(number, outer.halved())
        finer = functional.interpolate(coarser, scale_factor=2.0, mode="bilinear")
        return finer[tile.inside(outer)]

    def _relaxed(self, number: int, tile: Tile) -> Tensor:
        """Relax a tile. The margin makes a tile's own pixels come out as if the whole level had
        been worked on: what one sweep knows travels one pixel."""
        one = slice(number, number + 1)
        outer = tile.widened(_SWEEPS, *self.size)
        picture, matte = self.picture[one][outer.window], self.matte[one][outer.window]
        guess = _doubled(self.coarser(number, outer.halved()))
        guess = guess[..., : matte.shape[-2], : matte.shape[-1]]
        return relaxed(picture, matte, guess, self.share[one], _SWEEPS)[tile.inside(outer)]


class _Kept:
    """The tiles of a level that were asked for."""

    def __init__(self, level: _Level) -> None:
        self._level = level
        self._planes = level.picture.new_empty((len(level.matte), 6, *level.size))
        self._known: set[tuple[int, Tile]] = set()

    def window(self, number: int, window: Tile) -> Tensor:
        """Return F and B of any part of one of the pictures, (1, 6, h, w)."""
        for tile in tiles_of(window, *self._level.size, self._level.side):
            if (number, tile) not in self._known:
                self._planes[number][tile.window] = self._level.tile(number, tile)[0]
                self._known.add((number, tile))
        return self._planes[number : number + 1][window.window]


def _doubled(planes: Tensor) -> Tensor:
    return functional.interpolate(planes, scale_factor=2.0, mode="nearest")
