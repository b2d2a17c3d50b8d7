"""From a ticket to a matte: asking, fetching, unpacking. All of it is free to repeat."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from ...core.errors import PictureError, UnusableResult
from ...core.specs import BackendSpec, Price
from ...core.types import Facts, Failure, Matte, Ticket
from . import codec, sentences
from .desk import Desk, Errand
from .environment import hosting_of
from .naming import same_id, words_in
from .wire import NotKnown, Ready, Unreachable

if TYPE_CHECKING:
    from torch import Tensor

# A job that was accepted a moment ago may not be known on every server of the provider yet.
_UNKNOWN_AT_FIRST = 3
_UNKNOWN_PAUSE = 1.0
# Statuses of a download that mean: this link is no longer good.
_EXPIRED = (403, 404, 410)


class Follower:
    """One ticket of one errand. queued: work -> ticket of jobs that wait in the provider's queue,
    by its last word; shared by the run."""

    def __init__(
        self, desk: Desk, errand: Errand, ticket: Ticket, queued: dict[str, Ticket]
    ) -> None:
        self._desk = desk
        self._errand = errand
        self._ticket = ticket
        self._queued = queued

    async def ready(self, *, resumed: bool) -> Ready | Failure:
        """Ask until the job is done, for as long as one job may take."""
        seconds, name = self._desk.limits.job_seconds, self._errand.name
        try:
            return await asyncio.wait_for(self._asked(resumed=resumed), seconds)
        except asyncio.TimeoutError:
            late = f"its job was not finished after {seconds:.0f} s"
            error: PictureError = sentences.unfinished(name, self._ticket, late)
        except Unreachable as problem:
            lame = f"its job could not be asked for ({problem})"
            error = sentences.unfinished(name, self._ticket, lame)
        except NotKnown:
            error = sentences.gone(name, self._desk.spec, self._ticket)
        except PictureError as problem:
            error = sentences.unusable(name, self._ticket, problem)
        self._queued.pop(self._errand.work, None)
        return Failure(error, self._ticket.request_id)

    async def matte(
        self, ready: Ready | Failure, size: tuple[int, int], started: float, note: str
    ) -> Matte | Failure:
        """What the provider made of the picture. size: (width, height) as it was sent. started: on
        the loop's clock."""
        if isinstance(ready, Failure):
            return ready
        fetched = await self._fetched(ready, size)
        if isinstance(fetched, Failure):
            return fetched
        data, values = fetched
        seconds = asyncio.get_running_loop().time() - started
        facts = _facts(self._desk.spec, self._ticket, seconds, note)
        marked = bool(hosting_of(self._desk.spec).marks)
        return Matte(values, "alpha", facts, original=data if marked else None)

    async def _asked(self, *, resumed: bool) -> Ready:
        desk, clock = self._desk, asyncio.get_running_loop().time
        accepted, last_working = clock(), 0.0
        unknown_left = 0 if resumed else _UNKNOWN_AT_FIRST
        if not resumed:
            await asyncio.sleep(desk.pacer.pause(0.0))
        while True:
            try:
                state = await desk.provider.poll(desk.transport, self._ticket)
            except NotKnown:
                if not unknown_left:
                    raise
                unknown_left -= 1
                await asyncio.sleep(_UNKNOWN_PAUSE)
                continue
            elapsed = clock() - accepted
            if isinstance(state, Ready):
                self._queued.pop(self._errand.work, None)
                if not resumed:
                    desk.pacer.learn(last_working, elapsed)
                return state
            if state.queued:
                self._queued[self._errand.work] = self._ticket
            else:
                self._queued.pop(self._errand.work, None)
            last_working = elapsed
            await asyncio.sleep(desk.pacer.pause(elapsed))

    async def _fetched(self, ready: Ready, size: tuple[int, int]) -> tuple[bytes, Tensor] | Failure:
        """The provider's file and the alpha in it."""
        name = self._errand.name
        try:
            data = await self._downloaded(ready, size)
            return data, await self._desk.aside(partial(codec.decode_alpha, data, size))
        except Unreachable as problem:
            if problem.status in _EXPIRED:
                error = sentences.expired(name, self._desk.spec, self._ticket)
            else:
                why = f"its result could not be fetched ({problem})"
                error = sentences.unfinished(name, self._ticket, why)
        except NotKnown:
            error = sentences.gone(name, self._desk.spec, self._ticket)
        except PictureError as problem:
            error = sentences.unusable(name, self._ticket, problem)
        return Failure(error, self._ticket.request_id)

    async def _downloaded(self, ready: Ready, size: tuple[int, int]) -> bytes:
        """The file; for a link that has run out, the provider is asked for a new one once."""
        desk, most = self._desk, codec.most_bytes(size)
        await self._check_address(ready.url)
        try:
            return await desk.transport.download(ready.url, most)
        except Unreachable as problem:
            if problem.status not in _EXPIRED:
                raise
            again = await desk.provider.poll(desk.transport, self._ticket)
            if not isinstance(again, Ready):
                raise
        await self._check_address(again.url)
        return await desk.transport.download(again.url, most)

    async def _check_address(self, url: str) -> None:
        """Raise UnusableResult for a file that has another job's id in its address."""
        desk, names = self._desk, words_in(url)
        if any(same_id(name, str(self._ticket.request_id)) for name in names):
            return
        if await desk.aside(partial(desk.job.is_foreign, self._errand.work, names)):
            raise UnusableResult("the address of its result names another picture's request.")


def _facts(spec: BackendSpec, ticket: Ticket, seconds: float, note: str) -> Facts:
    price = cast("Price", spec.price)
    marks = hosting_of(spec).marks
    marked = f"the provider's picture carries {marks}; only its mask is used" if marks else ""
    return Facts(
        backend=spec.id,
        model=spec.model,
        licence=spec.licence,
        device=f"{spec.provider}'s servers",
        seconds=seconds,
        cost=price.amount,
        currency=price.currency,
        left_machine=True,
        request_id=ticket.request_id,
        notes=tuple(filter(None, (note, marked))),
    )
