"""Scenes with known foreground, alpha and background for `bench/quality.py`: I = A F + (1 - A) B.

Six kinds of edge, four kinds of colour. Lengths in pixels are pixels of the picture, whatever its
size. One numpy Generator for each scene: the same kind, seed and size, the same picture.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ..demo.shapes import Array, Points, blob, coverage, stroke

Kind = Literal["hard", "soft", "hair", "holes", "glass", "thin"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PAINTS = ("solid", "gradient", "texture", "photo")
# Public photographs of scikit-image; without it the fourth paint is a finer texture.
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket")
# Where the mean colours differ by less, summed over the channels, the background is inverted.
LEAST_CONTRAST = 0.35
# Chosen so that bilinear and logit-bicubic masks measure what they do on other people's scenes.
BAND = 0.006


@dataclass(frozen=True)
class Scene:
    """image: (H, W, 3), on the 8-bit grid. foreground, background: (H, W, 3). alpha: (H, W), on the
    8-bit grid, 1 = subject. All float32 in 0..1."""

    image: Array
    foreground: Array
    background: Array
    alpha: Array


def render(kind: Kind, seed: int, height: int, width: int) -> Scene:
    """The scene of this kind, seed and size."""
    rng = np.random.default_rng([seed, KINDS.index(kind), height, width])
    alpha = to_grid(_alpha(kind, rng, height, width))
    foreground = _paint(PAINTS[rng.integers(len(PAINTS))], rng, height, width)
    background = _paint(PAINTS[rng.integers(len(PAINTS))], rng, height, width)
    distance = np.abs(foreground.mean((0, 1)) - background.mean((0, 1))).sum()
    if distance < LEAST_CONTRAST:
        background = 1 - background
    over = alpha[..., None]
    return Scene(
        to_grid(over * foreground + (1 - over) * background), foreground, background, alpha
    )


def to_grid(values: Array) -> Array:
    """Values as 8 bits hold them."""
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255) / 255, np.float32)


def small_mask(alpha: Array, sigma: float = 0.0, side: int = 1024) -> Array:
    """What a perfect segmenter of side x side would answer, on the 8-bit grid: the area average,
    its aspect distorted, softened by a Gaussian of `sigma` pixels of its own."""
    mask = _averaged(_averaged(alpha, side).T, side).T
    return to_grid(ndimage.gaussian_filter(mask, sigma) if sigma else mask)


def edge_band(alpha: Array) -> NDArray[np.bool_]:
    """The partial pixels and what lies within 0.6 % of the shorter side, where masks are judged."""
    partial = (alpha > 0) & (alpha < 1)
    near = ndimage.distance_transform_edt(~partial) <= BAND * min(alpha.shape)
    return np.asarray(near, np.bool_)


def camera(image: Array, seed: int) -> Array:
    """The picture with noise of sigma 3 levels, saved as JPEG of quality 85 with 4:2:0 colour."""
    noise = np.random.default_rng([seed, 7]).normal(0, 3 / 255, image.shape)
    levels = np.rint(np.clip(image + noise, 0, 1) * 255).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(levels).save(data, "JPEG", quality=85, subsampling=2)
    return np.asarray(np.asarray(Image.open(data)) / 255, np.float32)


def _averaged(values: Array, parts: int) -> Array:
    """Exact averages over equal parts of the first axis."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0, np.float64)])
    cuts = np.linspace(0, len(values), parts + 1)
    whole = np.minimum(cuts.astype(int), len(values) - 1)
    share = (cuts - whole)[:, None]
    sums = total[whole] * (1 - share) + total[whole + 1] * share
    return np.asarray(np.diff(sums, axis=0) * parts / len(values), np.float32)


def _alpha(kind: Kind, rng: np.random.Generator, height: int, width: int) -> Array:
    side = min(height, width)
    centre = np.array([width, height]) * rng.uniform(0.46, 0.54, 2)
    if kind == "thin":
        lines = [(line, True) for line in _threads(rng, centre, side)]
        return coverage((height, width), lines)
    share = {"hair": 0.2, "holes": 0.33}.get(kind, 0.3)
    outline = blob(rng, centre, side * share)
    polygons = [(outline, True)]
    if kind == "hair":
        polygons += [(hair, True) for hair in _hairs(rng, outline, centre, side)]
    if kind == "holes":
        polygons += [(hole, False) for hole in _punched(rng, centre, side)]
    alpha = coverage((height, width), polygons)
    if kind == "soft":
        return _softened(rng, alpha)
    if kind == "glass":
        pane = coverage((height, width), [(blob(rng, centre, side * 0.2), True)])
        solid = rng.uniform(0.3, 0.7)
        whole = rng.random() < 0.35  # nothing but glass, or glass in an opaque frame
        cover = np.float32(solid) if whole else 1 - pane * np.float32(1 - solid)
        return np.asarray(alpha * cover, np.float32)
    return alpha


