"""Saliency by robust background detection: what hardly touches the picture's border stands out.

Zhu, Liang, Wei and Sun 2014, "Saliency Optimization from Robust Background Detection". Equation
numbers are the paper's.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import shortest_path

from .lab import Array
from .superpixels import Labels, means

COLOUR_SIGMA = 10.0  # sigma_clr, in Lab units
PLACE_SIGMA = 0.25  # sigma_spa, as a share of the picture's longer side
BORDER_SIGMA = 1.0  # sigma_BndCon
EVENNESS = 0.1  # mu of equation 9, against small noise

Table: TypeAlias = NDArray[np.float64]


def saliency(lab: Array, labels: Labels) -> Array:
    """(H, W, 3) float32 Lab and superpixels (H, W) -> saliency (H, W) float32 in 0..1."""
    count = int(labels.max()) + 1
    height, width = labels.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    place = means(np.stack([y, x], axis=-1), labels, count).astype(np.float64)
    colour = means(lab, labels, count).astype(np.float64)
    apart = np.linalg.norm(colour[:, None] - colour[None], axis=-1)
    away = np.linalg.norm(place[:, None] - place[None], axis=-1)
    border = np.zeros(count, bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        border[side] = True
    edges = _edges(labels, count, border)

    background = _background_probability(apart, edges, border)
    contrast = (apart * np.exp(-(away**2) / (2 * PLACE_SIGMA**2)) * background).sum(axis=1)  # (7)
    contrast /= max(float(contrast.max()), 1e-9)
    return _optimum(contrast, background, apart, edges).astype(np.float32)[labels]


def _edges(labels: Labels, count: int, border: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which superpixels touch; those on the border all touch each other, as the paper has it."""
    touch = np.zeros((count, count), bool)
    touch[labels[:, 1:], labels[:, :-1]] = True
    touch[labels[1:], labels[:-1]] = True
    touch |= touch.T
    touch[np.ix_(border, border)] = True
    np.fill_diagonal(touch, False)
    return touch


def _background_probability(
    apart: Table, edges: NDArray[np.bool_], border: NDArray[np.bool_]
) -> Table:
    # The typical step between neighbours is discounted, or a long way through texture adds up.
    nearest = np.where(edges, apart, np.inf).min(axis=1)
    usual = float(np.mean(nearest[np.isfinite(nearest)])) if np.isfinite(nearest).any() else 0.0
    graph = sparse.csr_matrix(np.where(edges, np.maximum(apart - usual, 0) + 1e-6, 0))
    geodesic = shortest_path(graph, directed=False)
    same = np.exp(-(geodesic**2) / (2 * COLOUR_SIGMA**2))
    area = same.sum(axis=1)  # (3)
    length = same[:, border].sum(axis=1)  # (4)
    connectivity = length / np.sqrt(area)  # (5)
    probability: Table = 1 - np.exp(-(connectivity**2) / (2 * BORDER_SIGMA**2))  # (8)
    return probability


def _optimum(foreground: Table, background: Table, apart: Table, edges: NDArray[np.bool_]) -> Table:
    """The s that is least in sum bg s^2 + sum fg (s - 1)^2 + sum w (s_i - s_j)^2, equation 9."""
    joined = edges * (np.exp(-(apart**2) / (2 * COLOUR_SIGMA**2)) + EVENNESS)
    laplacian = np.diag(joined.sum(axis=1)) - joined
    system = laplacian + np.diag(foreground + background + 1e-9)
    solution = np.linalg.solve(system, foreground)
    return np.asarray(np.clip(solution, 0, 1), np.float64)
