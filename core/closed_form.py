"""Closed-form matting: unknown alpha solved from known alpha beside it and the picture's colours.

Levin, Lischinski and Weiss, "A Closed-Form Solution to Natural Image Matting", 2008: where the
colours of subject and backdrop each lie on a line in every 3 x 3 window, alpha is an affine
function of colour there, and the alpha that follows such functions best is the least of a quadratic
form alpha' L alpha. Only windows that hold an unknown pixel are looked at, so that a narrow band
costs what the band is long.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import cg

from .morphology import Plane, Region

Array: TypeAlias = "npt.NDArray[np.float64]"

# The paper's epsilon: how much a window's model is held to be flat, against colours in 0..1.
_EPSILON = 1e-6
#: The side of a window, and so of the smallest picture.
LEAST_SIDE = 3
_PIXELS = LEAST_SIDE * LEAST_SIDE
# Where neither colours nor neighbours tell, alpha stays where it was.
_INERTIA = 1e-6
_TOLERANCE = 1e-3
_MOST_STEPS = 300


def solve_alpha(image: Array, alpha: Plane, unknown: Region, guess: Plane, belief: Plane) -> Plane:
    """Return `alpha` with its unknown pixels solved, (H, W) in 0..1.

    image: (H, W, 3) in 0..1, H and W at least LEAST_SIDE. alpha: (H, W), what is known, and where
    the search starts. unknown: (H, W). guess: (H, W), what an unknown pixel's own colour says of
    its alpha. belief: (H, W), the weight of that, 0 = none; a window's own weight is 1.
    """
    laplacian = _laplacian(image, unknown)
    inside = unknown.ravel()
    start = alpha.ravel()[inside].astype(np.float64)
    weight = belief.ravel()[inside].astype(np.float64) + _INERTIA
    rows = laplacian[inside]
    system = rows[:, inside] + sparse.diags(weight)
    wanted = (weight - _INERTIA) * guess.ravel()[inside] + _INERTIA * start
    right = wanted - rows[:, ~inside] @ alpha.ravel()[~inside]
    scale = sparse.diags(1 / system.diagonal())
    # Not yet within the tolerance after the most steps is near enough: what follows is finer work.
    solved, _ = cg(system, right, x0=start, rtol=_TOLERANCE, maxiter=_MOST_STEPS, M=scale)
    result: Plane = alpha.copy()
    result[unknown] = np.clip(solved, 0, 1)
    return result


def _laplacian(image: Array, unknown: Region) -> sparse.csr_matrix:
    """Return L over all pixels, (H W, H W), of the windows that hold an unknown pixel."""
    height, width, _ = image.shape
    numbers = np.arange(height * width).reshape(height, width)
    windows = np.lib.stride_tricks.sliding_window_view(numbers, (LEAST_SIDE, LEAST_SIDE))
    holds = np.lib.stride_tricks.sliding_window_view(unknown, (LEAST_SIDE, LEAST_SIDE)).any(
        axis=(2, 3)
    )
    chosen = windows[holds].reshape(-1, _PIXELS)
    colours = image.reshape(-1, 3)[chosen]
    colours = colours - colours.mean(axis=1, keepdims=True)
    channels = np.einsum("nic->nci", colours)
    spread = channels @ colours + _EPSILON * np.eye(3)
    explained = colours @ np.linalg.solve(spread, channels)
    entries = np.eye(_PIXELS) - 1 / _PIXELS - explained
    rows = np.repeat(chosen, _PIXELS, axis=1).ravel()
    others = np.tile(chosen, (1, _PIXELS)).ravel()
    size = height * width
    return sparse.csr_matrix((entries.ravel(), (rows, others)), shape=(size, size))
