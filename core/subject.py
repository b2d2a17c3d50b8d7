"""Which of the things in a matte is meant: those that a coarse mask or boxes point at.

What does not touch is told apart as it is. What touches (two people arm in arm) is cut where the
picture or the matte changes most, by a watershed that rises from what was chosen and from the
middle of what was not (the image foresting transform: Falcao, Stolfi and Lotufo, 2004). Hair that
reaches out of the mask has no middle, so it stays with its head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .checks import check_image, check_mask, common_batch
from .errors import BadOption, BadPicture
from .morphology import EIGHT_NEIGHBOURS, ISLAND_LEVEL, Plane, Region
from .smoothing import gaussian_blur

#: How far a subject mask's outline may be off, as a share of the picture's shorter side.
REACH = 0.016
# What is deeper than this share of the shorter side is a thing of its own, not a strand of hair or
# the rim that a rough mask leaves.
_THICK = 0.016
# Loose hair is kept as far as this share of the shorter side from the mask.
_WISPS = 0.05
_SOLID = 0.5
_CHOSEN, _OTHER, _BACKDROP = 1, 2, -1
_STEP_SIGMA = 1.0  # in pixels: steps of noise are none
# Sigma in pixels: a cut through what touches is as soft as a sharp edge.
_CUT_SOFTNESS = 0.8

_NOTHING_MEANT = (
    "The subject mask is 0 everywhere, so it points at nothing. Paint over the subject, or take "
    "the mask away to keep all that the model finds."
)
_NOTHING_FOUND = (
    "The model found nothing where the subject mask is. Correct the mask, take another model, or "
    'choose "edges only" in Load RMBG, which cuts out along the mask itself.'
)

Box = Mapping[str, float]


def keep_subject(alpha: Tensor, subject: Tensor, image: Tensor) -> Tensor:
    """Return the part of an alpha (B, H, W) that belongs to the subject, in its dtype.

    subject: (B, H, W) in 0..1, 1 = what is meant, roughly: its outline may be off by REACH.
    image: (B, H, W, C) in 0..1. Runs on the CPU. Raises BadPicture where the mask is empty or the
    alpha has nothing there.
    """
    check_mask(alpha)
    check_mask(subject, "subject mask")
    check_image(image, "image")
    common_batch({"mask": len(alpha), "subject mask": len(subject), "image": len(image)})
    kept = torch.empty_like(alpha)
    for number, matte in enumerate(alpha):
        colours = image[number, ..., :3].float().cpu().numpy()
        plane, meant = matte.float().cpu().numpy(), subject[number].float().cpu().numpy() > _SOLID
        kept[number] = torch.from_numpy(_kept(plane, meant, colours)).to(alpha)
    return kept


def for_each(masks: Tensor, pictures: int) -> list[Tensor]:
    """Return the subject mask (h, w) of each picture, of one (1, h, w) for all or (pictures, h, w).

    Raises BadOption for another number of masks.
    """
    if len(masks) not in (1, pictures):
        raise BadOption(
            f"There are {len(masks)} subject masks and pictures: {pictures}. Give one mask for "
            "all, or one for each."
        )
    return [*masks.expand(pictures, -1, -1)]


def boxes_mask(boxes: Sequence[Box], height: int, width: int) -> Tensor:
    """Draw boxes, {"x", "y", "width", "height"} in pixels, as a mask (1, height, width) of 0 and 1.

    Raises BadOption for a box without these numbers or without any area in the picture.
    """
    mask = torch.zeros(1, height, width)
    for box in boxes:
        try:
            left, top = float(box["x"]), float(box["y"])
            right, bottom = left + float(box["width"]), top + float(box["height"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadOption(
                f"{box!r} is no box: it needs the numbers x, y, width and height, in pixels."
            ) from error
        rows = slice(max(round(top), 0), max(round(bottom), 0))
        columns = slice(max(round(left), 0), max(round(right), 0))
        if not mask[:, rows, columns].numel():
            raise BadOption(f"The box {dict(box)} has no area in a picture of {width} x {height}.")
        mask[:, rows, columns] = 1
    return mask


def _kept(alpha: Plane, meant: Region, image: Plane) -> Plane:
    if not meant.any():
        raise BadPicture(_NOTHING_MEANT)
    shorter = min(alpha.shape)
    distance = ndimage.distance_transform_edt(~meant)
    near = distance <= max(REACH * shorter, 1)
    around = distance <= max(_WISPS * shorter, 1)
    solid = alpha > _SOLID
    chosen = solid & meant
    if not chosen.any():
        raise BadPicture(_NOTHING_FOUND)
    # The middle of what is thick and lies beyond: a rim that looks out of the mask has none.
    other = ndimage.distance_transform_edt(solid & ~near) > max(_THICK * shorter, 1)
    visible = alpha > ISLAND_LEVEL
    pieces, count = ndimage.label(visible, structure=EIGHT_NEIGHBOURS)
    has_chosen, has_other, is_around = (
        ndimage.maximum(region & visible, pieces, range(count + 1)) > 0
        for region in (chosen, other, around)
    )
    share = (is_around & ~has_other)[pieces]
    touching = (has_chosen & has_other)[pieces]
    if touching.any():
        share |= _side_of(alpha, image, chosen, other, touching)
    # What is fainter goes with the pixel of a piece that lies nearest.
    nearest = ndimage.distance_transform_edt(~visible, return_distances=False, return_indices=True)
    whole = share[tuple(nearest)].astype(np.float32)
    if touching.any():
        whole = gaussian_blur(torch.from_numpy(whole)[None], _CUT_SOFTNESS)[0].numpy()
    return np.asarray(alpha * whole, np.float32)


def _side_of(alpha: Plane, image: Plane, chosen: Region, other: Region, touching: Region) -> Region:
    """Return the pixels of `touching` that are reached from `chosen` in smaller steps of the
    picture than from `other`. What is more than half clear goes with the pixel nearest to it."""
    window = ndimage.find_objects(touching.astype(np.uint8))[0]
    touching, alpha = touching[window], alpha[window]
    grey = ndimage.gaussian_filter(image[window].mean(axis=-1), _STEP_SIGMA)
    markers = np.zeros(alpha.shape, np.int16)
    markers[~touching] = _BACKDROP
    markers[other[window] & touching] = _OTHER
    markers[chosen[window] & touching] = _CHOSEN
    ground = (255 * grey * alpha).clip(0, 255).astype(np.uint8)
    sides = ndimage.watershed_ift(ground, markers, structure=EIGHT_NEIGHBOURS.astype(np.int8))
    solid = touching & (alpha > _SOLID)
    nearest = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    found = np.zeros(image.shape[:2], np.bool_)
    found[window] = touching & (sides[tuple(nearest)] == _CHOSEN)
    return found
