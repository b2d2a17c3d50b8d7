"""SLIC superpixels: k-means of colour and place, each pixel among its nine nearest seeds.

Achanta et al. 2012, "SLIC Superpixels Compared to State-of-the-art Superpixel Methods"; with the
seeds on a fixed grid, as in gSLIC (Ren and Reid 2011), every step is plain array work.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .lab import Array

Labels: TypeAlias = NDArray[np.intp]

ROUNDS = 6
COMPACTNESS = 14.0  # Lab distance that weighs as much as one seed spacing


def superpixels(lab: Array, count: int) -> Labels:
    """(H, W, 3) float32 Lab -> labels (H, W) 0..n-1, n about `count`, each label in use."""
    height, width = lab.shape[:2]
    spacing = max(1.0, (height * width / count) ** 0.5)
    rows, columns = max(1, round(height / spacing)), max(1, round(width / spacing))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    place = np.stack([y, x], axis=-1) * np.float32(COMPACTNESS / spacing)
    features = np.concatenate([lab, place], axis=-1)
    home_row = np.minimum((y * rows / height).astype(np.intp), rows - 1)
    home_column = np.minimum((x * columns / width).astype(np.intp), columns - 1)
    labels: Labels = home_row * columns + home_column
    for _ in range(ROUNDS):
        centres = means(features, labels, rows * columns)
        best = np.full((height, width), np.inf, np.float32)
        chosen = labels
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                row = np.clip(home_row + down, 0, rows - 1)
                seed = row * columns + np.clip(home_column + right, 0, columns - 1)
                offset = features - centres[seed]
                distance = np.einsum("hwc,hwc->hw", offset, offset)
                nearer = distance < best
                best = np.where(nearer, distance, best)
                chosen = np.where(nearer, seed, chosen)
        labels = chosen
    _, compact = np.unique(labels, return_inverse=True)
    return compact.reshape(height, width).astype(np.intp)


def means(values: Array, labels: Labels, count: int) -> Array:
    """Mean of values (H, W, C) in each label: (count, C) float32; 0 where a label has no pixel."""
    flat = labels.ravel()
    sizes = np.maximum(np.bincount(flat, minlength=count), 1)
    planes = values.reshape(-1, values.shape[-1])
    sums = [np.bincount(flat, planes[:, c], minlength=count) for c in range(planes.shape[1])]
    return (np.stack(sums, axis=1) / sizes[:, None]).astype(np.float32)
