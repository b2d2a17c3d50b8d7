"""Real photographs for the demo: the pack's own, and those that scikit-image ships in its wheel."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

SAMPLE = Path(__file__).resolve().parent.parent / "web" / "samples" / "rmbg-photo.jpg"


@dataclass(frozen=True)
class Photo:
    """A photograph that may be shown to anyone."""

    name: str
    credit: str
    path: Path


# File in scikit-image's wheel -> name, credit.
_SCIKIT_IMAGE = {
    "coffee.png": ("coffee", "Rachel Michetti, CC0"),
    "chelsea.png": ("cat", "Stefan van der Walt, CC0"),
    "rocket.jpg": ("rocket", "SpaceX, CC0"),
}


def find_photos() -> list[Photo]:
    """Return the photographs that are on this machine, read from disk, never from a network.

    The pack's own alone where scikit-image is not installed. Its own loader is not called: it
    downloads what a wheel lacks.
    """
    photos = [Photo("astronaut", "NASA, public domain", SAMPLE)]
    spec = importlib.util.find_spec("skimage")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "data"
        photos += [Photo(*words, folder / file) for file, words in _SCIKIT_IMAGE.items()]
    return [photo for photo in photos if photo.path.is_file()]
