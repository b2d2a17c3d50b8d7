"""One machine's way through what waits: files in, files out, and the state told of each."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import cast, overload

from torch import Tensor

from ..core.errors import Cancelled
from ..core.types import Backend, Job
from ..feed import Failed, Input
from ..pictures.read import read_picture
from ..pipeline import Done, Treatment, carry_out
from ..settings import Settings
from .items import Item
from .landed import Landed
from .landing import land
from .produce import Origin, Product, produce, take
from .recipe import Recipe
from .state import State


@dataclass(frozen=True)
class Machine:
    """What all passes of one run have in common. workers: threads beside the model."""

    state: State
    recipe: Recipe
    treatment: Treatment
    dest: Path
    settings: Settings
    workers: int

    def waiting(self) -> Waiting:
        """The pictures of the next pass."""
        return Waiting(self)

    def work(
        self, pictures: Waiting, backend: Backend, max_cost: Decimal | None
    ) -> Iterator[Landed]:
        """One pass: each of them once. What is yielded is in the state already.

        Raises what the backend refuses, and BadOption where nothing more can be written.
        """
        stop = _Stop()
        results = carry_out(
            pictures,
            backend,
            self.treatment,
            pictures.deliver,
            workers=self.workers,
            usage=self.recipe.usage,
            settings=self.settings,
            job=stop,
            max_cost=max_cost,
        )
        with closing(cast("Generator[Landed, None, None]", results)):
            try:
                yield from results
            finally:
                stop.pressed.set()

    def produce(self, done: Done, origin: Origin) -> Product:
        """The files of one result."""
        return produce(done, origin, self.recipe, self.settings.weights)


class Waiting(Sequence[Input]):
    """Hands the waiting pictures out and takes their results back."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._items = machine.state.waiting()
        self._open: dict[int, tuple[Item, Origin | None]] = {}

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Input: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Input]: ...
    def __getitem__(self, index: int | slice) -> Input | Sequence[Input]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self._input(index, self._items[index])

    def __iter__(self) -> Iterator[Input]:
        for index, item in enumerate(self._items):
            yield self._input(index, item)

    def deliver(self, result: Done | Failed) -> Landed:
        """Write one result, and note it."""
        item, origin = self._open.pop(result.index)
        landed = land(item, result, origin, self._machine.dest, self._machine.produce)
        self._machine.state.note(landed)
        return landed

    def _input(self, index: int, item: Item) -> Input:
        return Input(index, item.key, partial(self._load, index, item))

    def _load(self, index: int, item: Item) -> Tensor:
        self._open[index] = item, None
        recipe = self._machine.recipe
        picture = read_picture(item.source, name=item.key, max_megapixels=recipe.max_megapixels)
        image, origin = take(picture, recipe)
        self._open[index] = item, origin
        return image


class _Stop(Job):
    """Ends what the workers are in the middle of."""

    def __init__(self) -> None:
        self.pressed = threading.Event()

    def check(self) -> None:
        if self.pressed.is_set():
            raise Cancelled("The batch was stopped.")
