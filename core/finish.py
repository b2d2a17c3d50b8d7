"""A backend's raw matte to the picture's size: plainly, or refined along the picture's edges."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor

from .checks import check_image, check_mask, common_batch, within_range
from .errors import BadOption
from .guided import refine_edges
from .local_colours import follow_colours

# Alpha 0 and 1 have no logit; they are taken half an 8-bit level inside and stretched back after.
_INSET = 1 / 512
# A little more than the inset, so that rounding cannot leave 1e-9 of the background behind.
_STRETCH = _INSET + 1e-6
_HALF_LEVEL = 1 / 510


def to_size(values: Tensor, kind: Literal["logits", "alpha"], height: int, width: int) -> Tensor:
    """Bring a matte to another size, without looking at the picture.

    values: (B, h, w); kind "logits" (any real number) or "alpha" (0..1). Returns alpha in 0..1,
    (B, height, width), in the dtype of `values`. Interpolation is bicubic on logits, which keeps
    an edge as narrow as the new size allows; antialiased when shrinking. Alpha that is 0 or 1
    all around stays exactly so. Alpha that has the size already is returned as it is.

    Raises BadOption for another kind, BadPicture for another shape and for values
    that are not finite.
    """
    if kind not in ("logits", "alpha"):
        raise BadOption(f'A matte is of kind "logits" or "alpha", not "{kind}".')
    check_mask(values)
    has_size = values.shape[1:] == (height, width)
    if kind == "alpha" and has_size:
        return values
    numbers = values.float()
    if kind == "alpha":
        numbers = numbers.clamp(_INSET, 1 - _INSET).logit()
    if has_size:
        alpha = numbers.sigmoid()
    else:
        antialias = height < values.shape[1] or width < values.shape[2]
        numbers = functional.interpolate(
            numbers[:, None], (height, width), mode="bicubic", antialias=antialias
        )
        alpha = numbers[:, 0].sigmoid_()
    if kind == "alpha":
        alpha = (alpha - _STRETCH).div_(1 - 2 * _STRETCH).clamp_(0, 1)
    return alpha.to(values.dtype)


def upsample_mask(
    mask: Tensor,
    image: Tensor,
    *,
    kind: Literal["logits", "alpha"] = "alpha",
    refine: bool = True,
    refine_same_size: bool = False,
) -> Tensor:
    """Bring a mask to the size of its picture, with the picture's own edges.

    mask: (B, h, w), alpha in 0..1 or logits, 1 = subject. image: (B, H, W, C) in 0..1 with C = 1,
    3 or 4, the fourth not looked at; on the same device. Batches of 1 and N go together.
    refine: move edges to those of the picture (`core/guided.py`, of a mask that is nowhere larger
    than the picture) and, as far as the mask is seen to err, to what the colours on both sides tell
    (`core/local_colours.py`); where the picture is too noisy or its colours too alike to tell, the
    result stays with `to_size`. Without `refine` it is `to_size`.
    refine_same_size: refine a mask that has the picture's size already, too. Without it such a
    mask comes back unchanged: it holds edges of this resolution, and refining could only guess.

    Returns alpha (B, H, W) in 0..1, in the image's dtype.
    Raises BadOption for another kind and batches that do not pair up, BadPicture for other shapes
    and for values that are not finite.
    """
    check_mask(mask)
    check_image(image, "image")
    batch = common_batch({"mask": mask.shape[0], "image": image.shape[0]})
    height, width = image.shape[1:3]
    same_size = mask.shape[1:] == (height, width)
    smaller = mask.shape[1] <= height and mask.shape[2] <= width
    if same_size and kind == "alpha" and not (refine and refine_same_size):
        return mask.expand(batch, -1, -1).to(image.dtype)

    plain = to_size(mask.float(), kind, height, width).expand(batch, -1, -1)
    if not refine or (same_size and not refine_same_size):
        return plain.to(image.dtype)
    matte = mask.float().clamp(0, 1) if kind == "alpha" else mask.float().sigmoid()
    matte = matte.expand(batch, -1, -1)
    colours = within_range(image[..., :3]).expand(batch, -1, -1, 3)
    refined = plain.clone(memory_format=torch.contiguous_format)
    for n in range(batch):
        picture = colours[n].float()
        if smaller:
            refine_edges(matte[n], plain[n], picture, refined[n])
        follow_colours(matte[n], picture, refined[n])
    return refined.to(image.dtype)


def settle(alpha: Tensor) -> Tensor:
    """Make alpha that lies within half an 8-bit level of 0 or 1 exactly that.

    A network's sigmoid never reaches either, so its background would keep a thousandth of the old
    picture: white would be 254, and no pixel of the subject would count as opaque.
    """
    alpha = torch.where(alpha < _HALF_LEVEL, 0.0, alpha)
    return alpha.masked_fill_(alpha > 1 - _HALF_LEVEL, 1.0)
