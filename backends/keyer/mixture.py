"""Gaussian mixtures of colour, for telling the subject's colours from the background's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lab import Array

PARTS = 5
ROUNDS = 8
LEAST_VARIANCE = 4.0  # Lab units squared: no part gets narrower than sensor noise


@dataclass(frozen=True)
class Mixture:
    """weights (k,), centres (k, 3), inverse covariances (k, 3, 3), their log determinants (k,)."""

    weights: NDArray[np.float64]
    centres: NDArray[np.float64]
    precisions: NDArray[np.float64]
    log_determinants: NDArray[np.float64]

    def log_density(self, points: Array) -> Array:
        """(n, 3) -> log p(point), (n,) float32, without the constant of the Gaussian."""
        return np.asarray(np.logaddexp.reduce(self.parts(points), axis=1), np.float32)

    def parts(self, points: Array) -> NDArray[np.float64]:
        """(n, 3) -> log of weight times density for each part, (n, k)."""
        columns = []
        for weight, centre, precision, log_determinant in zip(
            self.weights, self.centres, self.precisions, self.log_determinants, strict=True
        ):
            offset = points - centre
            squared = np.einsum("nc,cd,nd->n", offset, precision, offset, optimize=True)
            columns.append(np.log(weight + 1e-12) + 0.5 * log_determinant - 0.5 * squared)
        return np.stack(columns, axis=1)


def fit_mixture(points: Array, weights: Array) -> Mixture:
    """Expectation maximisation on Lab points (n, 3) with weights (n,) >= 0, not all zero.

    Starts from the points farthest apart, so it needs no random numbers.
    """
    mean = (points * weights[:, None]).sum(axis=0) / weights.sum()
    nearest = np.sum((points - mean) ** 2, axis=1)
    seeds = []
    for _ in range(PARTS):
        seeds.append(points[int(np.argmax(nearest * np.sqrt(weights)))])
        nearest = np.minimum(nearest, np.sum((points - seeds[-1]) ** 2, axis=1))
    gaps = np.stack([np.sum((points - seed) ** 2, axis=1) for seed in seeds], axis=1)
    share = (gaps == gaps.min(axis=1, keepdims=True)).astype(np.float64)
    mixture = _maximise(points, share * weights[:, None])
    for _ in range(ROUNDS):
        logs = mixture.parts(points)
        share = np.exp(logs - np.logaddexp.reduce(logs, axis=1)[:, None])
        mixture = _maximise(points, share * weights[:, None])
    return mixture


def _maximise(points: Array, share: NDArray[np.float64]) -> Mixture:
    mass = share.sum(axis=0) + 1e-6
    centres = share.T @ points / mass[:, None]
    covariances = np.empty((len(mass), 3, 3))
    for part, centre in enumerate(centres):
        offset = points - centre
        covariances[part] = (offset * share[:, part, None]).T @ offset / mass[part]
        covariances[part] += np.eye(3) * LEAST_VARIANCE
    precisions = np.asarray(np.linalg.inv(covariances), np.float64)
    return Mixture(
        mass / mass.sum(),
        centres,
        precisions,
        np.asarray(np.linalg.slogdet(precisions)[1], np.float64),
    )
