"""A green or blue screen's light, taken out of the subject before it.

The screen shines on the subject: what is seen is F + s B, where B is the screen's colour and s how
much of it falls there. As in Vlahos' keyers a subject is taken not to exceed, in the screen's
channel, the larger of its other two, which gives the most that s can be at a pixel. What is green
itself exceeds that by far more than spill does: where s would be larger than light can explain, or
than it is on what lies near, the subject's own colour is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from .layout import to_pixels, to_planes
from .tiles import Enlargement, Tile
from .window_sums import window_sums

# Spill is followed at this size of the picture: light changes slowly.
_SIDE = 320
# A pixel from which more than this share of the screen would have to go is green itself.
_OWN = 0.5
# How far from its surroundings' mean, as a factor and a share, the spill on one pixel may be.
_ABOVE, _MORE = 1.5, 0.03
# Gaussian sigmas as shares of the longer side, each with its trust.
_SCALES = ((0.008, 1.0), (0.03, 1e-2), (0.12, 1e-4))
# Alpha from which a pixel shows the subject alone.
_SOLID = 0.98
_TINY = 1e-9
# The least by which the screen's channel exceeds another.
_LEAST_SPAN = 0.05


@dataclass(frozen=True)
class Spill:
    """The screen's light on one picture's subject."""

    planes: Tensor
    """(5, h, w): the screen's colour, the most spill, and the share that is green itself."""
    size: tuple[int, int]
    """(H, W) of the picture."""
    channel: int
    """The screen's own: 0 red, 1 green, 2 blue."""

    def removed(self, colour: Tensor, alpha: Tensor, tile: Tile, amount: float) -> Tensor:
        """Return the colours (h, w, 3) of a tile without `amount` of its spill; alpha: (h, w)."""
        enlarged = Enlargement((self.planes.shape[1], self.planes.shape[2]), self.size)
        found = enlarged.tile(self.planes[enlarged.below(tile).window], tile).to(colour)
        screen, most, own = to_pixels(found[None, :3])[0], found[3], found[4]
        # What shines through an edge is the screen, however much of it there is.
        most = torch.where(alpha < _SOLID, torch.maximum(most, 1 - own), most)
        share = torch.minimum(_spill(colour, screen, self.channel), most) * amount
        return (colour - share.unsqueeze(-1) * screen).clamp(0, 1)


def spill_of(image: Tensor, alpha: Tensor, screen: Tensor) -> Spill:
    """Measure the screen's light on the subject of one picture.

    image: (H, W, 3) float in 0..1. alpha: (H, W). screen: (h, w, 3), the screen's colours, over the
    whole picture at any size.
    """
    size = (image.shape[0], image.shape[1])
    step = -(-max(size) // _SIDE)
    small, solid = image[::step, ::step].float(), alpha[::step, ::step] > _SOLID
    planes = to_planes(screen[None].to(small))
    behind = functional.interpolate(planes, size=small.shape[:2], mode="bilinear")[0]
    channel = int(screen.float().mean((0, 1)).argmax())
    spill = _spill(small, to_pixels(behind[None])[0], channel)
    own = (spill > _OWN) & solid
    most = (_near(spill, (solid & ~own).float()) * _ABOVE + _MORE).clamp(max=_OWN)
    share = _near(own.float(), solid.float())
    return Spill(torch.cat([behind, most[None], share[None]]), size, channel)


def part_of(screen: Tensor, part: tuple[slice, slice], size: tuple[int, int]) -> Tensor:
    """Return what lies behind a part of a picture of size (H, W), to the screen's own pixels."""
    slices = []
    for cut, small, large in zip(part, screen.shape, size, strict=False):
        start, stop, _ = cut.indices(large)
        slices.append(slice(start * small // large, max(-(-stop * small // large), 1)))
    return screen[slices[0], slices[1]]


def _spill(colour: Tensor, screen: Tensor, channel: int) -> Tensor:
    """Return the share of the screen's colour that can be taken away until its channel no longer
    exceeds the larger of the others."""
    others = [other for other in range(3) if other != channel]
    shares = [
        (colour[..., channel] - colour[..., other])
        / (screen[..., channel] - screen[..., other]).clamp(min=_LEAST_SPAN)
        for other in others
    ]
    return torch.minimum(*shares).clamp(0, 1)


def _near(values: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted local mean of values (h, w), defined everywhere."""
    both = torch.stack([values * weight, weight])
    total = torch.zeros_like(both)
    for sigma, trust in _SCALES:
        total += trust * _blurred(both, max(1, round(sigma * max(values.shape))))
    return total[0] / (total[1] + _TINY)


def _blurred(planes: Tensor, radius: int) -> Tensor:
    """Blur by three boxes, which is nearly a Gaussian of sigma `radius`; outside lies 0."""
    for _ in range(3):
        planes = window_sums(planes, radius) / (2 * radius + 1) ** 2
    return planes
