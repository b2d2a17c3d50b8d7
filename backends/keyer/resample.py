"""Resizing and hole-filling of numpy pictures with torch and scipy, no image library."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from ...core.layout import to_pixels, to_planes
from .lab import Array


def size_within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(H, W) shrunk, aspect kept, until no side is over `longest`; no side falls below 1."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(picture: Array, size: tuple[int, int]) -> Array:
    """(H, W) or (H, W, C) float32 -> the same at (h, w): bilinear, antialiased when it shrinks."""
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
    """Rows start..stop of what `resize(picture, size)` gives when it enlarges, and only those."""
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
    """Weighted local means of values (H, W, C) with weight (H, W), defined everywhere.

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


def _blur(picture: Array, sigma: float) -> Array:
    """A Gaussian blur; a wide one is computed on fewer pixels."""
    size = (picture.shape[0], picture.shape[1])
    grid = size_within(size, max(1, round(max(size) / max(1.0, sigma / 2))))
    scale = max(grid) / max(size)
    axes = (sigma * scale, sigma * scale, *[0] * (picture.ndim - 2))
    return resize(ndimage.gaussian_filter(resize(picture, grid), axes, truncate=3), size)
