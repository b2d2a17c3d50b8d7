"""The demo's product shots: a glazed jug with dry grasses in a studio, ray-cast in numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline

from .shapes import Array, Points, Scene, blob, composed, coverage, stroke

STUDIO_SAMPLES = 3  # by as many, for each pixel
SQUASH = 0.2  # height over width of a level circle, seen from a little above
RIM, FOOT = -0.10, 0.35  # heights of the jug, in shorter sides of the picture, downwards
PROFILE = (  # share of the way from rim to foot, radius
    (0.0, 0.092),
    (0.08, 0.076),
    (0.20, 0.074),
    (0.36, 0.120),
    (0.56, 0.172),
    (0.74, 0.168),
    (0.90, 0.122),
    (1.0, 0.096),
)
GLAZE_BROKEN, CLAY = (
    np.array(colour, np.float32) for colour in ((0.58, 0.38, 0.20), (0.70, 0.57, 0.45))
)
STEM, PLUME, BUD = (
    np.array(colour, np.float32)
    for colour in ((0.42, 0.36, 0.20), (0.72, 0.58, 0.38), (0.76, 0.34, 0.20))
)
RGB: TypeAlias = "tuple[float, float, float]"
Glaze: TypeAlias = "tuple[Array, Array]"


@dataclass(frozen=True)
class Studio:
    """A plain backdrop and the jug before it; colours are sRGB in 0..1."""

    name: str
    above: RGB
    """The backdrop's colour at the upper border, under full light."""
    below: RGB
    """The same at the lower border."""
    glaze: tuple[RGB, RGB]
    """The jug's glaze at its rim and where it ends, a little above the foot."""


SWEEP = Studio(
    "product shot",
    above=(1.0, 0.988, 0.970),
    below=(1.0, 0.988, 0.970),
    glaze=((0.17, 0.47, 0.46), (0.05, 0.25, 0.31)),
)
#: The kinds of plain backdrop that the keyer is for.
STUDIOS = (
    SWEEP,
    Studio(
        "gradient",
        above=(0.40, 0.56, 0.74),
        below=(0.93, 0.95, 1.0),
        glaze=((0.66, 0.27, 0.16), (0.40, 0.11, 0.09)),
    ),
    Studio(
        "green screen",
        above=(0.17, 0.70, 0.29),
        below=(0.17, 0.70, 0.29),
        glaze=((0.86, 0.80, 0.70), (0.62, 0.50, 0.40)),
    ),
    Studio(
        "dark backdrop",
        above=(0.075, 0.078, 0.090),
        below=(0.115, 0.118, 0.130),
        glaze=((0.55, 0.68, 0.74), (0.30, 0.45, 0.56)),
    ),
)


def product_shot(size: tuple[int, int] = (768, 768), studio: Studio = SWEEP) -> Scene:
    """Render a glazed jug with dry grasses before a plain backdrop, with its true alpha.

    size: (H, W). The jug is a turned body, seen from a little above and lit by two soft boxes. Its
    shadow belongs to the background.
    """
    rng = np.random.default_rng(7)
    covered, colour = _jug_on(rng, size, _glaze(studio))
    stems, stem_colour = _grasses(rng, size)
    alpha = covered + stems - covered * stems
    colour = colour * (1 - stems[..., None]) + stem_colour
    nearest = ndimage.distance_transform_edt(
        alpha < 1 / 64, return_distances=False, return_indices=True
    )
    foreground = (colour / np.maximum(alpha, np.float32(1e-3))[..., None])[tuple(nearest)]
    return composed(alpha, np.clip(foreground, 0, 1), _backdrop(rng, size, studio))


def _glaze(studio: Studio) -> Glaze:
    top, low = (np.array(colour, np.float32) for colour in studio.glaze)
    return top, low


