"""What scenes are made of: outlines, their exact coverage, and a picture with all its parts.

Shapes are polygons drawn at four times the size and averaged, so every edge has true coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array: TypeAlias = NDArray[np.float32]
Points: TypeAlias = NDArray[np.float64]  # (n, 2) as x, y in pixels

SUPERSAMPLE = 4


@dataclass(frozen=True)
class Scene:
    """A picture and what it was made of, all float32 in 0..1."""

    image: Array
    """(H, W, 3), on the 8-bit grid."""
    alpha: Array
    """(H, W), 1 = subject."""
    foreground: Array
    """(H, W, 3), defined everywhere."""
    background: Array
    """(H, W, 3), defined everywhere."""


def composed(alpha: Array, foreground: Array, background: Array) -> Scene:
    a = alpha[..., None]
    image = a * foreground + (1 - a) * background
    on_grid = (np.rint(np.clip(image, 0, 1) * 255) / 255).astype(np.float32)
    return Scene(on_grid, alpha, foreground, background)


def coverage(size: tuple[int, int], polygons: Sequence[tuple[Points, bool]]) -> Array:
    """Return the area coverage (H, W) of polygons; True paints, False cuts a hole."""
    height, width = size
    sheet = Image.new("L", (width * SUPERSAMPLE, height * SUPERSAMPLE), 0)
    pen = ImageDraw.Draw(sheet)
    for points, paints in polygons:
        corners = [(float(x), float(y)) for x, y in points * SUPERSAMPLE]
        pen.polygon(corners, fill=255 if paints else 0)
    return np.asarray(np.asarray(sheet.reduce(SUPERSAMPLE)) / 255, np.float32)


def stroke(points: Points, widths: Points) -> Points:
    """Return the outline of a line of changing width: points (n, 2), widths (n,) -> (2 n, 2)."""
    along: Points = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * widths[:, None] / 2
    return np.concatenate([points + across, (points - across)[::-1]])


def blob(rng: np.random.Generator, centre: Points, radius: float, bumps: float = 0.28) -> Points:
    """Make a smooth closed outline (360, 2) around a centre."""
    angle = np.linspace(0, 2 * math.pi, 360, endpoint=False)
    reach = np.ones_like(angle)
    for wave in range(2, 6):
        reach += rng.uniform(0, bumps / wave) * np.cos(wave * angle + rng.uniform(0, 2 * math.pi))
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None] * radius
    return np.asarray(centre + ring, np.float64)
