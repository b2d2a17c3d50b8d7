"""IS-Net, the network of RMBG-1.4 (Qin et al. 2022, "Highly accurate dichotomous image
segmentation", arXiv:2203.03041), built from the U-blocks of U2-Net (Qin et al. 2020,
arXiv:2005.09007, figure 2).

A U of U's: six encoder stages, five decoder stages, each of them a small U-Net with a residual
connection; a 3 x 3 convolution on each decoder stage gives the logits of one scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .sizes import check_images

# Levels of each stage's U; the last two encoder stages and the deepest decoder stage keep their
# size and widen the kernel instead (RSU-4F, below).
_LEVELS = MappingProxyType(
    {
        "stage1": 7, "stage2": 6, "stage3": 5, "stage4": 4, "stage5": 0, "stage6": 0,
        "stage5d": 0, "stage4d": 4, "stage3d": 5, "stage2d": 6, "stage1d": 7,
    }
)  # fmt: skip
STAGES = tuple(_LEVELS)
_DILATED = (1, 2, 4, 8)


@dataclass(frozen=True)
class IsNetConfig:
    """What tells one IS-Net from another."""

    stem: int
    """Channels of conv_in."""
    stages: Mapping[str, tuple[int, int, int]]
    """(channels in, inside, out) of each of `STAGES`."""


class ConvNormRelu(nn.Module):
    """3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, channels: int, out_channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(channels, out_channels, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.bn_s1(self.conv_s1(x)))  # (B, out_channels, H, W)


class ResidualU(nn.Module):
    """RSU-L: a U-Net of `levels` levels, added to its own input.

    levels 0 is RSU-4F: four levels of one size, dilated 1, 2, 4 and 8 in place of pooling.
    """

    def __init__(self, levels: int, channels: int, inside: int, out_channels: int) -> None:
        super().__init__()
        self.pools = levels > 0
        self.depth = levels or len(_DILATED)
        down = (1,) * (self.depth - 1) + (2,) if self.pools else _DILATED
        self.rebnconvin = ConvNormRelu(channels, out_channels)
        for level in range(1, self.depth + 1):
            before = out_channels if level == 1 else inside
            self.add_module(f"rebnconv{level}", ConvNormRelu(before, inside, down[level - 1]))
        for level in range(self.depth - 1, 0, -1):
            after = out_channels if level == 1 else inside
            dilation = 1 if self.pools else _DILATED[level - 1]
            self.add_module(f"rebnconv{level}d", ConvNormRelu(2 * inside, after, dilation))

    def forward(self, x: Tensor) -> Tensor:
        entry = self.rebnconvin(x)  # (B, out, H, W)
        maps = [self.get_submodule("rebnconv1")(entry)]
        for level in range(2, self.depth + 1):
            # The deepest level does not pool: it looks wider by its dilation.
            shrink = self.pools and level < self.depth
            below = halved(maps[-1]) if shrink else maps[-1]
            maps.append(self.get_submodule(f"rebnconv{level}")(below))
        x = maps.pop()  # (B, inside, h, w), the bottom of the U
        for level in range(self.depth - 1, 0, -1):
            skip = maps.pop()
            joined = torch.cat((to_size_of(x, skip), skip), dim=1)  # (B, 2 inside, ., .)
            x = self.get_submodule(f"rebnconv{level}d")(joined)
        x = x + entry
        return x  # (B, out, H, W)


class IsNet(nn.Module):
    """(B, 3, H, W) normalised to -0.5 .. 0.5 -> (B, 1, H, W) logits; H and W multiples of 32."""

    def __init__(self, config: IsNetConfig) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, config.stem, 3, stride=2, padding=1)
        for name, levels in _LEVELS.items():
            self.add_module(name, ResidualU(levels, *config.stages[name]))
        heads = ("stage1d", "stage2d", "stage3d", "stage4d", "stage5d", "stage6")
        for scale, stage in enumerate(heads, start=1):
            self.add_module(f"side{scale}", nn.Conv2d(config.stages[stage][2], 1, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        return self._logits(self.features(images)[0], 1, images)  # (B, 1, H, W)

    def predictions(self, images: Tensor) -> list[Tensor]:
        """Return the logits of all six scales, the finest first, each (B, 1, H, W): what training
        supervises."""
        maps = self.features(images)
        return [self._logits(x, scale, images) for scale, x in enumerate(maps, start=1)]

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of decoder stages 1d to 5d and of stage 6, at 1/2 .. 1/64 of the size.

        Raises ValueError for a size that is not a multiple of 32.
        """
        check_images(images)
        x = self.conv_in(images)  # (B, 64, H/2, W/2)
        encoded: list[Tensor] = []
        for name in STAGES[:6]:
            x = self.get_submodule(name)(halved(x) if encoded else x)
            encoded.append(x)
        decoded = [encoded.pop()]
        for name in STAGES[6:]:
            skip = encoded.pop()
            joined = torch.cat((to_size_of(decoded[0], skip), skip), dim=1)
            decoded.insert(0, self.get_submodule(name)(joined))
        return decoded

    def _logits(self, x: Tensor, scale: int, images: Tensor) -> Tensor:
        return to_size_of(self.get_submodule(f"side{scale}")(x), images)


def halved(x: Tensor) -> Tensor:
    """Pool to half the size, rounded up."""
    return F.max_pool2d(x, 2, stride=2, ceil_mode=True)


def to_size_of(x: Tensor, other: Tensor) -> Tensor:
    """Resize bilinearly to the height and width of the other."""
    return upsampled(x, (other.shape[2], other.shape[3]))


def upsampled(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize bilinearly to (height, width)."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
