"""Pictures as numpy planes: resized, their holes filled, their colours compared in CIE Lab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from ...core.layout import to_pixels, to_planes

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
# RGB to luma and two colour differences (ITU-R BT.601), these at half weight: JPEG and video store
# colour at half the resolution of light.
LUMA_FIRST = np.array(
    [
        [0.299, -0.1687 * 0.5, 0.5 * 0.5],
        [0.587, -0.3313 * 0.5, -0.4187 * 0.5],
        [0.114, 0.5 * 0.5, -0.0813 * 0.5],
    ],
    np.float32,
)
LINEAR_BELOW = (6 / 29) ** 3
TABLE_LAST = 4095


def size_within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Shrink (H, W), aspect kept, until no side is over `longest`; no side falls below 1."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(picture: Array, size: tuple[int, int]) -> Array:
    """Resize (H, W) or (H, W, C) float32 to (h, w): bilinear, antialiased when it shrinks."""
    if picture.shape[:2] == size:
        return picture
    shrinks = size[0] < picture.shape[0] or size[1] < picture.shape[1]
    # torch takes neither flipped nor read-only arrays; require copies only those.
    array = np.require(np.atleast_3d(picture), np.float32, ["C", "W"])
    planes = to_planes(torch.from_numpy(array)[None]).contiguous()
    scaled = functional.interpolate(planes, size=size, mode="bilinear", antialias=shrinks)
    result: Array = to_pixels(scaled)[0].contiguous().numpy()
    return result.reshape(*size, *picture.shape[2:])


def rows_of(picture: Array, start: int, stop: int, size: tuple[int, int]) -> Array:
    """Return rows start..stop alone of what `resize(picture, size)` gives when it enlarges."""
    height = picture.shape[0]
    centre = (np.arange(start, stop) + 0.5) * height / size[0] - 0.5
    centre = np.clip(centre, 0, height - 1)
    above = np.floor(centre).astype(np.intp)
    share = (centre - above).astype(np.float32).reshape(-1, *[1] * (picture.ndim - 1))
    below = np.minimum(above + 1, height - 1)
    rows = picture[above] * (1 - share) + picture[below] * share
    return resize(rows, (stop - start, size[1]))


def spread(
    values: Array, weight: Array, size: tuple[int, int], scales: Sequence[tuple[float, float]]
) -> Array:
    """Return weighted local means of values (H, W, C) with weight (H, W), defined everywhere.

    Normalised convolution (Knutsson and Westin 1993) with several Gaussians, each of (sigma in
    pixels of the grid, trust): near weight the narrow ones decide, far from it the wide ones. It is
    computed on a grid of `size` (h, w) and returned there, (h, w, C) float32.
    """
    total = resize(values * weight[..., None], size)
    mass = resize(weight, size)
    numerator = np.zeros_like(total)
    denominator = np.full_like(mass, 1e-12)
    for sigma, trust in scales:
        numerator += np.float32(trust) * _blur(total, sigma)
        denominator += np.float32(trust) * _blur(mass, sigma)
    return (numerator / denominator[..., None]).astype(np.float32)


def srgb_to_lab(rgb: Array) -> Array:
    """Turn (..., 3) float32 sRGB in 0..1 into Lab: L in 0..100, a and b about -110..110.

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
    """Return the distance in Lab (CIE 1976 Delta E) of two (..., 3) arrays: (...)."""
    return np.asarray(np.linalg.norm(first - second, axis=-1), np.float32)


def _blur(picture: Array, sigma: float) -> Array:
    """Blur by a Gaussian; a wide one is computed on fewer pixels."""
    size = (picture.shape[0], picture.shape[1])
    grid = size_within(size, max(1, round(max(size) / max(1.0, sigma / 2))))
    scale = max(grid) / max(size)
    axes = (sigma * scale, sigma * scale, *[0] * (picture.ndim - 2))
    return resize(ndimage.gaussian_filter(resize(picture, grid), axes, truncate=3), size)
