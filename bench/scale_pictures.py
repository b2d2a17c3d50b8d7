"""The pictures of `scale.py`: a few scenes, each many times with another noise, as JPEG."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from .quality_scenes import Kind, render, small_mask
from .scale_answers import THUMB, small

# Product photographs: a subject of about a fifth of the picture, of hard and of soft edges.
SCENES: tuple[Kind, ...] = ("hard", "soft", "hair", "holes")
_NOISE = 3.0  # levels
_QUALITY = 92


def make(folder: Path, answers: Path, count: int, width: int, height: int) -> None:
    """So many distinct JPEGs into `folder`, and what a model answers to them into `answers`."""
    folder.mkdir(parents=True)
    answers.mkdir(parents=True)
    scenes = [render(kind, 10, height, width) for kind in SCENES]
    levels = [np.rint(scene.image * 255).astype(np.int16) for scene in scenes]
    masks = [np.rint(small_mask(scene.alpha, 0.5) * 255).astype(np.uint8) for scene in scenes]
    np.save(answers / "masks.npy", np.stack(masks))
    np.save(answers / "thumbs.npy", np.stack([small(one, THUMB) for one in levels]).astype("u1"))
    random = np.random.default_rng(8)
    noise = np.rint(random.normal(0, _NOISE, levels[0].shape)).astype(np.int16)
    for number in range(count):
        moved = np.roll(noise, tuple(random.integers(0, (height, width))), (0, 1))
        noisy = np.clip(levels[number % len(levels)] + moved, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number:05}.jpg", quality=_QUALITY)


def first(folder: Path, count: int) -> Path:
    """A folder with the first so many of them, as links to the same files."""
    part = folder.with_name(f"{folder.name}-{count}")
    if not part.exists():
        part.mkdir()
        for file in sorted(folder.iterdir())[:count]:
            os.link(file, part / file.name)
    return part
