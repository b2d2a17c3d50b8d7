"""The cut-out: the subject's own colours under a straight alpha, or set on one colour."""

from __future__ import annotations

import torch
from torch import Tensor

from .foreground import foreground_tiles


def cutout(
    image: Tensor,
    mask: Tensor,
    *,
    decontaminate: float = 1.0,
    background: tuple[float, float, float] | None = None,
    extended: bool = True,
) -> Tensor:
    """Cut the subject out of a picture.

    image: (B, H, W, 3) float 0..1. mask: (B, H, W) float 0..1, 1 = subject. decontaminate: 0..1,
    how far the old background's colour is taken out of the edge. background: None for a transparent
    one, or an sRGB colour in 0..1. extended: False for a cut-out that is put on something opaque
    next, where the colours under alpha 0 do not show: some of them are then 0.

    Returns (B, H, W, 4), straight alpha, in the image's dtype; (B, H, W, 3) on a background colour.
    Opaque pixels keep their colour bit for bit. Under alpha 0 lies the subject's colour extended,
    or 0 where a picture has no subject: the old background never comes back.
    """
    wanted = extended and background is None
    tiles = foreground_tiles(image, mask, amount=decontaminate, extended=wanted)
    batch, channels = max(len(image), len(mask)), 4 if background is None else 3
    result = image.new_empty((batch, *image.shape[1:3], channels))
    masks = mask.to(image.dtype).expand(batch, -1, -1)
    for number, tile, colour in tiles:
        alpha = masks[number][tile.region].unsqueeze(-1)
        if background is None:
            result[number][tile.region] = torch.cat([colour, alpha], dim=-1)
        else:
            result[number][tile.region] = _on_colour(colour, alpha, background)
    return result


def _on_colour(colour: Tensor, alpha: Tensor, background: tuple[float, float, float]) -> Tensor:
    backdrop = colour.new_tensor(background)
    return torch.where(alpha == 1, colour, alpha * colour + (1 - alpha) * backdrop)
