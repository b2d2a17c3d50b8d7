"""One machine's way through what waits: files in, files out, and the state told of each."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import cast

from ..backends.hosted.fetching import Fetcher
from ..config.settings import Settings
from ..core.errors import BadOption
from ..core.stop import StopSwitch
from ..core.types import Backend
from ..pictures.origin import Origin
from ..pictures.places import Places
from ..pictures.read import read_picture
from ..pictures.web import Web
from ..pipeline.context import open_user_records
from ..pipeline.finishing import Done, Finishing
from ..pipeline.inputs import Failed, Loaded
from ..pipeline.remove import remove
from .delivery import check_place, land, noted
from .produce import Product, produce, take
from .recipe.model import Recipe
from .result import Landed, settle_landed
from .sources.items import Item
from .sources.loading import Inputs
from .state.progress import State


@dataclass(frozen=True)
class Worker:
    """What all passes of one run have in common. workers: threads beside the model.
    fetcher: fetches the pictures of `web`, where there are any."""

    state: State
    recipe: Recipe
    finishing: Finishing
    dest: Path
    settings: Settings
    workers: int
    places: Places = field(default_factory=Places)
    fetcher: Fetcher | None = None
    web: Web | None = None

    def waiting(self) -> Pending:
        """The pictures of the next pass."""
        return Pending(self)

    def work(
        self, pictures: Pending, backend: Backend, max_cost: Decimal | None
    ) -> Iterator[Landed]:
        """One pass: each of them once. What is yielded is in the state already.

        Raises what the backend refuses, and BadOption where nothing more can be written.
        """
        stop = StopSwitch("The batch was stopped.")
        if self.fetcher is not None:
            self.fetcher.go_on()
        results = remove(
            pictures,
            backend,
            self.finishing,
            pictures.deliver,
            workers=self.workers,
            usage=self.recipe.usage,
            settings=self.settings,
            job=stop,
            max_cost=max_cost,
            hand_over=settle_landed,
            ending=self._stop_fetching,
        )
        with closing(cast("Generator[Landed, None, None]", results)):
            try:
                for landed in results:
                    pictures.told(landed)
                    yield landed
                    if landed.full:
                        raise BadOption(landed.error)
            finally:
                stop.pressed.set()

    def content(self, item: Item) -> Path | bytes:
        """What `read_picture` takes; an address is fetched now."""
        if self.web is not None and item.key in self.web:
            return self.web.content(item.key)
        return item.source

    def _stop_fetching(self) -> None:
        if self.fetcher is not None:
            self.fetcher.stop()

    def produce(self, done: Done, origin: Origin) -> Product:
        """The files of one result."""
        return produce(done, origin, self.recipe, self.settings.weights)


class Pending(Inputs):
    """Hands the waiting pictures out and takes their results back."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker.state.waiting(), self._read)
        self._worker = worker
        self._open: dict[int, tuple[Item, Origin | None]] = {}
        self._untold: dict[str, Landed] = {}

    def deliver(self, result: Done | Failed) -> Landed:
        """Write one result, and note it."""
        item, origin = self._open.pop(result.index)
        landed = land(
            item,
            result,
            origin,
            self._worker.dest,
            self._worker.produce,
            open_user_records(self._worker.settings).files,
        )
        ended = self._untold[item.key] = noted(self._worker.state, landed)
        return ended

    def untold(self) -> Iterator[Landed]:
        """What ended and was not yielded any more, because the pass broke off; each once."""
        while self._untold:
            yield self._untold.popitem()[1]

    def told(self, landed: Landed) -> None:
        """It was yielded."""
        del self._untold[landed.key]

    def _read(self, index: int, item: Item) -> Loaded:
        self._open[index] = item, None
        check_place(item, self._worker.dest, self._worker.places)
        recipe = self._worker.recipe
        content = self._worker.content(item)
        picture = read_picture(content, name=item.key, max_megapixels=recipe.max_megapixels)
        image, origin = take(picture, recipe)
        self._open[index] = item, origin
        return Loaded(image, picture.warnings)