def _hairs(rng: np.random.Generator, outline: Points, centre: Points, side: int) -> list[Points]:
    """Five hundred curved strokes that taper from 0.8 to 2.6 pixels down to 0.3."""
    along = np.linspace(0, 1, 16)
    hairs = []
    for _ in range(500):
        root = centre + (outline[rng.integers(len(outline))] - centre) * 0.92
        outward = math.atan2(*(root - centre)[::-1])
        turn = outward + rng.normal(0, 0.5) + rng.normal(0, 0.9) * along
        step = side * rng.uniform(0.05, 0.24) / len(along)
        points = root + np.cumsum(np.stack([np.cos(turn), np.sin(turn)], axis=1) * step, axis=0)
        thick = rng.uniform(0.8, 2.6)
        hairs.append(stroke(points, thick + (0.3 - thick) * along))
    return hairs


def _threads(rng: np.random.Generator, centre: Points, side: int) -> list[Points]:
    """A small disc, and sixty bent threads of 1 to 3 pixels."""
    threads = [blob(rng, centre, side * 0.08, bumps=0.0)]
    for _ in range(60):
        turn = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0, 0.1, 32))
        steps = np.stack([np.cos(turn), np.sin(turn)], axis=1) * side * 0.012
        start = centre + rng.normal(0, 0.15, 2) * side
        threads.append(stroke(start + np.cumsum(steps, axis=0), np.full(32, rng.uniform(1, 3))))
    return threads


def _punched(rng: np.random.Generator, centre: Points, side: int) -> list[Points]:
    return [
        blob(rng, centre + rng.normal(0, 0.14, 2) * side, side * rng.uniform(0.004, 0.03), 0.1)
        for _ in range(70)
    ]


def _softened(rng: np.random.Generator, alpha: Array) -> Array:
    """A ramp of 3 to 12 pixels, its width changing along the edge, in place of a hard edge."""
    inside = alpha > 0.5
    signed = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    ramp = 3 + 9 * _noise(rng, alpha.shape[0], alpha.shape[1], 4)
    share = np.clip(signed / ramp + 0.5, 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _paint(name: str, rng: np.random.Generator, height: int, width: int) -> Array:
    """Colour for the whole picture, (H, W, 3)."""
    first, second, third = rng.random((3, 3)).astype(np.float32)
    if name == "solid":
        return np.full((height, width, 3), first, np.float32)
    if name == "gradient":
        y, x = (np.linspace(0, 1, n, dtype=np.float32) for n in (height, width))
        level = (1 - x)[None, :, None] * first + x[None, :, None] * second
        return np.asarray((1 - y)[:, None, None] * level + y[:, None, None] * third, np.float32)
    if name == "photo" and find_spec("skimage"):
        return _photograph(rng, height, width)
    # Grain from a quarter of the picture down to some 4 pixels.
    octaves = round(math.log2(min(height, width))) - 3
    mixed = sum(
        (0.6**octave * _noise(rng, height, width, 4 * 2**octave) for octave in range(octaves)),
        np.float32(0),
    )
    mixed = ((mixed - mixed.min()) / np.ptp(mixed))[..., None]
    return np.asarray(first * mixed + second * (1 - mixed), np.float32)


def _noise(rng: np.random.Generator, height: int, width: int, cells: int) -> Array:
    grid = Image.fromarray(rng.random((cells + 3, cells + 3), np.float32))
    smooth = grid.resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth, np.float32), 0, 1)


def _photograph(rng: np.random.Generator, height: int, width: int) -> Array:
    """A part of a public photograph at 0.7 to 1.5 times its size, mirrored where it ends."""
    name = PHOTOGRAPHS[rng.integers(len(PHOTOGRAPHS))]
    photo = Image.fromarray(getattr(import_module("skimage.data"), name)()).convert("RGB")
    scale = rng.uniform(0.7, 1.5)
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)))
    levels = np.asarray(np.asarray(photo) / 255, np.float32)
    y, x = (
        _mirrored(rng, n, whole) for n, whole in zip((height, width), levels.shape, strict=False)
    )
    return levels[y][:, x]


def _mirrored(rng: np.random.Generator, wanted: int, whole: int) -> NDArray[np.int64]:
    """`wanted` indices into 0..whole - 1 from a random place on, to and fro."""
    steps = (np.arange(wanted) + rng.integers(2 * whole)) % (2 * whole)
    return np.where(steps < whole, steps, 2 * whole - 1 - steps)
