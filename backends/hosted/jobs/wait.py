"""From a ticket to its result: asking, fetching, unpacking. All of it is free to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TypeVar

from ....config.hosted import hosting_of
from ....core.errors import PictureError, UnusableResult
from ....core.specs import BackendSpec, Price
from ....core.types import Clip, Facts, Failure, Matte, Ticket
from ..http.wire import NotKnown, Ready, Unreachable
from ..job_ids import PICTURE, same_id, words_in
from . import messages
from .run_context import HostedRequest, Made, RunContext

T = TypeVar("T")

# What the provider should still have may not be on every one of its servers yet, or not at this
# moment: it is asked again after so many seconds, each time a multiple of these.
_UNKNOWN_PAUSE = 1.0
_MULTIPLES = (1, 2, 4, 8, 8, 8)
# Statuses of a download that mean: this link is no longer good; and: there is nothing.
_REFUSED = 403
_NOTHING = (404, 410)


class ResultWaiter:
    """Wait for the result of one ticket."""

    def __init__(
        self, context: RunContext, request: HostedRequest, ticket: Ticket, queued: dict[str, Ticket]
    ) -> None:
        """queued: work -> ticket of the run's jobs that wait in the provider's queue."""
        self._context = context
        self._request = request
        self._ticket = ticket
        self._queued = queued
        #: The provider has nothing for this ticket, as far as it says.
        self.nothing_there = False

    async def ready(self, *, resumed: bool) -> Ready | Failure:
        """Ask until the job is done, for as long as one job may take."""
        asked = asyncio.wait_for(self._asked(resumed=resumed), self._context.limits.job_seconds)
        result = await self._tried(asked, "its job could not be asked for")
        self._queued.pop(self._request.work, None)
        return result

    async def result(
        self, ready: Ready | Failure, size: tuple[int, int], started: float, note: str
    ) -> Matte | Clip | Failure:
        """Fetch what the provider made of it. size: (width, height) as it was sent. started: on the
        loop's clock."""
        if isinstance(ready, Failure):
            return ready
        until = started + self._context.limits.job_seconds
        fetched = await self._tried(
            self._fetched(ready, size, until), "its result could not be fetched"
        )
        if isinstance(fetched, Failure):
            return fetched
        seconds = asyncio.get_running_loop().time() - started
        price = self._context.price(self._request)
        return fetched(_facts(self._context.spec, self._ticket, price, seconds, note))

    async def _tried(self, work: Awaitable[T], what: str) -> T | Failure:
        """Return the result, or what went wrong. what: what messages say when no answer came."""
        name, ticket = self._request.name, self._ticket
        try:
            return await work
        except asyncio.TimeoutError:
            late = f"its job was not finished after {self._context.limits.job_seconds:.0f} s"
            error: PictureError = messages.unfinished(name, ticket, late)
        except Unreachable as problem:
            if problem.status in (_REFUSED, *_NOTHING):
                error = self._absent(problem)
            else:
                error = messages.unfinished(name, ticket, f"{what} ({problem})")
        except NotKnown as problem:
            error = self._absent(problem)
        except PictureError as problem:
            error = messages.unusable(name, ticket, problem)
        return Failure(error, ticket.request_id)

    async def _asked(self, *, resumed: bool) -> Ready:
        context, clock = self._context, asyncio.get_running_loop().time
        accepted, last_working = clock(), 0.0
        pauses = self._pauses()
        there = self._ticket.urls.get(PICTURE)
        if there is not None:
            return Ready(there)
        if not resumed:
            await asyncio.sleep(context.schedule.pause(0.0))
        while True:
            try:
                state = await context.provider.poll(context.transport, self._ticket)
            except NotKnown:
                pause = next(pauses, None)
                if pause is None:
                    raise
                await asyncio.sleep(pause)
                continue
            elapsed = clock() - accepted
            if isinstance(state, Ready):
                if not resumed:
                    context.schedule.learn(last_working, elapsed)
                return state
            if state.queued:
                self._queued[self._request.work] = self._ticket
            else:
                self._queued.pop(self._request.work, None)
            last_working = elapsed
            await asyncio.sleep(context.schedule.pause(elapsed))

    def _is_young(self) -> bool:
        """Say whether the provider should still have the result."""
        if self._ticket.created is None:
            return True
        age = datetime.now(timezone.utc) - datetime.fromisoformat(self._ticket.created)
        return age < timedelta(hours=hosting_of(self._context.spec).retention.hours)

    def _pauses(self) -> Iterator[float]:
        """Return the seconds before each new attempt at what is not there; none once it is old."""
        return (_UNKNOWN_PAUSE * times for times in (_MULTIPLES if self._is_young() else ()))

    def _absent(self, problem: NotKnown | Unreachable) -> PictureError:
        """Return the error for a job or a file that the provider does not have."""
        self.nothing_there = True
        name, spec, ticket = self._request.name, self._context.spec, self._ticket
        status = problem.status if isinstance(problem, Unreachable) else None
        if not self._is_young():
            return (messages.expired if status else messages.gone)(name, spec, ticket)
        if status == _REFUSED:
            return messages.refused_link(name, spec, ticket)
        return messages.missing(name, spec, ticket, str(problem))

    async def _fetched(self, ready: Ready, size: tuple[int, int], until: float) -> Made:
        """Fetch the provider's file. For a link that is no longer good the provider is asked for a
        new one, at once and, where nothing is found, for a while. until: on the loop's clock; what
        is not there is not waited for after that."""
        context = self._context
        clock = asyncio.get_running_loop().time
        pauses = [0.0, *self._pauses()]
        tries = {_REFUSED: 1, **dict.fromkeys(_NOTHING, len(pauses))}
        number = 0
        while True:
            await self._check_address(ready.url)
            try:
                return await context.fetch(context, self._request, ready.url, size)
            except Unreachable as problem:
                if number >= tries.get(problem.status or 0, 0) or clock() + pauses[number] > until:
                    raise
            await asyncio.sleep(pauses[number])
            ready = await self._asked_again(ready)
            number += 1

    async def _asked_again(self, ready: Ready) -> Ready:
        """The provider's newest word about the finished job; what it said before when it has
        none at this moment."""
        try:
            state = await self._context.provider.poll(self._context.transport, self._ticket)
        except NotKnown:
            if not self._is_young():
                raise
            return ready
        return state if isinstance(state, Ready) else ready

    async def _check_address(self, url: str) -> None:
        """Raise UnusableResult for a file that has another job's id in its address."""
        context, names = self._context, words_in(url)
        if any(same_id(name, str(self._ticket.request_id)) for name in names):
            return
        if await context.pool.run(context.job.is_foreign, self._request.work, names):
            raise UnusableResult("the address of its result names another picture's request.")


def _facts(spec: BackendSpec, ticket: Ticket, price: Price, seconds: float, note: str) -> Facts:
    marks = hosting_of(spec).marks
    marked = f"the provider's picture carries {marks}; only its mask is used" if marks else ""
    return Facts(
        backend=spec.id,
        model=spec.model,
        licence=spec.licence,
        device=f"{spec.provider}'s servers",
        seconds=seconds,
        cost=Decimal(0) if ticket.told else price.amount,
        currency=price.currency,
        left_machine=True,
        request_id=ticket.request_id,
        notes=tuple(filter(None, (note, marked))),
    )
