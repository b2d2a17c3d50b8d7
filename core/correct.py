"""What Apply Mask and `rmbg mask` make of a mask, by the picture that it belongs to."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from .alpha import MaskOptions, adjust_mask
from .coarse import fit_mask
from .solid import solid_interiors
from .subject import keep_subject


def correct_mask(
    mask: Tensor,
    image: Tensor,
    options: MaskOptions,
    *,
    fit: float = 0.0,
    subject: Tensor | None = None,
    solid: bool = False,
    keep: Tensor | None = None,
    drop: Tensor | None = None,
) -> Tensor:
    """Correct a mask (B, H, W) of a picture (B, H, W, C): invert, fit, keep the subject, make its
    interior solid, then the rest of `options` and the painted corrections.

    fit: pixels by which a rough mask's outline may be off, 0 = it is none. subject: (B, H, W), what
    is meant, or None. keep, drop: see `keep_and_drop`. Raises what these steps do.
    """
    if options.invert:
        mask, options = 1 - mask.clamp(0, 1), replace(options, invert=False)
    if fit:
        mask = fit_mask(mask, image, fit)
    if subject is not None:
        mask = keep_subject(mask, subject, image)
    if solid:
        mask = solid_interiors(mask, image)
    return adjust_mask(mask, options, keep, drop)
