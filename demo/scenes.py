"""Scenes whose foreground, alpha and background are known: image = A F + (1 - A) B.

All randomness comes from one numpy Generator per scene: the same seed, the same picture.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from PIL import Image
from scipy import ndimage

from .shapes import Array, Points, Scene, blob, composed, coverage, stroke

Kind = Literal["hard", "soft", "hair", "holes", "glass", "thin"]
Look = Literal["solid", "gradient", "vignette", "studio", "shadow", "texture"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LOOKS: tuple[Look, ...] = get_args(Look)
PLAIN_LOOKS: tuple[Look, ...] = ("solid", "gradient", "vignette", "studio")

BACKDROP_COLOURS = (
    (0.97, 0.97, 0.97),
    (0.84, 0.83, 0.81),
    (0.50, 0.51, 0.53),
    (0.09, 0.09, 0.10),
    (0.16, 0.62, 0.25),
    (0.36, 0.54, 0.78),
    (0.86, 0.63, 0.60),
)
# What a look adds to its colour: slope across the picture, darkening in the corners, noise sigma.
PLAIN_ROWS: dict[str, tuple[float, float, float]] = {
    "solid": (0.0, 0.0, 0.0),
    "gradient": (0.16, 0.0, 0.0),
    "vignette": (0.0, 0.22, 0.0),
    "studio": (0.12, 0.15, 1.6 / 255),
    "shadow": (0.08, 0.10, 1.0 / 255),
}
SUBJECT_CONTRAST = 0.35  # least RGB distance of the subject's colours from a plain backdrop


def render(
    kind: Kind, seed: int, size: tuple[int, int] = (512, 512), backdrop: Look | Array = "studio"
) -> Scene:
    """Draw one scene: a subject whose edge is of this kind, before this backdrop.

    size: (H, W). backdrop: a look, or a photograph (h, w, 3) float32 in 0..1 of any size, of which
    a random part is shown. The subject's colours keep away from a plain backdrop's.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    base = np.array(BACKDROP_COLOURS[rng.integers(len(BACKDROP_COLOURS))], np.float32)
    alpha = _alpha(kind, rng, size)
    if isinstance(backdrop, str):
        foreground = _subject_paint(rng, size, base)
        background = _backdrop(backdrop, rng, size, base, alpha)
    else:
        foreground = _subject_paint(rng, size, None)
        background = _photograph(backdrop, rng, size)
    return composed(alpha, foreground, background)


def _alpha(kind: Kind, rng: np.random.Generator, size: tuple[int, int]) -> Array:
    height, width = size
    side = min(height, width)
    centre = np.array([width, height]) * rng.uniform(0.44, 0.56, 2)
    if kind == "thin":
        return coverage(size, [(line, True) for line in _wheel(rng, centre, side)])
    outline = blob(rng, centre, side * rng.uniform(0.22 if kind == "hair" else 0.27, 0.33))
    polygons = [(outline, True)]
    if kind == "hair":
        polygons += [(line, True) for line in _hairs(rng, outline, centre, side)]
    if kind == "holes":
        for _ in range(rng.integers(3, 7)):
            spot = centre + (outline[rng.integers(len(outline))] - centre) * rng.uniform(0.2, 0.6)
            polygons.append((blob(rng, spot, side * rng.uniform(0.02, 0.06)), False))
    alpha = coverage(size, polygons)
    if kind == "soft":
        ramp = rng.uniform(3, 12)
        inside = alpha > 0.5
        signed = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
        alpha = np.clip(signed / ramp + 0.5, 0, 1).astype(np.float32)
    return alpha * np.float32(rng.uniform(0.3, 0.7)) if kind == "glass" else alpha


def _hairs(rng: np.random.Generator, outline: Points, centre: Points, side: int) -> list[Points]:
    """Draw hundreds of curved strokes that leave the outline and taper to nothing."""
    step = np.linspace(0, 1, 14)[:, None]
    hairs = []
    for _ in range(420):
        root = outline[rng.integers(len(outline))] * 0.97 + centre * 0.03
        outward = (root - centre) / np.linalg.norm(root - centre)
        turn = np.array([-outward[1], outward[0]])
        reach = side * rng.uniform(0.05, 0.16)
        bend = turn * side * rng.normal(0, 0.035)
        points = root + outward * reach * step + turn * rng.normal(0, 0.3) * reach * step
        points = points + bend * step**2
        thickness = rng.uniform(1.0, 2.6) * max(1.0, side / 800)
        hairs.append(stroke(points, thickness * (1 - 0.9 * step[:, 0])))
    return hairs


