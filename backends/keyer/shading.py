"""The light on a backdrop: what a quadratic surface leaves over, and the subject's soft shadow."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .backdrop import Backdrop, Mask, border_ring
from .planes import Array, lab_distance, resize, size_within, spread, srgb_to_lab

GRID_SIDE = 384  # light changes slowly: it is followed at this size
ROUNDS = 2
DEEPEST = 0.35  # a shadow keeps at least this share of the backdrop's light
STEEPEST = 0.045  # and changes by at most this share from one grid pixel to the next
TINT = 0.035  # and keeps the backdrop's colour: RGB distance to the darkened backdrop
NEAR_SIGMAS, NEAR_LEAST = 3.0, 1.5  # Lab distance up to which a pixel is taken for backdrop
LEAST_OPEN = 0.3  # share of a grid pixel that must be backdrop for its colour to count
LIGHT_SCALES = ((1.5, 1.0), (6.0, 1e-2), (24.0, 1e-4), (64.0, 1e-6))  # Gaussian sigma, trust
NOISE_QUANTILE = 0.4  # of the border, a part of which the subject may cover
MAXWELL_QUANTILE = 1.37  # that quantile of the length of three numbers of unit Gaussian noise


def lit_backdrop(rgb: Array, lab: Array, backdrop: Backdrop) -> tuple[Array, Array, float]:
    """The backdrop as it is lit, measured wherever it is seen and continued behind the subject.

    rgb, lab: (H, W, 3) float32. Returns its colours (H, W, 3) float32 sRGB, the picture's Lab
    distance to them (H, W) float32, and sigma, the standard deviation of the noise in Lab units.
    """
    size = (rgb.shape[0], rgb.shape[1])
    grid = size_within(size, GRID_SIDE)
    seen = resize(rgb, grid)
    plain = backdrop.colours(grid)
    behind = plain
    distance, sigma = _distance(lab, behind)
    for _ in range(ROUNDS):
        # One pixel more than what stands out is left aside: the subject's edge reaches into it.
        aside = ndimage.maximum_filter(distance > NEAR_SIGMAS * sigma + NEAR_LEAST, 3)
        open_share = resize((~aside).astype(np.float32), grid)
        mean = resize(rgb * ~aside[..., None], grid) / np.maximum(open_share, 1e-6)[..., None]
        near = open_share > LEAST_OPEN
        shadow = _shadow(seen, plain, near)
        residual = np.where(shadow[..., None], seen, mean) - plain
        # A trace of weight everywhere: the surface itself stands where nothing is seen for long.
        weight = np.where(shadow, np.float32(1), open_share * near) + np.float32(1e-7)
        behind = plain + spread(residual * (weight > 1e-6)[..., None], weight, grid, LIGHT_SCALES)
        behind = np.clip(behind, 0, 1).astype(np.float32)
        distance, sigma = _distance(lab, behind)
    return resize(behind, size), distance, sigma


def _distance(lab: Array, behind: Array) -> tuple[Array, float]:
    size = (lab.shape[0], lab.shape[1])
    distance = lab_distance(lab, resize(srgb_to_lab(behind), size))
    noise = float(np.quantile(distance[border_ring(size)], NOISE_QUANTILE)) / MAXWELL_QUANTILE
    return distance, max(noise, 0.3)  # rounding to 8 bits alone is 0.1 to 0.5


def _shadow(seen: Array, plain: Array, near: Mask) -> Mask:
    """Where the backdrop gets darker without a step, from where it is plain to the subject."""
    energy = np.einsum("hwc,hwc->hw", plain, plain)
    light = np.einsum("hwc,hwc->hw", seen, plain) / np.maximum(energy, 1e-4)
    tint = np.linalg.norm(seen - light[..., None] * plain, axis=-1)
    smooth = ndimage.gaussian_filter(light, 0.7)
    slope = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)) / 8
    dark = (light > DEEPEST) & (light < 1) & (tint < TINT) & (slope < STEEPEST)
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
