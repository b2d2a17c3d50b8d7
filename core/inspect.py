"""What is worth a second look in a finished matte: the warnings of the report."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

#: Share of the picture below which there is no subject worth the name.
_EMPTY_SHARE = 1e-4
#: Share of the four borders that a subject may cover before it counts as cut off by the frame.
_BORDER_SHARE = 0.02
#: Share of the subject's area that may be neither clearly subject nor clearly background.
_UNCERTAIN_SHARE = 0.30
#: Separate pieces, each above a ten-thousandth of the picture.
_MANY_ISLANDS = 12
_ISLAND_SHARE = 1e-4
#: Longest side at which pieces are counted; small specks below its pixel size are not of interest.
_ISLAND_SIDE = 1024


def warnings_for(alpha: Tensor) -> tuple[str, ...]:
    """Sentences (without a full stop) about one alpha, (H, W) in 0..1; empty when all is well."""
    height, width = alpha.shape
    subject = alpha > 0.5
    area = int(subject.sum())
    if area < _EMPTY_SHARE * height * width or area == 0:
        return ("no subject found",)
    found: list[str] = []
    border = torch.cat([subject[0], subject[-1], subject[:, 0], subject[:, -1]])
    if area < height * width and border.float().mean() > _BORDER_SHARE:
        found.append("the subject touches the picture's border")
    uncertain = int(((alpha > 0.1) & (alpha < 0.9)).sum())
    if uncertain > _UNCERTAIN_SHARE * max(area, uncertain):
        found.append(f"{uncertain / (height * width):.0%} of the picture is uncertain")
    islands = _islands(subject)
    if islands > _MANY_ISLANDS:
        found.append(f"the mask has {islands} separate pieces")
    return tuple(found)


def _islands(subject: Tensor) -> int:
    step = -(-max(subject.shape) // _ISLAND_SIDE)
    small = subject[::step, ::step].cpu().numpy()
    labels, _ = ndimage.label(small)
    areas = np.bincount(labels.ravel())[1:]
    return int((areas > _ISLAND_SHARE * small.size).sum())
