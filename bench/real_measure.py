"""What `bench/real.py` measures of an alpha and of a cut-out, and its mean over the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ..core.metrics import HALF, iou
from ..demo.shapes import Array
from .quality_measure import halo
from .quality_scenes import BAND, Scene

Plane = NDArray[np.bool_]

# Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.
GRADIENT_SIGMA = 1.4
CONNECTIVITY_STEPS = 10
LEAST_DISTANCE = 0.15
# What papers print is the sum over the pixels, in thousands.
THOUSAND = 1000
# A truth this close to 0 or 1 has no edge there: what is cut by hand is seldom quite opaque.
NEARLY = 0.02
# Of hair, fur, leaves and feathers so much of the edge band is partial alpha.
FINE_SHARE = 0.3
# Neither clear nor opaque.
TRANSLUCENT = (0.05, 0.95)


@dataclass(frozen=True)
class Measured:
    """One picture, or a mean of pictures. None where it could not be measured."""

    iou: float
    """Intersection over union at one half."""
    mae: float
    """Mean absolute error x 1000 over the picture; the next three are its parts."""
    outside: float
    """Of what is background in truth, away from the edge."""
    band: float
    """Of the edge band."""
    inside: float
    """Of what is subject in truth, away from the edge."""
    gradient: float
    """Sum of the squared differences of the gradient's length, in thousands."""
    connectivity: float
    """Sum of the differences of connectedness, in thousands."""
    translucent: float | None
    """Per cent of the opaque interior that lies between .05 and .95; None without an interior."""
    halo: float | None
    """Levels, in the band, on black, white and magenta; None without the true colours."""


#: What the columns are called; the fields of Measured, in their order.
HEADS = (
    "IoU",
    "MAE",
    "outside",
    "band",
    "inside",
    "gradient",
    "connectivity",
    "translucent %",
    "halo",
)
_DIGITS = (3, 2, 2, 2, 2, 2, 2, 1, 2)


def measure(
    alpha: Array,
    truth: Array,
    band: Plane,
    colour: Array | None = None,
    foreground: Array | None = None,
) -> Measured:
    """Take every measure of one alpha (H, W) in 0..1 against the true one.

    band: the truth's `edge_band`. colour: (H, W, 3), the cut-out's; foreground: the subject's true
    colours. Without either there is no halo.
    """
    error = np.abs(alpha.astype(np.float64) - truth) * THOUSAND
    there = truth > HALF
    parts = (~band & ~there, band, ~band & there)
    outside, at_edge, inside = (float(error[part].sum()) / error.size for part in parts)
    interior = ~band & (truth > TRANSLUCENT[1])
    uncertain = (alpha > TRANSLUCENT[0]) & (alpha < TRANSLUCENT[1])
    fringe: float | None = None
    if colour is not None and foreground is not None and band.any():
        scene = Scene(foreground, foreground, foreground, truth)
        fringe = halo(colour, alpha, scene, band)
    return Measured(
        iou=iou(torch.from_numpy(alpha), torch.from_numpy(truth)),
        mae=float(error.mean()),
        outside=outside,
        band=at_edge,
        inside=inside,
        gradient=gradient_error(alpha, truth),
        connectivity=connectivity_error(alpha, truth),
        translucent=float(uncertain[interior].mean()) * 100 if interior.any() else None,
        halo=fringe,
    )


def edge_band(truth: Array) -> Plane:
    """What lies within 0.6 % of the shorter side of partial alpha, or of the step of a truth that
    is 0 or 1 throughout."""
    there = truth > HALF
    partial = (truth > NEARLY) & (truth < 1 - NEARLY)
    edge = partial | there & ~ndimage.binary_erosion(there, border_value=1)
    if not edge.any():
        return np.zeros(truth.shape, np.bool_)
    near = ndimage.distance_transform_edt(~edge) <= BAND * min(truth.shape)
    return np.asarray(near, np.bool_)


def is_fine(truth: Array, band: Plane) -> bool:
    """Tell whether a truth belongs to the hair subset: at least three tenths of its edge band are
    neither clear nor opaque. Around the outline of a vehicle, fruit or tool it is a sixth to a
    quarter in pictures of 1000 to 1600 pixels."""
    partial = (truth > NEARLY) & (truth < 1 - NEARLY)
    return bool(band.any()) and float(partial[band].mean()) >= FINE_SHARE


def gradient_error(alpha: Array, truth: Array) -> float:
    """Sum (|grad alpha| - |grad truth|)^2 in thousands, gradients by first-order Gaussian
    derivatives of sigma 1.4, over the whole picture."""
    lengths = (
        ndimage.gaussian_gradient_magnitude(values.astype(np.float64), GRADIENT_SIGMA)
        for values in (alpha, truth)
    )
    found, true = lengths
    return float(np.square(found - true).sum()) / THOUSAND


def connectivity_error(alpha: Array, truth: Array) -> float:
    """Sum |phi(alpha) - phi(truth)| in thousands, over the whole picture.

    The source region is the largest that is 1 in both at a threshold, from .1 to 1 in steps of .1,
    with four neighbours; l is the highest threshold at which a pixel still belongs to it, d its
    alpha - l, and phi = 1 - d where d >= .15, else 1. (Without the paper's weight lambda, as the
    evaluation programs in use have it.)
    """
    reached = np.ones(truth.shape, np.float64)
    left = np.ones(truth.shape, np.bool_)
    for step in range(1, CONNECTIVITY_STEPS + 1):
        threshold = step / CONNECTIVITY_STEPS
        source = _largest((alpha >= threshold) & (truth >= threshold))
        lost = left & ~source
        reached[lost] = (step - 1) / CONNECTIVITY_STEPS
        left &= source
    found, true = (_connectedness(values - reached) for values in (alpha, truth))
    return float(np.abs(found - true).sum()) / THOUSAND


def mean(measured: Sequence[Measured]) -> Measured:
    """The mean of each measure over the pictures that have it."""
    rows = [asdict(one) for one in measured]
    means: dict[str, float | None] = {}
    for field in fields(Measured):
        values = [row[field.name] for row in rows if row[field.name] is not None]
        means[field.name] = float(np.mean(values)) if values else None
    return Measured(**means)  # type: ignore[arg-type]


def cells(measured: Measured) -> list[str]:
    """The numbers as a table shows them."""
    values: list[float | None] = list(asdict(measured).values())
    return [
        "" if value is None else f"{value:.{digits}f}"
        for value, digits in zip(values, _DIGITS, strict=True)
    ]


def _largest(inside: Plane) -> Plane:
    labels, count = ndimage.label(inside)
    if not count:
        return inside
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == np.argmax(sizes), np.bool_)


def _connectedness(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 - distance * (distance >= LEAST_DISTANCE)
