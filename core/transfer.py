"""The sRGB transfer function, IEC 61966-2-1:1999: encoded values to linear light and back."""

from __future__ import annotations

import torch
from torch import Tensor


def to_linear(encoded: Tensor) -> Tensor:
    """sRGB-encoded values in 0..1, any shape -> linear light in 0..1."""
    curve = ((encoded.clamp(min=0) + 0.055) / 1.055) ** 2.4
    return torch.where(encoded <= 0.04045, encoded / 12.92, curve)


def to_srgb(linear: Tensor) -> Tensor:
    """Linear light in 0..1, any shape -> sRGB-encoded values in 0..1."""
    curve = 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curve)
