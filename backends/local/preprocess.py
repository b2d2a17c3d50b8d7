"""What a network is fed and what its logits mean, as its model card says; one row each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.layout import to_planes
from .networks.isnet import IsNet


@dataclass(frozen=True)
class Recipe:
    """How a model is fed, and what its logits mean."""

    resolution: int
    """The side of the square that the model was trained at."""
    antialias: bool
    """Its card shrinks so: torchvision's Resize on PIL does, RMBG-1.4's F.interpolate does not."""
    mean: tuple[float, float, float]
    """Of the normalisation, as is `std`."""
    std: tuple[float, float, float]
    stretched: bool
    """The card stretches every picture's alpha to 0..1."""
    bytes_per_pixel: int
    """Working memory of one float32 forward for each pixel of the square, taken from the
    straightforward forward on a CPU (bench/networks.py). Ours takes a quarter of it there; on a GPU
    it was not measured. Too much costs a smaller batch, too little a failed attempt."""


# Model cards of briaai/RMBG-2.0 and briaai/RMBG-1.4. The card of 1.4 also truncates the resized
# picture to bytes; its later pipeline does not, and neither do we.
BIREFNET = Recipe(1024, True, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False, 2600)
ISNET = Recipe(1024, False, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), True, 600)


def recipe_of(network: nn.Module) -> Recipe:
    """Return the recipe by architecture: a fine-tune is fed like what it was tuned from."""
    return ISNET if isinstance(network, IsNet) else BIREFNET


def prepare(pictures: Sequence[Tensor], side: int, recipe: Recipe, device: torch.device) -> Tensor:
    """Make (B, 3, side, side), normalised, on the device, of (H, W, 3) pictures in 0..1.

    The picture is squeezed into the square, as the models were trained.
    """
    mean = torch.tensor(recipe.mean, device=device)[:, None, None]
    std = torch.tensor(recipe.std, device=device)[:, None, None]
    squares = [_square(picture.to(device), side, recipe.antialias) for picture in pictures]
    return (torch.cat(squares) - mean) / std


def _square(picture: Tensor, side: int, antialias: bool) -> Tensor:
    planes = to_planes(picture[None])
    if planes.shape[2:] == (side, side):
        return planes
    return _where_it_runs(
        lambda at: F.interpolate(
            at, (side, side), mode="bilinear", align_corners=False, antialias=antialias
        ),
        planes,
    )


def _where_it_runs(operation: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """Run it on the value's device, or on the CPU where that device lacks the operation."""
    try:
        return operation(value)
    except NotImplementedError:
        _warn(value.device.type)
        return operation(value.cpu()).to(value.device)


@cache
def _warn(device: str) -> None:
    """Warn once for a device: it is slower, not wrong."""
    logging.getLogger("rmbg_nodes").warning(
        "%s cannot resize with antialiasing; pictures are resized on the CPU.", device
    )


def stretch(alpha: Tensor) -> Tensor:
    """Stretch (h, w) alpha so that it reaches 0 and 1, as RMBG-1.4's card does; a flat map, in
    which there is no subject, stays as it is instead of dividing by zero."""
    low, high = torch.aminmax(alpha)
    if float(high - low) < _FLAT:
        return alpha
    return (alpha - low) / (high - low)


#: A map whose values lie closer together than this shows no subject; stretched, only noise.
_FLAT = 1e-2
