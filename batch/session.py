"""A recipe at work in one process: the backend opened once, pictures in, what the caller makes of
them out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from ..config.settings import Settings
from ..core.types import Backend, Job
from ..pictures.origin import Origin
from ..pictures.read import read_picture
from ..pipeline.context import open_user_records
from ..pipeline.finishing import Done
from ..pipeline.gate import open_backend
from ..pipeline.hand_over import Settle, at_once
from ..pipeline.inputs import Failed, Loaded
from ..records.delivered import DeliveredFiles
from .produce import Product, produce, take
from .recipe.model import Recipe
from .recipe.post_process import open_treatment
from .stream import Piece, Stream, Terms

R = TypeVar("R")

#: What opens a backend. It is called in the process that computes, so it must be possible to send
#: it there: a function or class of a module, or `functools.partial` of one.
Opener: TypeAlias = "Callable[[], Backend]"


@dataclass(frozen=True)
class Request(Generic[R]):
    """One picture. content: a file, or its bytes. finish: makes of the result what the caller gets;
    it is called by a worker, and its second argument is None when the picture was not read.
    hand_over: see `Piece`. check: raises PictureError before the picture is read."""

    name: str
    content: Path | bytes
    finish: Callable[[Done | Failed, Origin | None], R]
    hand_over: Callable[[R, Settle], None] = at_once
    check: Callable[[], None] = lambda: None


class Session(Generic[R]):
    """Any thread may call it. Nothing is opened before the first order.

    opener: instead of the recipe's backend; called once. workers: threads that decode and encode
    beside the model. job: is told of paid work, and may refuse it.
    """

    def __init__(
        self,
        recipe: Recipe,
        opener: Opener | None,
        settings: Settings,
        *,
        workers: int,
        job: Job | None = None,
    ) -> None:
        self._recipe = recipe
        self._opener = opener or partial(open_for, recipe, settings)
        self._settings = settings
        self._workers = workers
        self._job = job or Job()
        self._opening = threading.Lock()
        self._open: tuple[Backend, Stream[R]] | None = None

    @property
    def backend(self) -> Backend:
        """The open backend. Raises what it refuses."""
        return self._opened()[0]

    @property
    def files(self) -> DeliveredFiles:
        """Where the hashes of written files are kept."""
        return open_user_records(self._settings).files

    def work(self, orders: Sequence[Request[R]]) -> list[Future[R]]:
        """What becomes of each order, in their sequence; see `Stream.work`.

        Raises LicenceRefused, WeightsMissing and whatever else keeps the backend from being opened.
        """
        stream = self._opened()[1]
        return stream.work([self._piece(order) for order in orders])

    def produce(self, done: Done, origin: Origin) -> Product:
        """The files of one result. Raises BadPicture; called by the workers."""
        return produce(done, origin, self._recipe, self._settings.weights)

    def drop(self) -> None:
        """See `Stream.drop`."""
        if self._open:
            self._open[1].drop()

    def close(self) -> None:
        """Let go of the backend, when everything under way is finished."""
        if self._open:
            backend, stream = self._open
            stream.close()
            backend.close()

    def _opened(self) -> tuple[Backend, Stream[R]]:
        with self._opening:
            if self._open is None:
                finishing = open_treatment(self._recipe)
                backend = self._opener()
                usage = self._recipe.usage
                terms = Terms(finishing, self._workers, usage, self._settings, self._job)
                self._open = backend, Stream(backend, terms)
            return self._open

    def _piece(self, order: Request[R]) -> Piece[R]:
        origins: list[Origin] = []

        def load() -> Loaded:
            order.check()
            picture = read_picture(
                order.content, name=order.name, max_megapixels=self._recipe.max_megapixels
            )
            image, origin = take(picture, self._recipe)
            origins.append(origin)
            return Loaded(image, picture.warnings)

        def finish(result: Done | Failed) -> R:
            return order.finish(result, origins[-1] if origins else None)

        return Piece(order.name, load, finish, order.hand_over)


def open_for(recipe: Recipe, settings: Settings) -> Backend:
    """The backend of a recipe. Raises what `gate.open_backend` does."""
    return open_backend(
        recipe.backend, usage=recipe.usage, settings=settings, options=recipe.options
    )
