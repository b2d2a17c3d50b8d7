"""The cut-out: the subject's own colours under a straight alpha, or set on one colour."""

from __future__ import annotations

import torch
from torch import Tensor

from .despill import Spill, spill_of
from .foreground import foreground_tiles


def cutout(
    image: Tensor,
    mask: Tensor,
    *,
    decontaminate: float = 1.0,
    background: tuple[float, float, float] | None = None,
    extended: bool = True,
    screen: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Cut the subject out of a picture.

    image: (B, H, W, 3) float 0..1. mask: (B, H, W) float 0..1, 1 = subject. decontaminate: 0..1,
    how far the old background's colour is taken out of the edge. background: None for a transparent
    one, or an sRGB colour in 0..1. extended: False for a cut-out that is put on something opaque
    next, where the colours under alpha 0 do not show: some of them are then 0. screen: of each
    picture (h, w, 3), the colours of a green or blue screen behind the subject, see `Matte.screen`:
    its light is taken out of the whole subject as far as `decontaminate` goes. out: where the
    result is written; None = into memory of its own.

    Returns (B, H, W, 4), straight alpha, in the image's dtype; (B, H, W, 3) on a background colour.
    Opaque pixels keep their colour bit for bit where no screen shines on them. Under alpha 0 lies
    the subject's colour extended, or 0 where a picture has no subject: the old background never
    comes back.
    """
    wanted = extended and background is None
    tiles = foreground_tiles(image, mask, amount=decontaminate, extended=wanted)
    batch, channels = max(len(image), len(mask)), 4 if background is None else 3
    shape = (batch, *image.shape[1:3], channels)
    result = image.new_empty(shape) if out is None else out.view(shape)
    masks = mask.to(image.dtype).expand(batch, -1, -1)
    spills = [] if screen is None or not decontaminate else _spills(image, masks, screen)
    for number, tile, colour in tiles:
        alpha = masks[number][tile.region].unsqueeze(-1)
        if spills:
            colour = spills[number].removed(colour, alpha[..., 0], tile, decontaminate)
        if background is None:
            result[number][tile.region] = torch.cat([colour, alpha], dim=-1)
        else:
            result[number][tile.region] = _on_colour(colour, alpha, background)
    return result


def _spills(image: Tensor, masks: Tensor, screen: Tensor) -> list[Spill]:
    pictures = image[..., :3].expand(len(masks), -1, -1, -1)
    screens = screen.expand(len(masks), -1, -1, -1)
    return [spill_of(*parts) for parts in zip(pictures, masks, screens, strict=True)]


def _on_colour(colour: Tensor, alpha: Tensor, background: tuple[float, float, float]) -> Tensor:
    backdrop = colour.new_tensor(background)
    return torch.where(alpha == 1, colour, alpha * colour + (1 - alpha) * backdrop)
