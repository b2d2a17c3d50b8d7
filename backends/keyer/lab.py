"""sRGB to CIE Lab, where a distance of about 2 is the least difference that an eye sees."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float32]

# IEC 61966-2-1 primaries with the D65 white divided out, so that white is (1, 1, 1).
RGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE_RGB_TO_XYZ = (RGB_TO_XYZ / RGB_TO_XYZ.sum(axis=1, keepdims=True)).astype(np.float32)
LINEAR_BELOW = (6 / 29) ** 3
TABLE_LAST = 4095


def srgb_to_lab(rgb: Array) -> Array:
    """(..., 3) float32 sRGB in 0..1 -> (..., 3) float32 Lab: L in 0..100, a and b about -110..110.

    CIE 1976 L*a*b* for D65. The transfer curve comes from a table of 4,096 levels, 16 for each
    level of an 8-bit picture.
    """
    encoded = np.linspace(0, 1, TABLE_LAST + 1)
    curve = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    levels = np.rint(np.clip(rgb, 0, 1) * TABLE_LAST).astype(np.int32)
    xyz = curve.astype(np.float32)[levels] @ WHITE_RGB_TO_XYZ.T
    f = np.where(xyz > LINEAR_BELOW, np.cbrt(xyz), xyz * np.float32(841 / 108) + np.float32(4 / 29))
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.asarray(np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1), np.float32)


def lab_distance(first: Array, second: Array) -> Array:
    """Euclidean distance in Lab (CIE 1976 Delta E) of two (..., 3) arrays -> (...)."""
    return np.asarray(np.linalg.norm(first - second, axis=-1), np.float32)
