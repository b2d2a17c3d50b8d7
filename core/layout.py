"""Axis orders. ComfyUI and this package keep colour last; torch's image functions want it second.

Only this file and `nodes/tensors.py` permute axes.
"""

from __future__ import annotations

from torch import Tensor


def to_planes(image: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W), a view."""
    return image.permute(0, 3, 1, 2)


def to_pixels(planes: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), a view."""
    return planes.permute(0, 2, 3, 1)