def _shrink(samples: Array) -> Array:
    """Return the mean over the samples of each pixel."""
    height, width = samples.shape[0] // STUDIO_SAMPLES, samples.shape[1] // STUDIO_SAMPLES
    blocks = samples.reshape(height, STUDIO_SAMPLES, width, STUDIO_SAMPLES, *samples.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _step(values: Array, low: float, high: float) -> Array:
    """Return 0 below low, 1 above high, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _jug_on(rng: np.random.Generator, size: tuple[int, int], glaze: Glaze) -> tuple[Array, Array]:
    """Return the jug's coverage (H, W) and premultiplied colour, computed only where it is."""
    height, width = size
    side = min(size)
    top, bottom = (math.ceil(height / 2 + place * side) for place in (RIM - 0.03, FOOT + 0.03))
    left, right = (math.ceil(width / 2 + place * side) for place in (-0.20, 0.27))
    rows, columns = np.mgrid[
        0 : (bottom - top) * STUDIO_SAMPLES, 0 : (right - left) * STUDIO_SAMPLES
    ].astype(np.float32)
    x = ((columns + 0.5) / STUDIO_SAMPLES + left - width / 2) / side
    y = ((rows + 0.5) / STUDIO_SAMPLES + top - height / 2) / side
    inside, samples = _jug(rng, x.astype(np.float32), y.astype(np.float32), glaze)
    covered = np.zeros(size, np.float32)
    colour = np.zeros((*size, 3), np.float32)
    covered[top:bottom, left:right] = _shrink(inside.astype(np.float32))
    colour[top:bottom, left:right] = _shrink(samples * inside[..., None])
    return covered, colour


def _jug(
    rng: np.random.Generator, x: Array, y: Array, glaze: Glaze
) -> tuple[NDArray[np.bool_], Array]:
    """Return where the jug is and its colour, on a grid in shorter sides of the picture."""
    heights = RIM + np.array([share for share, _ in PROFILE]) * (FOOT - RIM)
    turned = CubicSpline(heights, [radius for _, radius in PROFILE], bc_type="natural")
    v = np.clip(y, RIM, FOOT)
    radius = turned(v).astype(np.float32)
    slope = turned(v, 1).astype(np.float32)
    across = np.clip(x / radius, -1, 1)
    deep = np.sqrt(1 - across**2)
    mouth = (x / radius) ** 2 + ((y - RIM) / (radius * SQUASH)) ** 2
    base = (x / radius) ** 2 + ((y - FOOT) / (radius * SQUASH)) ** 2
    body = np.where(y < RIM, mouth <= 1, np.where(y > FOOT, base <= 1, np.abs(x) <= radius))
    normal = np.stack([across, -slope, deep], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    # A level line on the body bends down towards the viewer.
    level = (y - radius * deep * SQUASH - RIM) / (FOOT - RIM)
    colour = _glazed(rng, normal, level, np.arcsin(across), glaze)
    colour = _with_mouth(colour, x, y, mouth, glaze)
    handle, handle_colour = _handle(rng, x, y, glaze)
    both = np.where(body[..., None], colour, handle_colour)
    return body | handle, both.astype(np.float32)


def _glazed(
    rng: np.random.Generator, normal: Array, level: Array, turn: Array, glaze: Glaze
) -> Array:
    """Paint glaze on clay: colour by height, runs down the body, breaks brown where it is thin."""
    run = CubicSpline(np.linspace(-math.pi / 2, math.pi / 2, 22), rng.normal(0, 1, 22))
    runs = run(turn).astype(np.float32)
    grain = ndimage.gaussian_filter(rng.normal(0, 1, level.shape).astype(np.float32), 1.2)
    top, low = glaze
    coat = top + (low - top) * _step(level + 0.02 * runs, 0.0, 0.75)[..., None]
    thin = np.clip(1 - np.abs(level + 0.15) / 0.07, 0, 1) + 0.10 * np.clip(grain * 4 - 0.7, 0, 1)
    coat = coat + (GLAZE_BROKEN - coat) * np.clip(thin, 0, 1)[..., None]
    bare = _step(level + 0.012 * runs, 0.735, 0.742)
    clay = CLAY * (1 + 0.10 * grain[..., None])
    light = _light(normal)
    lit_clay = clay * (light * 0.95 + 0.08)[..., None]
    edge = np.exp(-(((level + 0.012 * runs - 0.728) / 0.010) ** 2))[..., None] * 0.35
    lit_glaze = coat * (1 - edge) * (light * 1.25)[..., None]
    lit_glaze = lit_glaze + (1 - lit_glaze) * _gloss(normal)[..., None]
    return np.asarray(lit_glaze + (lit_clay - lit_glaze) * bare[..., None], np.float32)


def _light(normal: Array) -> Array:
    """Light it matt: a large lamp from the upper left, a fill from the right, the floor below."""
    key = np.clip(normal @ np.array([-0.62, -0.45, 0.64], np.float32) * 0.62 + 0.38, 0, None)
    fill = np.clip(normal @ np.array([0.9, -0.1, 0.4], np.float32), 0, None)
    floor = np.clip(normal[..., 1], 0, None)
    return np.asarray(0.16 + 0.86 * key**1.4 + 0.16 * fill + 0.12 * floor, np.float32)


def _gloss(normal: Array) -> Array:
    """Mirror soft boxes in the glaze: a broad one on the left, a strip on the right."""
    right = 2 * np.arctan2(
        normal[..., 0], normal[..., 2]
    )  # where the mirrored ray goes, in radians
    down = 2 * np.arctan2(normal[..., 1], np.hypot(normal[..., 0], normal[..., 2]))
    box = _step(right, -1.62, -1.50) * (1 - _step(right, -0.98, -0.80))
    box = box * _step(down, -1.05, -0.85) * (1 - _step(down, 0.25, 0.50))
    strip = _step(right, 1.50, 1.62) * (1 - _step(right, 1.85, 2.0))
    strip = strip * _step(down, -0.80, -0.60) * (1 - _step(down, 0.25, 0.50))
    rim = np.clip(1 - normal[..., 2], 0, 1) ** 4
    return np.asarray(0.86 * box + 0.34 * strip + 0.16 * rim, np.float32)


def _with_mouth(colour: Array, x: Array, y: Array, mouth: Array, glaze: Glaze) -> Array:
    """Paint the lip and the dark inside over the body's colour; mouth is 1 on the outer edge."""
    inside = np.clip(mouth / 0.74, 0, 1)
    glow = 0.5 + 0.5 * x / PROFILE[0][1]
    dark = glaze[1] * (0.25 + 0.75 * (glow * inside**2)[..., None])
    bright = 0.75 + 0.35 * np.clip(-x / PROFILE[0][1] * 0.8 + (y - RIM) / 0.04, -1, 1)
    lip = GLAZE_BROKEN * bright[..., None]
    edge = _step(mouth, 0.70, 0.76)[..., None]
    top = dark + (lip - dark) * edge
    near = (1 - _step(mouth, 0.97, 1.05))[..., None]
    return np.asarray(colour + (top - colour) * near, np.float32)


def _handle(
    rng: np.random.Generator, x: Array, y: Array, glaze: Glaze
) -> tuple[NDArray[np.bool_], Array]:
    """Shape a loop of round clay on the right: tube around an ellipse, thicker below."""
    u, v = (x - 0.112) / 0.125, (y - 0.035) / 0.125
    ring = np.maximum(np.sqrt(u**2 + v**2), np.float32(1e-3))
    offset = (ring - 1) * 0.125
    thick = 0.0175 + 0.004 * v
    across = np.clip(offset / thick, -1, 1)
    deep = np.sqrt(1 - across**2)
    normal = np.stack([u / ring * across, v / ring * across, deep], axis=-1)
    level = np.clip(0.1 + 0.35 * (v + 1) / 2, 0, 1)
    turn = (across * 0.6).astype(np.float32)
    colour = _glazed(rng, normal, level.astype(np.float32), turn, glaze)
    return np.abs(offset) < thick, colour


def _grasses(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Array, Array]:
    """Draw stems with plumes and buds out of the mouth: coverage (H, W), premultiplied colour."""
    side = min(size)
    mouth = np.array([size[1] / 2, size[0] / 2 + (RIM + 0.004) * side])
    t = np.linspace(0, 1, 24)[:, None]
    stems: list[Points] = []
    hairs: list[Points] = []
    buds: list[Points] = []
    for number, lean in enumerate(np.linspace(-1, 1, 11) + rng.normal(0, 0.06, 11)):
        root = mouth + np.array([lean * 0.045, rng.uniform(-0.004, 0.006)]) * side
        tip = np.array([lean * rng.uniform(0.16, 0.24), -rng.uniform(0.22, 0.34)]) * side
        sway = np.array([-lean * 0.05, -0.03 * abs(lean)]) * side
        line = root + tip * t + sway * np.sin(math.pi * t)
        stems.append(stroke(line, (0.0042 - 0.0030 * t[:, 0]) * side))
        if number % 3 == 1:
            for place in np.repeat(np.arange(9, 24, 2), 2):
                out = rng.uniform(-0.024, 0.024), -rng.uniform(0.006, 0.022)
                twig = line[place] + np.array(out) * side * np.array([[0], [0.5], [1]])
                stems.append(stroke(twig, np.full(3, 0.0015 * side)))
                buds.append(blob(rng, twig[-1], side * rng.uniform(0.0045, 0.0075), 0.06))
        else:
            hairs += [_plume_hair(rng, line, side) for _ in range(150)]
    covered = np.zeros(size, np.float32)
    colour = np.zeros((*size, 3), np.float32)
    light = 1.12 - 0.35 * np.linspace(0, 1, size[1], dtype=np.float32)[None, :, None]
    for shapes, paint in ((hairs, PLUME), (stems, STEM), (buds, BUD)):
        over = coverage(size, [(shape, True) for shape in shapes])
        colour += (paint * light - colour) * over[..., None]
        covered += over * (1 - covered)
    return covered, colour


def _plume_hair(rng: np.random.Generator, line: Points, side: int) -> Points:
    """Draw one hair of a plume: it leaves the upper half of its stem and bends along it."""
    place = int(rng.integers(11, 24))
    along = line[place] - line[place - 2]
    along /= np.linalg.norm(along)
    aside = np.array([-along[1], along[0]]) * rng.normal(0, 0.7)
    reach = side * rng.uniform(0.015, 0.045) * (1.35 - place / 26)
    step = np.linspace(0, 1, 8)[:, None]
    curve = line[place] + reach * (along * step + aside * step * (1 - 0.45 * step))
    return stroke(curve, side * 0.0017 * (1 - 0.85 * step[:, 0]))


def _backdrop(rng: np.random.Generator, size: tuple[int, int], studio: Studio) -> Array:
    """Return paper or cloth (H, W, 3), brighter behind the jug, with its shadow on the floor."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x = (x + 0.5 - width / 2) / min(size)
    y = (y + 0.5 - height / 2) / min(size)
    light = 0.885 + 0.055 * np.exp(-((x + 0.12) ** 2 + (y + 0.10) ** 2) / 0.16)
    light = light - 0.045 * _step(y, 0.05, 0.5) - 0.10 * (x**2 + y**2)
    floor = FOOT + 0.012
    contact = np.exp(-((x / 0.115) ** 4) - ((y - floor) / 0.020) ** 2)
    cast = np.exp(-(((x - 0.13) / 0.20) ** 2) - ((y - floor + 0.002) / 0.036) ** 2)
    light = light * (1 - 0.30 * contact) * (1 - 0.22 * cast)
    above, below = (np.array(colour, np.float32) for colour in (studio.above, studio.below))
    paper = above + (below - above) * np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    noise = rng.normal(0, 1.0 / 255, (height, width, 3))
    return np.asarray(np.clip(light[..., None] * paper + noise, 0, 1), np.float32)
