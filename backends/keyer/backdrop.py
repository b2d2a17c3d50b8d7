"""What a plain backdrop looks like: one colour that changes slowly, and the light on it.

The light is what a quadratic surface leaves over, and the subject's soft shadow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .planes import Array, lab_distance, resize, size_within, spread, srgb_to_lab

Mask: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]

FIT_SIDE = 128  # the border is judged at this size: sensor noise and JPEG blocks average out
RING = 0.02  # the border's width, as a share of the shorter side
STRETCHES = 32  # the border is judged in this many pieces of equal length
INLIER = 5.0  # Lab distance up to which a border pixel belongs to the backdrop
MOST_SPREAD = 2.0  # median Lab distance within a clean stretch
LEAST_CLEAN = 0.60  # share of clean stretches: a subject may cover one long side of a 16:10 picture
PLANE_ROUNDS = 16
REACHES = (0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.06, 0.06)  # in sRGB units
LEAST_PURE = 0.35  # of a screen's own channel, the share that the others do not have
LEAST_LIT = 0.2  # and what it has at least
SCREEN_SIDE = 8
GRID = 65  # the smooth surface is evaluated on a grid of this many points and interpolated

# Of the light on it.
GRID_SIDE = 384  # light changes slowly: it is followed at this size
ROUNDS = 2
DEEPEST = 0.35  # a shadow keeps at least this share of the backdrop's light
BRIGHTEST_SCREEN = 1.6  # and a fold of a screen, which is told by its colour, has up to this
STEEPEST = 0.045  # and changes by at most this share from one grid pixel to the next
TINT = 0.035  # and keeps the backdrop's colour: RGB distance to the darkened backdrop
NEAR_SIGMAS, NEAR_LEAST = 3.0, 1.5  # Lab distance up to which a pixel is taken for backdrop
LEAST_OPEN = 0.3  # share of a grid pixel that must be backdrop for its colour to count
LIGHT_SCALES = ((1.5, 1.0), (6.0, 1e-2), (24.0, 1e-4), (64.0, 1e-6))  # Gaussian sigma, trust
NOISE_QUANTILE = 0.4  # of the border, a part of which the subject may cover
MAXWELL_QUANTILE = 1.37  # that quantile of the length of three numbers of unit Gaussian noise


@dataclass(frozen=True)
class Backdrop:
    """A quadratic surface of sRGB colour over the picture."""

    coefficients: Array
    """(6, 3) float32 for 1, x, y, x^2, x y, y^2, where x and y run from -1 to 1."""

    def colours(self, size: tuple[int, int]) -> Array:
        """Return the backdrop of a picture of size (H, W): (H, W, 3) float32 in 0..1."""
        height, width = min(size[0], GRID), min(size[1], GRID)
        y, x = np.mgrid[0:height, 0:width]
        surface = _basis((x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1) @ self.coefficients
        return resize(np.clip(surface, 0, 1).astype(np.float32), size)

    @property
    def is_screen(self) -> bool:
        """Tell whether it is a green or blue screen: of a strong colour that few subjects have."""
        mean = self.colours((SCREEN_SIDE, SCREEN_SIDE)).mean(axis=(0, 1))
        red, green, blue = (float(value) for value in mean)
        strongest, second = sorted((green, blue), reverse=True)
        return strongest - max(red, second) >= LEAST_PURE * strongest > LEAST_LIT * LEAST_PURE


def fit_backdrop(rgb: Array) -> Backdrop | None:
    """Return the plain backdrop of a picture (H, W, 3) float32 in 0..1, or None when it has none.

    A quadratic surface is fitted to the pixels along the border, first to the least absolute error,
    then without those that are far from it, so that a subject may touch one side. The picture is
    plain when most stretches of the border lie on the surface almost entirely: a subject leaves
    whole stretches clean where a texture, a brick wall say, spoils a part of each. A picture with a
    side of less than three pixels is all border and cannot be judged: None.
    """
    if min(rgb.shape[:2]) < 3:
        return None
    height, width = size_within((rgb.shape[0], rgb.shape[1]), FIT_SIDE)
    size = (max(height, 3), max(width, 3))
    small = resize(rgb, size)
    x, y, stretch = _border(size)
    colours = small[y, x]
    basis = _basis((x + 0.5) / size[1] * 2 - 1, (y + 0.5) / size[0] * 2 - 1)
    coefficients = _robust_fit(basis, colours)
    surface = (basis @ coefficients).astype(np.float32)
    error = lab_distance(srgb_to_lab(colours), srgb_to_lab(surface))
    clean = [
        np.percentile(error[stretch == piece], 90) < INLIER
        and np.median(error[stretch == piece]) < MOST_SPREAD
        for piece in np.unique(stretch)
    ]
    return Backdrop(coefficients) if np.mean(clean) >= LEAST_CLEAN else None


def border_ring(size: tuple[int, int]) -> Mask:
    """Mark as True the border of a picture of size (H, W), two pixels in a hundred wide."""
    ring = max(1, round(RING * min(size)))
    border = np.ones(size, bool)
    border[ring : size[0] - ring, ring : size[1] - ring] = False
    return border


def _border(size: tuple[int, int]) -> tuple[Indices, Indices, Indices]:
    """Return x, y and stretch number of the pixels along the border of a picture of size (H, W)."""
    height, width = size
    y, x = np.nonzero(border_ring(size))
    # The way around the picture, clockwise from the top left corner, for the nearest side.
    sides = np.stack([y, width - 1 - x, height - 1 - y, x])
    nearest = np.argmin(sides, axis=0)
    ways = np.stack([x, width + y, 2 * width + height - 1 - x, 2 * (width + height) - 1 - y])
    way = np.take_along_axis(ways, nearest[None], axis=0)[0]
    return x, y, way * STRETCHES // (2 * (width + height))


def _basis(x: NDArray[np.float64], y: NDArray[np.float64]) -> Array:
    return np.asarray(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1), np.float32)


def _robust_fit(basis: Array, colours: Array) -> Array:
    """Fit (n, 6) to (n, 3): (6, 3), by reweighted least squares.

    First a plane of least absolute error: a curved surface would bend to a subject that covers most
    of one side. Then the curved one, by Tukey's biweight with a reach that shrinks.
    """
    plane = _weighted_fit(basis[:, :3], colours, np.ones(len(basis), np.float32))
    for _ in range(PLANE_ROUNDS):
        error = np.linalg.norm(basis[:, :3] @ plane - colours, axis=1)
        plane = _weighted_fit(basis[:, :3], colours, 1 / np.maximum(error, 0.01))
    error = np.linalg.norm(basis[:, :3] @ plane - colours, axis=1)
    solution = np.zeros((basis.shape[1], 3), np.float32)
    for reach in REACHES:
        weights = np.square(np.clip(1 - np.square(error / reach), 0, None)) + np.float32(1e-6)
        solution = _weighted_fit(basis, colours, weights)
        error = np.linalg.norm(basis @ solution - colours, axis=1)
    return solution


def _weighted_fit(basis: Array, colours: Array, weights: Array) -> Array:
    # The ridge keeps the surface flat where the border cannot tell, as on a three-pixel side.
    weighted = basis * weights[:, None]
    ridge = np.diag([0.0] + [1e-3] * (basis.shape[1] - 1)) * weights.sum()
    solution: Array = np.linalg.solve(weighted.T @ basis + ridge, weighted.T @ colours)
    return solution.astype(np.float32)


def lit_backdrop(rgb: Array, lab: Array, backdrop: Backdrop) -> tuple[Array, Array, float]:
    """Measure the backdrop as it is lit, wherever it is seen, continued behind the subject.

    rgb, lab: (H, W, 3) float32. Returns its colours (H, W, 3) float32 sRGB, the picture's Lab
    distance to them (H, W) float32, and sigma, the standard deviation of the noise in Lab units.
    """
    size = (rgb.shape[0], rgb.shape[1])
    grid = size_within(size, GRID_SIDE)
    seen = resize(rgb, grid)
    plain = backdrop.colours(grid)
    brightest = BRIGHTEST_SCREEN if backdrop.is_screen else 1.0
    behind = plain
    distance, sigma = distance_to(lab, behind)
    for _ in range(ROUNDS):
        # One pixel more than what stands out is left aside: the subject's edge reaches into it.
        aside = ndimage.maximum_filter(distance > NEAR_SIGMAS * sigma + NEAR_LEAST, 3)
        open_share = resize((~aside).astype(np.float32), grid)
        mean = resize(rgb * ~aside[..., None], grid) / np.maximum(open_share, 1e-6)[..., None]
        near = open_share > LEAST_OPEN
        shadow = _shadow(seen, plain, near, brightest)
        residual = np.where(shadow[..., None], seen, mean) - plain
        # A trace of weight everywhere: the surface itself stands where nothing is seen for long.
        weight = np.where(shadow, np.float32(1), open_share * near) + np.float32(1e-7)
        behind = plain + spread(residual * (weight > 1e-6)[..., None], weight, grid, LIGHT_SCALES)
        behind = np.clip(behind, 0, 1).astype(np.float32)
        distance, sigma = distance_to(lab, behind)
    return resize(behind, size), distance, sigma


def distance_to(lab: Array, behind: Array) -> tuple[Array, float]:
    """Return the Lab distance (H, W) to a backdrop (h, w, 3) sRGB, and the noise's sigma in it."""
    size = (lab.shape[0], lab.shape[1])
    distance = lab_distance(lab, resize(srgb_to_lab(behind), size))
    noise = float(np.quantile(distance[border_ring(size)], NOISE_QUANTILE)) / MAXWELL_QUANTILE
    return distance, max(noise, 0.3)  # rounding to 8 bits alone is 0.1 to 0.5


def _shadow(seen: Array, plain: Array, near: Mask, brightest: float) -> Mask:
    """Find where the backdrop gets darker without a step, or brighter up to `brightest`, from
    where it is plain to the subject."""
    energy = np.einsum("hwc,hwc->hw", plain, plain)
    light = np.einsum("hwc,hwc->hw", seen, plain) / np.maximum(energy, 1e-4)
    tint = np.linalg.norm(seen - light[..., None] * plain, axis=-1)
    smooth = ndimage.gaussian_filter(light, 0.7)
    slope = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)) / 8
    lit = (light > DEEPEST) & (light < brightest)
    dark = lit & (tint < TINT) & (slope < STEEPEST)
    reached: Mask = ndimage.binary_propagation(near, mask=dark | near)
    # A dark place that leads neither to a subject nor out of the picture is no shadow: it is the
    # subject, out of focus.
    labels, count = ndimage.label(reached & ~near)
    cast = np.zeros(count + 1, bool)
    cast[labels[ndimage.maximum_filter(~reached, 3)]] = True
    cast[labels[border_ring(labels.shape)]] = True
    cast[0] = False
    shadow: Mask = cast[labels]
    return shadow
