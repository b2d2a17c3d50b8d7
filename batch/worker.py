"""One machine's way through what waits: files in, files out, and the state told of each."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import cast

from ..backends.hosted.fetching import Fetcher
from ..config.settings import Settings
from ..core.errors import BadOption
from ..core.stop import StopSwitch
from ..core.types import Backend
from ..pictures.places import Places
from ..pictures.web import Web
from ..pipeline.finishing import Done
from ..pipeline.hand_over import settle_delivered
from ..pipeline.inputs import Failed, Input, Loaded
from ..pipeline.remove import remove
from .produce import check_place, land, load, noted
from .recipe.model import Recipe
from .recipe.post_process import open_treatment
from .result import Landed
from .sources.items import Inputs, Item
from .state.progress import State


@dataclass
class Worker:
    """The local engine of one run."""

    state: State
    recipe: Recipe
    dest: Path
    settings: Settings
    workers: int
    """Threads beside the model."""
    fetcher: Fetcher | None
    """Fetches the pictures of `web`, where there are any."""
    web: Web | None

    def __post_init__(self) -> None:
        self._finishing = open_treatment(self.recipe)
        self._places = Places()
        self._items: dict[int, Item] = {}
        self._untold: dict[str, Landed] = {}

    def waiting(self) -> Sequence[Input]:
        """Return the pictures that wait at this moment, for one pass."""
        return Inputs(self.state.waiting(), self._load)

    def work(
        self, pictures: Sequence[Input], backend: Backend, max_cost: Decimal | None
    ) -> Iterator[Landed]:
        """Work on each of them once. What is yielded is in the state already.

        Raises what the backend refuses, and BadOption where nothing more can be written.
        """
        stop = StopSwitch("The batch was stopped.")
        if self.fetcher is not None:
            self.fetcher.go_on()
        results = remove(
            pictures,
            backend,
            self._finishing,
            self._deliver,
            workers=self.workers,
            usage=self.recipe.usage,
            settings=self.settings,
            job=stop,
            max_cost=max_cost,
            hand_over=settle_delivered,
            ending=self._stop_fetching,
        )
        with closing(cast("Generator[Landed, None, None]", results)):
            try:
                for end in results:
                    del self._untold[end.key]
                    yield end
                    if end.full:
                        raise BadOption(end.error)
            finally:
                stop.pressed.set()

    def untold(self) -> Iterator[Landed]:
        """Yield what ended and was not yielded any more, because the pass broke off; each once."""
        while self._untold:
            yield self._untold.popitem()[1]

    def _load(self, index: int, item: Item) -> Loaded:
        self._items[index] = item
        check_place(item, self.dest, self._places)
        content: Path | bytes = item.source
        if self.web is not None and item.key in self.web:
            content = self.web.content(item.key)
        return load(content, item.key, self.recipe)

    def _deliver(self, result: Done | Failed) -> Landed:
        item = self._items.pop(result.index)
        end = land(item, result, self.dest, self.recipe, self.settings)
        self._untold[item.key] = end = noted(self.state, end)
        return end

    def _stop_fetching(self) -> None:
        if self.fetcher is not None:
            self.fetcher.stop()