def _wheel(rng: np.random.Generator, centre: Points, side: int) -> list[Points]:
    """Draw rims, spokes and loose wires of 1 to 3 pixels."""
    lines = []
    angle = np.linspace(0, 2 * math.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    radius = side * rng.uniform(0.28, 0.36)
    for part in (1.0, 0.55, 0.12):
        lines.append(stroke(centre + circle * radius * part, np.full(200, rng.uniform(2, 3))))
    for start in np.linspace(0, 2 * math.pi, int(rng.integers(14, 26)), endpoint=False):
        lean = rng.normal(0, 0.06)
        ends = np.array(
            [[np.cos(start), np.sin(start)], [np.cos(start + lean), np.sin(start + lean)]]
        )
        points = centre + ends * radius * np.array([[0.12], [1.0]])
        lines.append(stroke(points, np.full(2, rng.uniform(1, 3))))
    along = np.linspace(-1, 1, 40)
    for _ in range(6):
        sag = side * rng.uniform(-0.12, 0.12) * (1 - along**2)
        wire = np.stack([along * radius * 1.2, sag + side * rng.uniform(-0.3, 0.3)], axis=1)
        lines.append(stroke(centre + wire, np.full(40, rng.uniform(1, 3))))
    return lines


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Array:
    """Make smooth noise in 0..1 with this many cells along the shorter side."""
    height, width = size
    unit = min(height, width) / cells
    grid = rng.random((math.ceil(height / unit) + 1, math.ceil(width / unit) + 1), np.float32)
    smooth = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth, np.float32), 0, 1)


def _texture(rng: np.random.Generator, size: tuple[int, int], colours: Array) -> Array:
    """Mix two colours (2, 3) by noise of three grain sizes."""
    cells = int(rng.integers(4, 10))
    parts = ((0.5, cells), (0.3, cells * 3), (0.2, cells * 9))
    blend = sum((share * _noise(rng, size, grain) for share, grain in parts), np.float32(0))
    blend = np.clip((blend - 0.5) * 2.4 + 0.5, 0, 1)[..., None]
    return np.asarray(colours[0] + (colours[1] - colours[0]) * blend, np.float32)


def _slope(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Make a plane from 0 to 1 in a random direction, (H, W)."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = rng.uniform(0, 2 * math.pi)
    plane = math.cos(turn) * (x / width - 0.5) + math.sin(turn) * (y / height - 0.5)
    return np.asarray(plane / (abs(math.cos(turn)) + abs(math.sin(turn))) + 0.5, np.float32)


def _subject_paint(rng: np.random.Generator, size: tuple[int, int], avoid: Array | None) -> Array:
    """Return the subject's colour everywhere, (H, W, 3): solid, a gradient or a texture."""
    colours = rng.uniform(0.05, 0.95, (64, 3)).astype(np.float32)
    if avoid is not None:
        far = np.linalg.norm(colours - avoid, axis=1) > SUBJECT_CONTRAST
        # A mixture of two colours on opposite sides of the backdrop's would pass through it.
        middle = np.linalg.norm((colours + colours[far][0]) / 2 - avoid, axis=1) > SUBJECT_CONTRAST
        colours = np.concatenate([colours[far][:1], colours[far & middle][1:]])
    style = rng.integers(3)
    if style == 0:
        return np.full((*size, 3), colours[0], np.float32)
    if style == 1:
        blend = _slope(rng, size)[..., None]
        return np.asarray(colours[0] + (colours[1] - colours[0]) * blend, np.float32)
    return _texture(rng, size, colours[:2])


def _backdrop(
    look: Look, rng: np.random.Generator, size: tuple[int, int], base: Array, alpha: Array
) -> Array:
    """Draw the background for a look, (H, W, 3) in 0..1; a shadow falls below the subject's
    alpha."""
    if look == "texture":
        return _texture(rng, size, rng.uniform(0.1, 0.9, (2, 3)).astype(np.float32))
    height, width = size
    slope, corners, sigma = PLAIN_ROWS[look]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2
    light = (1 + slope * (_slope(rng, size) - 0.5)) * (1 - corners * radius**1.3)
    if look == "shadow":
        rows, columns = np.nonzero(alpha > 0.1)
        foot, middle = rows.max(), columns.mean()
        across = (x - middle) / (columns.max() - columns.min())
        light = light * (1 - 0.3 * np.exp(-(across**2 * 8 + ((y - foot) / height) ** 2 * 600)))
    noise = rng.normal(0, 1, (*size, 3)) * sigma
    return np.asarray(np.clip(base * light[..., None] + noise, 0, 1), np.float32)


def _photograph(photo: Array, rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Cut out a random part of a photograph with the frame's aspect, resized to it."""
    height, width = size
    tall, wide = photo.shape[:2]
    reach = min(tall / height, wide / width) * rng.uniform(0.7, 1.0)
    top = rng.uniform(0, tall - reach * height)
    left = rng.uniform(0, wide - reach * width)
    box = (left, top, left + reach * width, top + reach * height)
    levels = Image.fromarray(np.rint(np.clip(photo[..., :3], 0, 1) * 255).astype(np.uint8))
    shown = levels.resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.asarray(np.asarray(shown) / 255, np.float32)
