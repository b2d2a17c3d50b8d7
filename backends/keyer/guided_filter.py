"""The colour guided filter: a rough map takes the edges of the picture.

He, Sun and Tang 2013, "Guided Image Filtering", section 3.5.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .lab import Array


def guided_coefficients(guide: Array, values: Array, radius: int, epsilon: float) -> Array:
    """guide (H, W, 3) in 0..1 and values (H, W) -> (H, W, 4): values ~ guide . first three + last.

    evenness: the variance in the guide below which it is taken for flat (epsilon of the paper).
    """

    def mean(array: Array) -> Array:
        sides = (2 * radius + 1, 2 * radius + 1, *[1] * (array.ndim - 2))
        blurred: Array = ndimage.uniform_filter(array, sides, mode="nearest")
        return blurred

    centre = mean(guide)
    level = mean(values)
    products = (guide[..., :, None] * guide[..., None, :]).reshape(*guide.shape[:2], 9)
    covariance = mean(products).reshape(*guide.shape[:2], 3, 3)
    covariance = covariance - centre[..., :, None] * centre[..., None, :]
    covariance = covariance + np.eye(3, dtype=np.float32) * np.float32(epsilon)
    shared = mean(guide * values[..., None]) - centre * level[..., None]
    slope = np.linalg.solve(covariance, shared[..., None])[..., 0]
    offset = level - np.einsum("hwc,hwc->hw", slope, centre)
    return mean(np.concatenate([slope, offset[..., None]], axis=-1).astype(np.float32))


def apply_coefficients(guide: Array, coefficients: Array) -> Array:
    """guide (H, W, 3) and (H, W, 4) -> (H, W) in 0..1."""
    values = np.einsum("hwc,hwc->hw", guide, coefficients[..., :3]) + coefficients[..., 3]
    return np.asarray(np.clip(values, 0, 1), np.float32)
