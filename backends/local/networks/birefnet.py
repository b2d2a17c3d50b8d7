"""BiRefNet, the network of RMBG-2.0 (Zheng et al. 2024, "Bilateral reference for high-resolution
dichotomous image segmentation", arXiv:2401.03407).

A Swin backbone sees the picture at full and at half size. A decoder goes back up, and at every
scale it is given the picture again, cut into patches (the inward reference), and learns where the
gradients of the mask are (the outward reference).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .deform_conv import DeformableConv2d
from .sizes import check_images
from .swin import Swin, SwinConfig

PatchOrder = Literal["wg hg c", "c hg wg"]

_INSIDE = 64  # channels inside a decoder block
_BRANCH = 256  # channels of each branch of the pyramid
_GRADIENT = 16  # channels of the gradient branch


@dataclass(frozen=True)
class BiRefNetConfig:
    """What tells one BiRefNet from another."""

    backbone: SwinConfig
    """The Swin transformer."""
    patch_order: PatchOrder = "wg hg c"
    """How the patches of the picture are laid into channels: "wg hg c" (column of the grid, row,
    colour) in RMBG-2.0 and in weights up to November 2024, "c hg wg" later. The weights do not
    tell."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Count the channels of the four encoded maps, coarsest first, both sizes together."""
        return tuple(2 * channels for channels in reversed(self.backbone.channels))


class Predictions(NamedTuple):
    """Everything that training supervises, as logits, the coarsest first."""

    masks: list[Tensor]
    """(B, 1, H/32, W/32), then 1/16, 1/8 and the full size."""
    gradients: list[Tensor]
    """(B, 1, H/32, W/32), then 1/16 and 1/8: where the mask's edges are."""


class Encoded(NamedTuple):
    """One scale of the encoder."""

    full: Tensor
    """(B, c, 2h, 2w), from the picture."""
    half: Tensor
    """(B, c, h, w), from the picture at half its size."""

    def joined(self) -> Tensor:
        """Return both at the larger size, (B, 2c, 2h, 2w)."""
        return torch.cat((self.full, resized(self.half, self.full)), dim=1)


class AsppBranch(nn.Module):
    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.atrous_conv = DeformableConv2d(_INSIDE, _BRANCH, kernel)
        self.bn = nn.BatchNorm2d(_BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.bn(self.atrous_conv(x)))  # (B, 256, H, W)


class AsppDeformable(nn.Module):
    """A spatial pyramid whose branches are deformable convolutions of several sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.aspp1 = AsppBranch(1)
        self.aspp_deforms = nn.ModuleList(AsppBranch(kernel) for kernel in (1, 3, 7))
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(_INSIDE, _BRANCH, 1, bias=False),
            nn.BatchNorm2d(_BRANCH),
            nn.ReLU(),
        )
        self.conv1 = nn.Conv2d(5 * _BRANCH, _INSIDE, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(_INSIDE)

    def branches(self) -> list[AsppBranch]:
        """Return the deformable ones, in the order of conv1's input channels."""
        return [b for b in (self.aspp1, *self.aspp_deforms) if isinstance(b, AsppBranch)]

    def forward(self, x: Tensor) -> Tensor:
        mean = self.global_avg_pool(x).expand(-1, -1, *x.shape[2:])  # (B, 256, H, W)
        pyramid = torch.cat((*(branch(x) for branch in self.branches()), mean), dim=1)
        return F.relu_(self.bn1(self.conv1(pyramid)))  # (B, 64, H, W)


class DecoderBlock(nn.Module):
    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, _INSIDE, 3, padding=1)
        self.bn_in = nn.BatchNorm2d(_INSIDE)
        self.dec_att = AsppDeformable()
        self.conv_out = nn.Conv2d(_INSIDE, out_channels, 3, padding=1)
        self.bn_out = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.bn_in(self.conv_in(x)))  # (B, 64, H, W)
        x = self.bn_out(self.conv_out(self.dec_att(x)))
        return x  # (B, out_channels, H, W)


