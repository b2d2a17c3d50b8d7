"""Connected regions of a mask: enclosed holes and loose islands. One picture, numpy, on the CPU."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Plane: TypeAlias = "npt.NDArray[np.float32]"
Region: TypeAlias = "npt.NDArray[np.bool_]"

# A hole is see-through: its mask is below one half. Glass that is more solid than that is kept.
HOLE_LEVEL = 0.5
# A speck of alpha 0.3 is an island. Wisps of hair that hang on by more than this are not.
ISLAND_LEVEL = 0.1
# A soft edge is narrower than this; a slope that is longer belongs to the picture.
WIDEST_EDGE = 16

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=np.bool_)


def holes(mask: Plane, max_pixels: float) -> Region:
    """Where `mask` (H, W) has holes of at most `max_pixels` pixels, with their soft edges.

    A hole is below HOLE_LEVEL, joined over edges (4 neighbours) and does not touch the border.
    """
    labels, count = ndimage.label(mask < HOLE_LEVEL)
    chosen = np.bincount(labels.ravel(), minlength=count + 1) <= max_pixels
    chosen[0] = False  # label 0 is the subject
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        chosen[border] = False
    return _with_edge(chosen, labels, mask)


def islands(mask: Plane, min_share: float) -> Region:
    """Where `mask` (H, W) has islands smaller than `min_share` of the largest, with their edges.

    An island is above ISLAND_LEVEL and joined over edges or corners (8 neighbours).
    """
    labels, count = ndimage.label(mask > ISLAND_LEVEL, structure=EIGHT_NEIGHBOURS)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    chosen = areas < min_share * areas[1:].max(initial=0)
    chosen[0] = False  # label 0 is the backdrop
    return _with_edge(chosen, labels, -mask)


def _with_edge(chosen: Region, labels: npt.NDArray[np.int32], height: Plane) -> Region:
    """The chosen labels' pixels, and the edge that climbs from them: steps to one of 4 neighbours
    whose `height` is strictly larger, which ends on the crest towards whatever lies beyond."""
    if not chosen.any():
        return np.zeros(height.shape, dtype=np.bool_)
    # A border that nothing climbs spares the test for the picture's sides.
    inside = np.pad(chosen[labels], 1)
    heights = np.pad(height, 1, constant_values=-np.inf).ravel()
    flat = inside.ravel()
    row = inside.shape[1]
    front = np.flatnonzero(flat)
    for _ in range(WIDEST_EDGE):
        reached = []
        for step in (1, -1, row, -row):
            beyond = front + step
            climbs = ~flat[beyond] & (heights[beyond] > heights[front])
            reached.append(beyond[climbs])
            flat[reached[-1]] = True
        front = np.concatenate(reached)
    return inside[1:-1, 1:-1]
