"""The ways from a network's mask to a cut-out that `bench/real.py` compares; one row each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ..core.alpha import MaskOptions, adjust_mask
from ..core.cutout import cutout
from ..core.finish import settle, to_size, upsample_mask
from ..core.solid import solid_interiors
from ..demo.shapes import Array

Levels = NDArray[np.uint8]  # alpha in 8 bits

#: The row on the contact sheet: the default in ComfyUI and on the command line.
DEFAULT = "refined, decontaminated"
# rembg's own numbers.
FOREGROUND, BACKGROUND, ERODED = 240, 10, 10
MIDDLE = 127


@dataclass(frozen=True)
class Cut:
    """alpha: (H, W). colour: (H, W, 3), straight."""

    alpha: Array
    colour: Array


#: The refined mask with the old background's colour taken out by so much; only halo can differ.
DECONTAMINATION = {
    DEFAULT: 1.0,
    "refined, half decontaminated": 0.5,
    "refined, not decontaminated": 0.0,
}
#: What can be done to a finished mask; each is tried after refining, alone.
OPTIONS = {
    "black .05, white .95": MaskOptions(black=0.05, white=0.95),
    "threshold .5": MaskOptions(threshold=0.5),
    "fill all holes": MaskOptions(fill_holes=1.0),
    "only the largest island": MaskOptions(remove_islands=1.0),
    "shrink 1 pixel": MaskOptions(grow=-1.0),
    "feather 2 pixels": MaskOptions(feather=2.0),
}


def cuts(mask: Array, image: Array) -> Iterator[tuple[str, Cut]]:
    """Yield every way's name and cut-out: ours, rembg's, and its alpha matting where pymatting is
    installed. mask: (h, w), image: (H, W, 3), both in 0..1."""
    yield "plain resize", _cut(image, _plain(mask, image))
    not_solid = _refined(mask, image)
    refined = _solid(not_solid, image)
    for name, amount in DECONTAMINATION.items():
        yield name, _cut(image, refined, amount)
    for name, options in OPTIONS.items():
        adjusted = adjust_mask(torch.from_numpy(refined)[None], options)[0].numpy()
        yield f"refined, {name}", _cut(image, np.asarray(adjusted, np.float32))
    yield "refined, interiors as the model has them", _cut(image, not_solid)
    levels = _rembg_levels(mask, image)
    yield "rembg", _multiplied(levels, image)
    yield "rembg, post_process_mask", rembg_post_processed(levels, image)
    if find_spec("pymatting") is not None:
        yield "rembg, alpha_matting", rembg_matting(levels, image)


def true_cut(truth: Array, image: Array) -> Cut:
    """Our colours under the true alpha: what is left is the picture's noise and the colours' own
    error."""
    return _cut(image, truth)


def rembg_post_processed(levels: Levels, image: Array) -> Cut:
    """danielgatis/rembg, bg.py's post_process: opened by a cross, blurred (5 x 5, sigma 2), cut at
    127."""
    cross = ndimage.generate_binary_structure(2, 1)
    opened = ndimage.grey_opening(levels, footprint=cross)
    blurred = ndimage.gaussian_filter(opened.astype(np.float32), 2, radius=2, mode="mirror")
    return _multiplied(np.where(np.rint(blurred) < MIDDLE, 0, 255).astype(np.uint8), image)


def rembg_matting(levels: Levels, image: Array) -> Cut:
    """bg.py's alpha_matting_cutout: closed-form matting on a trimap of thresholds and erosion, and
    multi-level colours. Where there is no known pixel of either kind it falls back, as rembg."""
    square = np.ones((ERODED, ERODED))
    trimap = np.full(levels.shape, 0.5)
    trimap[ndimage.binary_erosion(levels > FOREGROUND, square)] = 1
    trimap[ndimage.binary_erosion(levels < BACKGROUND, square, border_value=1)] = 0
    pymatting = import_module("pymatting")
    try:
        alpha = pymatting.estimate_alpha_cf(image.astype(np.float64), trimap)
    except ValueError:  # a trimap without foreground, or without background
        return _multiplied(levels, image)
    colour = pymatting.estimate_foreground_ml(image.astype(np.float64), alpha)
    return Cut(np.asarray(np.clip(alpha, 0, 1), np.float32), np.asarray(colour, np.float32))


def _plain(mask: Array, image: Array) -> Array:
    values = to_size(torch.from_numpy(mask)[None], "alpha", image.shape[0], image.shape[1])
    return np.asarray(values[0].numpy(), np.float32)


def _refined(mask: Array, image: Array) -> Array:
    pair = torch.from_numpy(mask)[None], torch.from_numpy(image)[None]
    values = upsample_mask(*pair, refine_same_size=True)
    return np.asarray(settle(values)[0].numpy(), np.float32)


def _solid(alpha: Array, image: Array) -> Array:
    values = solid_interiors(torch.from_numpy(alpha)[None], torch.from_numpy(image)[None])
    return np.asarray(values[0].numpy(), np.float32)


def _cut(image: Array, alpha: Array, decontaminate: float = 1.0) -> Cut:
    pixels, matte = torch.from_numpy(image)[None], torch.from_numpy(alpha)[None]
    result = cutout(pixels, matte, decontaminate=decontaminate)[0].numpy()
    return Cut(alpha, np.asarray(result[..., :3], np.float32))


def _rembg_levels(mask: Array, image: Array) -> Levels:
    """sessions/dis_general_use.py: the mask stretched to 0..1, cut to bytes, resized by Lanczos."""
    low, high = float(mask.min()), float(mask.max())
    stretched = (mask - low) / (high - low) if high > low else mask
    small = Image.fromarray((stretched * 255).astype(np.uint8))
    size = (image.shape[1], image.shape[0])
    return np.asarray(small.resize(size, Image.Resampling.LANCZOS))


def _multiplied(levels: Levels, image: Array) -> Cut:
    """bg.py's naive_cutout: the colours multiplied with alpha and stored beside it."""
    alpha = np.asarray(levels / 255, np.float32)
    return Cut(alpha, np.asarray(image * alpha[..., None], np.float32))