class LateralBlock(nn.Module):
    """Brings a decoded map up to the next size and adds what the encoder saw there.

    The encoder's map is the full picture's and, upsampled, the half picture's, one after the other
    in the 1 x 1 convolution's channels. A 1 x 1 convolution and a bilinear upsampling commute, as
    the latter's weights sum to 1; so the half picture's share is added before the upsampling.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, encoded: Encoded) -> Tensor:
        full, half = self.conv.weight.chunk(2, dim=1)
        x = x + F.conv2d(encoded.half, half)  # (B, C, h, w)
        return resized(x, encoded.full) + F.conv2d(encoded.full, full, self.conv.bias)


class PatchBlock(nn.Module):
    """Two convolutions with nothing between them, for the picture's own pixels."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, _INSIDE, 3, padding=1)
        self.conv_out = nn.Conv2d(_INSIDE, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_out(self.conv1(x))
        return x  # (B, out_channels, H, W)


class LastLayer(nn.Module):
    """The 1 x 1 convolution to logits, over the decoded map (at a quarter of the size) and the
    picture's own features (at full size), one after the other in its channels.

    The two commute (see `LateralBlock`), so the map is reduced to one channel and then upsampled:
    1/192 of the work and memory of the other order.
    """

    def __init__(self, channels: int, image_channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.add_module("0", nn.Conv2d(channels + image_channels, 1, 1))

    @property
    def conv(self) -> nn.Conv2d:
        """Return the convolution, which the published weights call "0"."""
        conv = self.get_submodule("0")
        assert isinstance(conv, nn.Conv2d)
        return conv

    def forward(self, x: Tensor, image_features: Tensor) -> Tensor:
        weight, bias = self.conv.weight, self.conv.bias
        coarse = F.conv2d(x, weight[:, : self.channels])  # (B, 1, H/4, W/4)
        fine = F.conv2d(image_features, weight[:, self.channels :], bias)
        return resized(coarse, fine) + fine  # (B, 1, H, W)


class Decoder(nn.Module):
    def __init__(self, config: BiRefNetConfig) -> None:
        super().__init__()
        self.patch_order = config.patch_order
        x4, x3, x2, x1 = config.channels
        p4, p3, p2, p1 = x3, x2, x1, x1 // 2
        i5, i4, i3, i2, i1 = x4 // 8, x4 // 8, x3 // 8, x2 // 8, x1 // 8
        patches = (3, 48, 192, 768, 3072)
        for level, channels, out in zip(
            (5, 4, 3, 2, 1), reversed(patches), (i5, i4, i3, i2, i1), strict=True
        ):
            self.add_module(f"ipt_blk{level}", PatchBlock(channels, out))
        self.decoder_block4 = DecoderBlock(x4 + i5, p4)
        self.decoder_block3 = DecoderBlock(p4 + i4, p3)
        self.decoder_block2 = DecoderBlock(p3 + i3, p2)
        self.decoder_block1 = DecoderBlock(p2 + i2, p1)
        for level, channels in ((4, p4), (3, p3), (2, p2)):
            self.add_module(f"lateral_block{level}", LateralBlock(channels))
            self.add_module(f"conv_ms_spvn_{level}", nn.Conv2d(channels, 1, 1))
            gradient = (nn.Conv2d(channels, _GRADIENT, 3, padding=1), nn.BatchNorm2d(_GRADIENT))
            self.add_module(f"gdt_convs_{level}", nn.Sequential(*gradient, nn.ReLU()))
            for use in ("pred", "attn"):
                head = nn.Sequential(nn.Conv2d(_GRADIENT, 1, 1))
                self.add_module(f"gdt_convs_{use}_{level}", head)
        self.conv_out1 = LastLayer(p1, i1)

    def forward(
        self,
        images: Tensor,
        x: Tensor,
        encoded: list[Encoded],
        side: Predictions | None = None,
    ) -> Tensor:
        """Decode. x: (B, ., H/32, W/32), everything in brief. encoded: the encoder's scales, the
        finest (H/4, W/4) first. Returns logits (B, 1, H, W), and adds the coarser predictions to
        `side` if there is one."""
        for level in (4, 3, 2):
            x = torch.cat((x, self.reference(images, x, level + 1)), dim=1)
            x = self.get_submodule(f"decoder_block{level}")(x)
            if side is not None:
                side.masks.append(self.get_submodule(f"conv_ms_spvn_{level}")(x))
            edges = self.get_submodule(f"gdt_convs_{level}")(x)  # (B, 16, h, w)
            if side is not None:
                side.gradients.append(self.get_submodule(f"gdt_convs_pred_{level}")(edges))
            x = x * self.get_submodule(f"gdt_convs_attn_{level}")(edges).sigmoid()
            x = self.get_submodule(f"lateral_block{level}")(x, encoded[level - 2])  # twice as large
        x = torch.cat((x, self.reference(images, x, 2)), dim=1)
        x = self.decoder_block1(x)  # (B, p1, H/4, W/4)
        logits: Tensor = self.conv_out1(x, self.get_submodule("ipt_blk1")(images))
        return logits  # (B, 1, H, W)

    def reference(self, images: Tensor, x: Tensor, level: int) -> Tensor:
        """Return what the picture itself says at the size of x: (B, ., h, w)."""
        patches = image_patches(images, x.shape[2], x.shape[3], self.patch_order)
        y: Tensor = self.get_submodule(f"ipt_blk{level}")(patches)
        return y


class BiRefNet(nn.Module):
    """(B, 3, H, W), normalised with ImageNet's mean and deviation -> (B, 1, H, W) logits.

    H and W are multiples of 32.
    """

    def __init__(self, config: BiRefNetConfig) -> None:
        super().__init__()
        self.config = config
        self.bb = Swin(config.backbone)
        coarsest = config.channels[0]
        self.squeeze_module = nn.Sequential(DecoderBlock(sum(config.channels), coarsest))
        self.decoder = Decoder(config)

    def forward(self, images: Tensor) -> Tensor:
        encoded = self.encode(images)
        logits: Tensor = self.decoder(images, self.squeeze(encoded), encoded)
        return logits  # (B, 1, H, W)

    def predictions(self, images: Tensor) -> Predictions:
        """Return the logits of every scale, for training."""
        side = Predictions([], [])
        encoded = self.encode(images)
        side.masks.append(self.decoder(images, self.squeeze(encoded), encoded, side))
        return side

    def encode(self, images: Tensor) -> list[Encoded]:
        """Return what the backbone sees at H/4, H/8, H/16 and H/32.

        Raises ValueError for a size that is not a multiple of 32.
        """
        check_images(images)
        height, width = images.shape[2:]
        half = F.interpolate(
            images, size=(height // 2, width // 2), mode="bilinear", align_corners=True
        )
        return list(map(Encoded, self.bb(images), self.bb(half)))

    def squeeze(self, encoded: list[Encoded]) -> Tensor:
        """Bring all scales to the coarsest's size, reduced to its channels: (B, x4, H/32, W/32)."""
        coarsest = encoded[-1].joined()
        context = []
        for full, half in encoded[:-1]:
            context += [resized(full, coarsest), resized(resized(half, full), coarsest)]
        x: Tensor = self.squeeze_module(torch.cat((*context, coarsest), dim=1))
        return x


def resized(x: Tensor, other: Tensor) -> Tensor:
    """Resize x to the height and width of `other`: bilinear, corners on corners."""
    size = other.shape[2:]
    if x.shape[2:] == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def image_patches(images: Tensor, rows: int, columns: int, order: PatchOrder) -> Tensor:
    """Cut each picture into a grid of equal patches, each `rows` x `columns` pixels, and lay the
    patches into channels: (B, 3, H, W) -> (B, 3 H W / (rows columns), rows, columns)."""
    batch, colours, height, width = images.shape
    down, across = height // rows, width // columns
    x = images.view(batch, colours, down, rows, across, columns)
    axes = (0, 4, 2, 1, 3, 5) if order == "wg hg c" else (0, 1, 2, 4, 3, 5)
    return x.permute(axes).reshape(batch, -1, rows, columns)
