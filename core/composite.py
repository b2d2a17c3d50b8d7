"""A cut-out on a new background: fitted, placed, shadowed and blended; straight alpha throughout.

Pictures are composed one by one, so that a long batch needs the working memory of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .alpha import match_mask
from .checks import check_finite, check_image, check_share, common_batch
from .colour import parse_colour
from .errors import BadOption, BadPicture
from .layers import BLENDS, Blend, Layer, split, subject_box
from .overlay import overlay
from .placement import ANCHORS, FITS, Anchor, Box, Fit, Size, place
from .resize import resize_layer
from .types import Job


@dataclass(frozen=True)
class CompositeOptions:
    """How `compose` places and blends. Raises BadOption for a value that cannot work.

    fit, anchor, offset = (x, y) in pixels, scale, margin: see `placement.place`.
    """

    fit: Fit = "none"
    anchor: Anchor = "center"
    offset: tuple[int, int] = (0, 0)
    scale: float = 1.0
    margin: float = 0.05
    opacity: float = 1.0
    """0..1."""
    blend: Blend = "srgb"
    """Mix encoded sRGB values, as most editors do, or linear light."""
    shadow: float = 0.0
    """0..1, the strength of the contact shadow; 0 is none."""

    def __post_init__(self) -> None:
        menus: tuple[tuple[str, str, Sequence[str]], ...] = (
            ("fit", self.fit, FITS),
            ("anchor", self.anchor, tuple(ANCHORS)),
            ("blend", self.blend, BLENDS),
        )
        for name, value, allowed in menus:
            if value not in allowed:
                raise BadOption(f"{value!r} is not a {name}. Choose one of {', '.join(allowed)}.")
        if not all(isinstance(pixels, int) for pixels in self.offset):
            raise BadOption(f"The offset is {self.offset}; it must be two whole numbers of pixels.")
        check_finite(self.scale, "scale")
        if self.scale <= 0:
            raise BadOption(f"The scale is {self.scale}; it must be more than 0.")
        if not 0 <= self.margin < 0.5:
            raise BadOption(f"The margin is {self.margin}; it must be at least 0 and below 0.5.")
        check_share(self.opacity, "opacity")
        check_share(self.shadow, "shadow")


def compose(
    foreground: Tensor,
    mask: Tensor | None,
    background: Tensor | str | Sequence[float],
    options: CompositeOptions,
    job: Job | None = None,
) -> tuple[Tensor, Tensor]:
    """Put a foreground on a background: the image and how much of it the foreground covers.

    foreground: (B, h, w, 1, 3 or 4) float in 0..1, sRGB-encoded, straight alpha.
    mask: replaces the foreground's alpha, in any form that `match_mask` takes; None keeps the
        alpha, or takes the picture as opaque.
    background: (B, H, W, 1, 3 or 4) like the foreground; or a colour for `parse_colour`, on a
        canvas of the foreground's size. On either side one picture goes with any number.
    job: progress, and Cancel between pictures.

    Returns the image (B, H, W, C) and the coverage (B, H, W) in 0..1. C is 4, straight alpha, when
    the background has alpha, else 3. Where nothing is resized and no shadow falls, pixels of
    alpha 1 are the foreground's and pixels of alpha 0 the background's, bit for bit. Computed in
    float32 on the foreground's device; the dtype is the wider of the two pictures'.
    Raises BadPicture (unusable shape or values, no subject to fit) and BadOption (batches that do
    not pair up, a colour that is none, a foreground enlarged beyond reason).
    """
    watch = job or Job()
    check_image(foreground, "foreground")
    backdrop = _backdrop(background, foreground)
    check_image(backdrop, "background")
    height, width = foreground.shape[1:3]
    if mask is not None:
        mask = match_mask(mask.to(foreground.device), height, width, len(foreground))
    sources = len(foreground) if mask is None else len(mask)
    batch = common_batch({"foreground": sources, "background": len(backdrop)})

    canvas = Size(*backdrop.shape[1:3])
    channels = 4 if backdrop.shape[-1] == 4 else 3
    dtype = torch.promote_types(foreground.dtype, backdrop.dtype)
    image = torch.empty(batch, *canvas, channels, dtype=dtype, device=foreground.device)
    image[:] = backdrop  # one channel is grey, one picture is for all
    if channels == 4:
        image[..., 3].clamp_(0, 1)
    coverage = torch.zeros_like(image[..., 0])
    for index in range(batch):
        watch.check()
        if index < sources:  # one foreground is arranged once, for all backgrounds
            layer = split(_pick(foreground, index))
            if mask is not None:
                layer = Layer(layer.colour, _pick(mask, index).float())
            layer, box = _arrange(layer, canvas, options, f"picture {index + 1}")
        overlay(
            layer, box, image[index], coverage[index], blend=options.blend, shadow=options.shadow
        )
        watch.step(1)
    return image, coverage


def _backdrop(background: Tensor | str | Sequence[float], foreground: Tensor) -> Tensor:
    """Return the background as an image; a colour gets the foreground's size and dtype."""
    if isinstance(background, Tensor):
        return background.to(foreground.device)
    colour = foreground.new_tensor(parse_colour(background))
    return colour.expand(1, *foreground.shape[1:3], -1)


def _pick(pictures: Tensor, index: int) -> Tensor:
    return pictures[index if len(pictures) > 1 else 0]


def _arrange(layer: Layer, canvas: Size, options: CompositeOptions, name: str) -> tuple[Layer, Box]:
    """Return the foreground in the size and with the opacity that it is to have, and its place."""
    if options.fit == "subject":
        box = subject_box(layer.alpha)
        if box is None:
            raise BadPicture(
                f"The mask of {name} is empty, so there is no subject to fit. "
                "Check the mask, or choose another fit."
            )
        layer = Layer(layer.colour[box.window], layer.alpha[box.window])
    box = place(
        Size(*layer.alpha.shape),
        canvas,
        fit=options.fit,
        anchor=options.anchor,
        offset=options.offset,
        scale=options.scale,
        margin=options.margin,
    )
    colour, alpha = resize_layer(layer, box.height, box.width)
    return Layer(colour, alpha * options.opacity), box
