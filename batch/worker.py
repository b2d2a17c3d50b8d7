"""One machine's way through what waits: files in, files out, and the state told of each."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
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


class Worker:
    """The local engine of one run. workers: threads beside the model. fetcher: fetches the pictures
    of `web`, where there are any."""

    def __init__(
        self,
        state: State,
        recipe: Recipe,
        dest: Path,
        settings: Settings,
        workers: int,
        fetcher: Fetcher | None = None,
        web: Web | None = None,
    ) -> None:
        self._state = state
        self._recipe = recipe
        self._finishing = open_treatment(recipe)
        self._dest = dest
        self._settings = settings
        self._workers = workers
        self._places = Places()
        self._fetcher = fetcher
        self._web = web
        self._items: dict[int, Item] = {}
        self._untold: dict[str, Landed] = {}

    def waiting(self) -> Sequence[Input]:
        """Return the pictures that wait at this moment, for one pass."""
        return Inputs(self._state.waiting(), self._load)

    def work(
        self, pictures: Sequence[Input], backend: Backend, max_cost: Decimal | None
    ) -> Iterator[Landed]:
        """Work on each of them once. What is yielded is in the state already.

        Raises what the backend refuses, and BadOption where nothing more can be written.
        """
        stop = StopSwitch("The batch was stopped.")
        if self._fetcher is not None:
            self._fetcher.go_on()
        results = remove(
            pictures,
            backend,
            self._finishing,
            self._deliver,
            workers=self._workers,
            usage=self._recipe.usage,
            settings=self._settings,
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
        check_place(item, self._dest, self._places)
        content: Path | bytes = item.source
        if self._web is not None and item.key in self._web:
            content = self._web.content(item.key)
        return load(content, item.key, self._recipe)

    def _deliver(self, result: Done | Failed) -> Landed:
        item = self._items.pop(result.index)
        end = land(item, result, self._dest, self._recipe, self._settings)
        self._untold[item.key] = end = noted(self._state, end)
        return end

    def _stop_fetching(self) -> None:
        if self._fetcher is not None:
            self._fetcher.stop()
