"""Real photographs for the demo: public-domain pictures that scikit-image ships in its wheel."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Photo:
    """remark: what the keyer's result on this photograph looks like, judged by eye."""

    name: str
    file: str
    credit: str
    remark: str


PHOTOS = (
    Photo(
        "coffee",
        "coffee.png",
        "Rachel Michetti, CC0",
        "cup and saucer found, the table's reflections half kept",
    ),
    Photo("rocket", "rocket.jpg", "SpaceX, CC0", "rocket found, and the towers' lamps with it"),
    Photo(
        "coins",
        "coins.png",
        "Brooklyn Museum, no known restrictions",
        "most coins found, one dark coin lost",
    ),
    Photo("cat", "chelsea.png", "Stefan van der Walt, CC0", "missed: only eyes and nose"),
    Photo(
        "astronaut",
        "astronaut.png",
        "NASA, public domain",
        "suit found, face and helmet half lost, flag kept",
    ),
)


def find_photos() -> list[tuple[Photo, Path]]:
    """The photographs that are on this machine, read from disk, never from a network.

    Empty where scikit-image is not installed. Its own loader is not called: it downloads what a
    wheel lacks.
    """
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "data"
    return [(photo, path) for photo in PHOTOS if (path := folder / photo.file).is_file()]
