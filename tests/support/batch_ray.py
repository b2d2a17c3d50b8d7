"""What the tests of the Ray engine run in other processes than their own.

    python -m rmbg_nodes.tests.support.batch_ray SOURCE DEST BACKEND

is a driver that can be killed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from rmbg_nodes.batch.ray.ray_engine import ActorPool, on_ray
from rmbg_nodes.batch.recipe.model import Output, Recipe
from rmbg_nodes.batch.sources.items import Item
from rmbg_nodes.core.types import Frame, Job, Outcome
from rmbg_nodes.tests.support.fake_backend import FakeLocal

POISON = "poison"


class Poisoned(FakeLocal):
    """Its process ends at once when it sees a picture of that name, as when memory runs out."""

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        return super().run(map(_tasted, frames), job)


def _tasted(frame: Frame) -> Frame:
    if POISON in frame.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return frame


def plain_recipe() -> Recipe:
    """Results that depend on nothing but the picture."""
    return Recipe(output=Output(provenance=False))


def items_in(source: Path) -> list[Item]:
    """Every file of a folder, under its own name."""
    return [Item(p.name, p, f"{p.stem}.png", None) for p in sorted(source.iterdir())]


def main(source: str, dest: str, backend: str) -> None:
    """Do what is not there yet; say so of each picture."""
    left = [item for item in items_in(Path(source)) if not (Path(dest) / item.target).exists()]
    recipe = replace(plain_recipe(), backend=backend)
    for landed in on_ray(left, recipe, Path(dest), pool=ActorPool(actors=2)):
        sys.stdout.write(f"{landed.key} {landed.error or 'done'}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
