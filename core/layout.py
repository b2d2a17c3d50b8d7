"""Axis orders. ComfyUI and this package keep colour last; torch's image functions want it second.

Only this file and `nodes/tensors.py` permute axes.
"""

from __future__ import annotations

from torch import Tensor


def to_planes(image: Tensor) -> Tensor:
    """View (B, H, W, C) as (B, C, H, W)."""
    return image.permute(0, 3, 1, 2)


def to_pixels(planes: Tensor) -> Tensor:
    """View (B, C, H, W) as (B, H, W, C)."""
    return planes.permute(0, 2, 3, 1)
