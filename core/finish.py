"""A backend's raw matte to the picture's size: plainly, or refined along the picture's edges."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor

from .errors import BadOption, BadPicture
from .guided import refine_edges

# Alpha 0 and 1 have no logit; they are taken half an 8-bit level inside and stretched back after.
_INSET = 1 / 512
_HALF_LEVEL = 1 / 510


def to_size(values: Tensor, kind: Literal["logits", "alpha"], height: int, width: int) -> Tensor:
    """A matte at another size, without looking at the picture.

    values: (B, h, w); kind "logits" (any real number) or "alpha" (0..1). Returns alpha in 0..1,
    (B, height, width), in the dtype of `values`. Interpolation is bicubic on logits, which keeps
    an edge as narrow as the new size allows; antialiased when shrinking. Alpha that is 0 or 1
    all around stays exactly so. Alpha that has the size already is returned as it is.

    Raises BadOption for another kind, BadPicture for a matte without pixels or of another shape.
    """
    if kind not in ("logits", "alpha"):
        raise BadOption(f'A matte is of kind "logits" or "alpha", not "{kind}".')
    _check_matte(values)
    has_size = values.shape[1:] == (height, width)
    if kind == "alpha" and has_size:
        return values
    numbers = values.float()
    if kind == "alpha":
        numbers = numbers.clamp(_INSET, 1 - _INSET).logit()
    if not has_size:
        numbers = functional.interpolate(
            numbers[:, None],
            (height, width),
            mode="bicubic",
            antialias=height < values.shape[1] or width < values.shape[2],
        )[:, 0]
    alpha = numbers.sigmoid()
    if kind == "alpha":
        alpha = ((alpha - _INSET) / (1 - 2 * _INSET)).clamp(0, 1)
    return alpha.to(values.dtype)


def upsample_mask(
    mask: Tensor,
    image: Tensor,
    *,
    kind: Literal["logits", "alpha"] = "alpha",
    refine: bool = True,
    refine_same_size: bool = False,
) -> Tensor:
    """A mask at the size of its picture, with the picture's own edges.

    mask: (B, h, w), alpha in 0..1 or logits, 1 = subject. image: (B, H, W, C) in 0..1 with C = 1,
    3 or 4, the fourth not looked at; on the same device. Batches of 1 and N go together.
    refine: move edges to those of the picture (`core/guided.py`); where the picture is too noisy
    or its colours too alike to tell, the result stays with `to_size`, and so it does where the
    mask is larger than the picture. Without `refine` it is `to_size`.
    refine_same_size: refine a mask that has the picture's size already, too. Without it such a
    mask comes back unchanged: it holds edges of this resolution, and refining could only guess.

    Returns alpha (B, H, W) in 0..1, in the image's dtype.
    Raises BadOption for another kind, BadPicture for shapes that do not fit.
    """
    _check_matte(mask)
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise BadPicture(
            "An image has the shape (batch, height, width, 1, 3 or 4 channels); this one is "
            f"{tuple(image.shape)}."
        )
    batch = max(mask.shape[0], image.shape[0])
    if {mask.shape[0], image.shape[0]} - {1, batch}:
        raise BadPicture(
            f"{mask.shape[0]} masks and {image.shape[0]} images do not pair up; send as many of "
            "one as of the other, or a single one."
        )
    height, width = image.shape[1:3]
    same_size = mask.shape[1:] == (height, width)
    smaller = mask.shape[1] <= height and mask.shape[2] <= width
    if same_size and kind == "alpha" and not (refine and refine_same_size):
        return mask.expand(batch, -1, -1).to(image.dtype)

    plain = to_size(mask.float(), kind, height, width).expand(batch, -1, -1)
    if not (refine and smaller and (refine_same_size or not same_size)):
        return plain.to(image.dtype)
    matte = mask.float().clamp(0, 1) if kind == "alpha" else mask.float().sigmoid()
    matte = matte.expand(batch, -1, -1)
    colours = image[..., :3].expand(batch, -1, -1, 3)
    # One by one: the planes of a fit take some thirty times the memory of its mask.
    refined = [
        refine_edges(matte[n], plain[n], colours[n].float().clamp(0, 1)) for n in range(batch)
    ]
    return torch.stack(refined).to(image.dtype)


def settle(alpha: Tensor) -> Tensor:
    """Alpha that lies within half an 8-bit level of 0 or 1 becomes exactly that.

    A network's sigmoid never reaches either, so its background would keep a thousandth of the old
    picture: white would be 254, and no pixel of the subject would count as opaque.
    """
    alpha = torch.where(alpha < _HALF_LEVEL, 0.0, alpha)
    return torch.where(alpha > 1 - _HALF_LEVEL, 1.0, alpha)


def _check_matte(values: Tensor) -> None:
    if values.ndim != 3 or 0 in values.shape:
        raise BadPicture(
            f"A mask has the shape (batch, height, width); this one is {tuple(values.shape)}."
        )
