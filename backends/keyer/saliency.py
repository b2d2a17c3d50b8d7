"""A preview for any picture: saliency first, then the colours that it found.

It guesses. Crowded scenes, subjects that fill the border and faces close up are beyond it.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .boundary import saliency
from .guided_filter import apply_coefficients, guided_coefficients
from .lab import Array, srgb_to_lab
from .mixture import fit_mixture
from .resample import resize, rows_of, size_within
from .superpixels import superpixels

LOOK_SIDE = 320  # the subject is looked for at this size
SUPERPIXELS = 300
LEAST_CONTRAST = 3.0  # Lab units of standard deviation; below it there is nothing to find
ROUNDS = 4  # of learning the colours of both sides and sorting the pixels by them
SAMPLES = 6000  # pixels that the colours are learned from
MOST_EVIDENCE = 4.0  # log odds that colour alone can give
PRIOR = 0.7  # how much the saliency still counts beside the colours
BAND_ROWS = 256


def preview(rgb: Array) -> Array:
    """(H, W, 3) float32 sRGB in 0..1 -> alpha (H, W) float32 in 0..1; a guess.

    Saliency by superpixels starts a soft GrabCut (Rother, Kolmogorov and Blake 2004, with a guided
    filter in place of the cut). All zero for an even picture, and for one so narrow that less than
    three pixels are left of a side when the other is shrunk to 320.
    """
    full = (rgb.shape[0], rgb.shape[1])
    size = size_within(full, LOOK_SIDE)
    small = resize(rgb, size)
    lab = srgb_to_lab(small)
    if min(size) < 3 or float(np.linalg.norm(lab.std(axis=(0, 1)))) < LEAST_CONTRAST:
        return np.zeros(full, np.float32)
    salient = saliency(lab, superpixels(lab, SUPERPIXELS))
    alpha = _sort_by_colour(small, lab, salient)
    coefficients = guided_coefficients(small, alpha, radius=4, epsilon=1e-4)
    result = np.empty(full, np.float32)
    for start in range(0, full[0], BAND_ROWS):
        stop = min(start + BAND_ROWS, full[0])
        rows = rows_of(coefficients, start, stop, full)
        result[start:stop] = apply_coefficients(rgb[start:stop], rows)
    return result


def _sort_by_colour(rgb: Array, lab: Array, salient: Array) -> Array:
    """Saliency (H, W) in 0..1 -> alpha (H, W): what shares its colours joins it."""
    points = lab.reshape(-1, 3)
    stride = max(1, len(points) // SAMPLES)
    alpha: Array = np.clip((salient - _otsu(salient)) / 0.3 + 0.5, 0, 1)
    chance = 0.05 + 0.9 * alpha
    prior = PRIOR * np.log(chance / (1 - chance))
    for _ in range(ROUNDS):
        share = alpha.ravel()[::stride]
        front = fit_mixture(points[::stride], share + np.float32(1e-4))
        behind = fit_mixture(points[::stride], 1 - share + np.float32(1e-4))
        evidence = front.log_density(points) - behind.log_density(points)
        evidence = np.clip(evidence, -MOST_EVIDENCE, MOST_EVIDENCE).reshape(alpha.shape)
        odds = ndimage.gaussian_filter(evidence + prior, 1.0)
        rough = (1 / (1 + np.exp(-odds))).astype(np.float32)
        alpha = apply_coefficients(rgb, guided_coefficients(rgb, rough, radius=6, epsilon=1e-3))
    return alpha


def _otsu(values: Array) -> float:
    """The threshold that splits a histogram into the two most different halves (Otsu 1979)."""
    counts, edges = np.histogram(values, 128)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * centres)
    gap = total / np.maximum(below, 1) - (total[-1] - total) / np.maximum(above, 1)
    return float(centres[np.argmax(below.astype(np.float64) * above * gap**2)])
