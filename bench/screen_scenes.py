"""Subjects before green and blue screens, as cameras see them, with all their parts known.

A screen is one saturated colour under uneven light, with wrinkles and a shadow on it. Its light
falls back on the subject: everywhere a little, tinted by the subject, and white at the rim. Sensor
noise and 8 bits with colour at half resolution come last, over everything.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image
from scipy import ndimage

from ..demo.shapes import Array

Colour = Literal["green", "blue"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
#: sRGB of painted walls and cloths as they are lit.
SCREENS: dict[Colour, tuple[float, float, float]] = {
    "green": (0.20, 0.66, 0.28),
    "blue": (0.14, 0.28, 0.70),
}
#: The place of the screen's own channel.
CHANNEL: dict[Colour, int] = {"green": 1, "blue": 2}
QUALITY = 90  # of the JPEG whose 4:2:0 stands for a video's


@dataclass(frozen=True)
class Light:
    """How much of each fault a screen has."""

    uneven: float = 0.22
    """Share of light lost from one side to the other and to the corners."""
    wrinkles: float = 0.025
    """Standard deviation of the light over folds of a hundredth to a tenth of the side."""
    diffuse: float = 0.10
    """Share of the screen's light that the subject reflects in its own colour."""
    rim: float = 0.22
    """Share of the screen's colour that is added at the subject's edge."""
    shadow: float = 0.25
    """Share of light that the subject takes from the floor below it."""
    noise: float = 2.0 / 255
    """Standard deviation of the sensor's noise."""


@dataclass(frozen=True)
class Screened:
    """A picture and what it was made of, float32 in 0..1."""

    image: Array
    """(H, W, 3), as decoded from 8 bits."""
    alpha: Array
    """(H, W), 1 = subject."""
    foreground: Array
    """(H, W, 3): the subject without the screen's light."""
    channel: int
    """The screen's own channel, 1 = green, 2 = blue."""


def screened(
    foreground: Array, alpha: Array, colour: Colour, seed: int, light: Light = Light()
) -> Screened:
    """Set a subject (H, W, 3) with alpha (H, W) before a screen. Colours are wanted everywhere."""
    rng = np.random.default_rng([seed, CHANNEL[colour]])
    screen = backdrop(alpha, colour, rng, light)
    over = alpha[..., None]
    image = over * spilled(foreground, alpha, screen, light) + (1 - over) * screen
    return Screened(recorded(image, rng, light.noise), alpha, foreground, CHANNEL[colour])


def backdrop(alpha: Array, colour: Colour, rng: np.random.Generator, light: Light) -> Array:
    """Draw the screen as it is lit, (H, W, 3)."""
    height, width = alpha.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height - 0.5
    turn = rng.uniform(0, 2 * np.pi)
    slope = np.cos(turn) * x + np.sin(turn) * y
    spot = np.exp(-((x - rng.uniform(-0.4, 0.4)) ** 2 + (y - rng.uniform(-0.4, 0.1)) ** 2) * 6)
    level = 1 + light.uneven * (slope * 0.6 + spot * 0.5 - (x**2 + y**2) * 0.9)
    for share in (0.01, 0.03, 0.1):
        folds = ndimage.gaussian_filter(rng.normal(0, 1, alpha.shape), share * min(alpha.shape))
        level = level + light.wrinkles / 3 * folds / folds.std()
    solid = alpha > 0.3
    if solid.any():
        rows, columns = np.nonzero(solid)
        foot, middle = rows.max() / height - 0.5, columns.mean() / width - 0.5
        reach = max(np.ptp(columns) / width, 0.05)
        across = ((x - middle) / reach) ** 2 * 3
        level = level * (1 - light.shadow * np.exp(-across - ((y - foot) / 0.06) ** 2))
    base = np.array(SCREENS[colour], np.float32)
    return np.asarray(np.clip(base * level[..., None], 0, 1), np.float32)


def spilled(foreground: Array, alpha: Array, screen: Array, light: Light) -> Array:
    """Add the screen's light to the subject, most of it near its edge."""
    depth = ndimage.distance_transform_edt(alpha > 0.5) / min(alpha.shape)
    rim = np.exp(-np.asarray(depth, np.float32) / np.float32(0.015))[..., None]
    near = 0.3 + 0.7 * np.exp(-np.asarray(depth, np.float32) / np.float32(0.08))[..., None]
    reflected = foreground * screen * 2 * light.diffuse * near
    return np.asarray(np.clip(foreground + reflected + screen * light.rim * rim, 0, 1), np.float32)


def recorded(image: Array, rng: np.random.Generator, noise: float) -> Array:
    """Return the picture with a sensor's noise, from 8 bits with colour at half resolution."""
    noisy = np.clip(image + rng.normal(0, noise, image.shape), 0, 1)
    data = io.BytesIO()
    levels = Image.fromarray(np.rint(noisy * 255).astype(np.uint8))
    levels.save(data, "JPEG", quality=QUALITY, subsampling=2)
    return np.asarray(np.asarray(Image.open(data)) / 255, np.float32)
