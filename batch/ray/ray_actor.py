"""What one actor of Ray does: the model loaded once, pages of pictures in, files on the shared disk
and a few words out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import ray

from ...config.memory import keep_memory
from ...config.private_files import private
from ...config.settings import Settings
from ...core.errors import BackendFailed, BadOption, Cancelled, Refusal
from ...core.types import Job
from ...pictures.places import Places
from ...pipeline.hand_over import settle_delivered
from ..produce import check_place, land
from ..recipe.model import Recipe
from ..result import Landed, attempts, not_landed
from ..session import Opener, Request, Session
from ..sources.items import Item
from .ray_pages import COLUMN, Refused, read_page, write_results
from .shared_budget import SharedBudget

_TICK = 0.2
# So many processes may end over one picture.
_DEATHS = 2
_STOPPED = Refused("Cancelled", "The batch was stopped.")
#: Where this machine keeps things and what it computes on: what the machine itself says goes before
#: what the driver says; where money is spent, both are the same machine.
OF_THE_MACHINE = frozenset(("RMBG_DATA", "RMBG_MODELS", "RMBG_DEVICE", "RMBG_SETTINGS"))


@dataclass(frozen=True)
class Orders:
    """What the driver tells every actor; sent by pickle. Never holds a key."""

    recipe: Recipe
    opener: Opener | None
    """Instead of the recipe's backend."""
    dest: Path
    settings: Settings
    surroundings: Mapping[str, str]
    """The driver's RMBG_ variables, and what stands for them in its settings file."""
    workers: int
    stop: Path
    """The file that stops the run when it is there."""
    paid: bool = False
    """This actor is on the driver's machine, and may spend."""
    costs: Path | None = None
    """The budget of all actors together; None where the recipe has no max_cost."""


class RayActor:
    """The callable of Ray's actors, each in a process of its own. Several threads call it at a
    time."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._refused: Refused | None = None
        self._marks = orders.stop.parent
        self._suspects = threading.Lock()
        self._places = Places()
        keep_memory()
        # This process is the actor's alone; backends read their settings from its environment.
        for name, value in orders.surroundings.items():
            mine = name in OF_THE_MACHINE and os.environ.get(name, "").strip()
            if orders.paid or not mine:
                os.environ[name] = value
        self._session: Session[Landed] = Session(
            replace(orders.recipe, max_cost=None),
            orders.opener,
            orders.settings,
            workers=orders.workers,
            job=_job(orders),
        )

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Work on each page: one line of JSON in, one out."""
        return {COLUMN: [write_results(self._page(str(page))) for page in batch[COLUMN]]}

    def __del__(self) -> None:
        """So Ray says that the actor is not needed any more."""
        self._session.close()

    def _page(self, page: str) -> Sequence[Landed | Refused]:
        numbered = read_page(page)
        with _mark(self._marks / f"page {numbered[0][0]}") as deaths:
            if not deaths:
                return self._tried([item for _, item in numbered])
            # This page, or another beside it, brought its process down: now one at a time, so that
            # the next death has a name.
            with self._suspects:
                return [self._suspect(number, item) for number, item in numbered]

    def _suspect(self, number: int, item: Item) -> Landed | Refused:
        with _mark(self._marks / f"picture {number}") as deaths:
            if deaths < _DEATHS:
                return self._tried([item])[0]
            reason = (
                f"{item.key}: the process that worked on it was ended {deaths} times. Is there "
                "enough memory for it?"
            )
            return not_landed(item.key, BackendFailed(reason))

    def _tried(self, items: Sequence[Item]) -> list[Landed | Refused]:
        """Each until it ends well, or trying again would be in vain or cost something."""
        results: dict[Item, Landed | Refused] = {}

        def again() -> list[Item]:
            return [item for item, end in results.items() if getattr(end, "may_repeat", False)]

        for tried, _ in attempts(items, again):
            results.update(zip(tried, self._once(tried), strict=True))
        return [results[item] for item in items]

    def _once(self, items: Sequence[Item]) -> list[Landed | Refused]:
        refused = self._refused or (_STOPPED if self._orders.stop.exists() else None)
        if refused:
            return [refused] * len(items)
        try:
            if self._session.backend.spec.price and not self._orders.paid:
                raise BadOption(
                    "This backend costs money, and Ray may run it on any machine, where no budget "
                    "would hold. Name a hosted backend by its id."
                )
            futures = self._session.work([self._request(item) for item in items])
        except Refusal as error:
            return [self._refuse(type(error).__name__, str(error))] * len(items)
        return [self._result(future) for future in futures]

    def _result(self, future: Future[Landed]) -> Landed | Refused:
        while not wait([future], _TICK).done:
            if self._orders.stop.exists():
                self._session.drop()
        try:
            landed = future.result()
        except Cancelled:
            return _STOPPED
        except Refusal as error:
            return self._refuse(type(error).__name__, str(error))
        if landed.full:
            self._refuse(landed.kind, landed.error or "")
        return landed

    def _refuse(self, kind: str, error: str) -> Refused:
        """Begin nothing more."""
        self._refused = Refused(kind, error)
        return self._refused

    def _request(self, item: Item) -> Request[Landed]:
        orders = self._orders
        about = orders.dest, orders.recipe, orders.settings
        return Request(
            item.key,
            item.source,
            lambda result: land(item, result, *about),
            settle_delivered,
            partial(check_place, item, orders.dest, self._places),
        )


class _Stoppable(Job):
    """For what costs nothing, and so can be left in the middle."""

    def __init__(self, stop: Path) -> None:
        self._stop = stop

    def check(self) -> None:
        """See `Job.check`."""
        if self._stop.exists():
            raise Cancelled(_STOPPED.error)


def _job(orders: Orders) -> Job:
    if not orders.paid:
        return _Stoppable(orders.stop)
    if orders.costs is None or orders.recipe.max_cost is None:
        return Job()
    owner = ray.get_runtime_context().get_actor_id() or ""  # the same after a restart
    return SharedBudget(orders.costs, orders.recipe.max_cost, owner)


@contextmanager
def _mark(path: Path) -> Iterator[int]:
    """How many processes ended inside this very block."""
    with open(path, "ab", opener=private) as file:
        before = file.tell()
        file.write(b".")
    yield before
    path.unlink(missing_ok=True)
