"""The life of one paid picture or video.

    known -> reserve -> hand over -> sending -> submit -> submitted -> follow -> settled

One rule stands above all: a submit whose bytes may have left is never repeated, unless the host
takes idempotency keys (repeats.py). What was accepted is durable before it is asked for, Cancel
never interrupts a submit that is on its way, and whatever has an id can be fetched later.

What is sent and what is made of the answer, a picture's or a video's, is `HostedRequest.pack` and
`RunContext.fetch`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TypeVar, cast

from ....core.errors import BackendFailed, PictureError, RmbgError, UnusableResult
from ....core.types import Clip, Failure, Matte, Outcome, Ticket
from ..http.wire import AnswerLost, KeySpent, NotKnown, NotSent, SendState, Unreachable
from . import messages, repeats
from .lost_answers import accepted, ask_again, of_lost
from .run_context import HostedRequest, Packed, RunContext
from .wait import ResultWaiter

Result = TypeVar("Result", bound="Matte | Clip | Failure")

_log = logging.getLogger("rmbg_nodes.hosted")

# A gateway that takes two submits for one answers both at the same moment: so many seconds after an
# id came, those that were under way with it may still bring it too. After that the journal refuses
# it to whoever comes (records/job_rows.py), and one that hangs holds nothing up.
_MAY_MEET = 3.0
# After this many lost answers in a row nothing more is sent: the provider is not well.
_LOST_IN_A_ROW = 3


class JobRunner:
    """Runs the hosted requests of one run. Everything here runs on the event loop."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._stop = asyncio.Event()
        self._lost = 0
        self._requests: dict[asyncio.Task[Outcome], HostedRequest] = {}
        #: Work that is paid for, or may be a moment from now.
        self._paid: set[str] = set()
        #: Submits go on when the run is stopped, because they may already cost something.
        self._submits: dict[str, asyncio.Task[Ticket]] = {}
        self._queued: dict[str, Ticket] = {}

    async def carry(self, request: HostedRequest) -> Outcome:
        """Return the picture's outcome. Raises a Refusal, or CancelledError.

        Of equal pictures, in whatever run of this process, one is sent; the others wait for it.
        """
        task = cast("asyncio.Task[Outcome]", asyncio.current_task())
        self._requests[task] = request
        flights = self._context.runtime.flights
        key = f"{self._context.home} {request.work}"
        result: Matte | Clip | Failure | None = None
        try:
            while (other := flights.get(key)) is not None:
                shared = cast("Matte | Clip | Failure | None", await asyncio.shield(other))
                if shared is not None:
                    return Outcome(request.index, messages.second_copy(request.name, shared))
            flights[key] = flight = asyncio.get_running_loop().create_future()
            try:
                async with self._context.rate_limits.pictures:
                    result = await self._lead(request)
            finally:
                self._land(key, flight, request.work, result)
            return Outcome(request.index, result)
        finally:
            del self._requests[task]

    async def send_no_more(self) -> None:
        """End the requests of which nothing was sent, without an outcome; the others go on."""
        for task, request in list(self._requests.items()):
            if request.work not in self._paid:
                task.cancel()

    async def stop(self, patience: float) -> None:
        """End the run. Submits that have not begun never will; those on their way get a moment to
        bring their id, and jobs that still wait in the provider's queue are called off."""
        self._stop.set()
        for task in list(self._requests):
            task.cancel()
        calls = [asyncio.ensure_future(self._call_off(*item)) for item in self._queued.items()]
        ending = {*self._requests, *calls, *self._submits.values()}
        if ending:
            await asyncio.wait(ending, timeout=patience)
        for call in calls:
            call.cancel()

    async def _lead(self, request: HostedRequest) -> Matte | Clip | Failure:
        context = self._context
        try:
            ticket = request.ticket or await context.pool.run(context.job.known, request.work)
        except PictureError as error:
            return Failure(messages.about(request.name, error))
        if ticket is not None and ticket.repeat_key:
            asked = await self._asked_again(request, ticket)
            if not isinstance(asked, Failure):
                ticket = asked
            elif not (context.resubmit and request.pack and asked.error.paid == "perhaps"):
                return await self._settled(request, asked)
        if ticket is not None and ticket.request_id is not None:
            self._paid.add(request.work)
            waiter = ResultWaiter(context, request, ticket, self._queued)
            started = asyncio.get_running_loop().time()
            ready = await waiter.ready(resumed=True)
            note = "resumed: it was sent and paid for earlier"
            result = await waiter.result(ready, ticket.sent or request.size, started, note)
            useless = waiter.nothing_there or _is_unusable(result)
            if not (context.resubmit and request.pack and useless):
                return await self._settled(request, result)
        elif ticket is not None and not context.resubmit:
            return Failure(messages.lost_earlier(request.name, context.spec))
        if request.pack is None:
            what = context.spec.media
            return Failure(BackendFailed(f"{request.name}: there is no {what} to send."))
        try:
            packed = await request.pack(context)
        except PictureError as error:
            return Failure(messages.about(request.name, error))
        return await self._sent(request, packed)

    async def _sent(self, request: HostedRequest, packed: Packed) -> Matte | Clip | Failure:
        context = self._context
        async with context.rate_limits.jobs:
            if self._lost >= _LOST_IN_A_ROW:
                return Failure(messages.not_tried(request.name, context.spec))
            started = asyncio.get_running_loop().time()
            ticket = await self._ticket(request, packed)
            if isinstance(ticket, Failure):
                return ticket
            beside = context.runtime.under_way(context.home)
            until = asyncio.get_running_loop().time() + _MAY_MEET
            waiter = ResultWaiter(context, request, ticket, self._queued)
            ready = await waiter.ready(resumed=False)
        # The provider is done with it: the next one may be sent while this one is fetched.
        result = await waiter.result(ready, packed.size, started, packed.note)
        if beside:
            await asyncio.wait(beside, timeout=until - asyncio.get_running_loop().time())
        return await self._settled(request, await self._undisputed(request, ticket, result))

    async def _undisputed(
        self, request: HostedRequest, ticket: Ticket, result: Matte | Clip | Failure
    ) -> Matte | Clip | Failure:
        """Return the result, or a Failure if another submit got the same id: it may be either's."""
        try:
            held = await self._context.pool.run(self._context.job.known, request.work)
        except PictureError:  # it cannot be looked up: what was paid for is delivered
            return result
        if held is None or held.request_id is not None:
            return result
        return Failure(messages.disputed(request.name, self._context.spec, ticket))

    async def _ticket(self, request: HostedRequest, packed: Packed) -> Ticket | Failure:
        """Pay. What is not sent after all frees what was reserved."""
        context = self._context
        try:
            await context.pool.run(context.job.reserve, request.work, context.price(request))
        except PictureError as refused:
            return Failure(messages.about(request.name, refused))
        try:
            image = await packed.hand_over()
        except (PictureError, Unreachable) as problem:
            reason = messages.not_sent(request.name, context.spec, problem)
            return await self._settled(request, Failure(reason))
        except BaseException:
            self._free(request)
            raise
        try:
            ticket = await self._uninterrupted(request, image, packed.size)
        except (PictureError, NotSent) as problem:
            return Failure(messages.not_sent(request.name, context.spec, problem))
        except AnswerLost as lost:
            self._lost += 1
            return await self._settled(request, of_lost(context, request, lost))
        self._lost = 0
        return ticket

    async def _asked_again(self, request: HostedRequest, ticket: Ticket) -> Ticket | Failure:
        """Ask for the answer that an earlier run lost. It may be interrupted: the key stays."""
        self._paid.add(request.work)
        async with self._context.rate_limits.jobs:
            return await ask_again(self._context, self._stop, request, ticket)

    async def _uninterrupted(
        self, request: HostedRequest, image: str, size: tuple[int, int]
    ) -> Ticket:
        """Submit; that goes on to its end when this request is cancelled."""
        self._paid.add(request.work)
        departure = SendState(home=self._context.home)
        task = asyncio.ensure_future(self._submit(request, image, size, departure))
        self._submits[request.work] = task
        task.add_done_callback(lambda _: self._submits.pop(request.work))
        self._context.runtime.detach(task, departure)
        return await asyncio.shield(task)

    async def _submit(
        self, request: HostedRequest, image: str, size: tuple[int, int], departure: SendState
    ) -> Ticket:
        """From the word that bytes leave to the durable id, or the word that nothing is owed: said
        here, because the request that waits for it may be cancelled at any moment."""
        context, work = self._context, request.work
        repeat = repeats.new_repeat(context, image)
        key = repeat.key if repeat else ""
        try:
            if repeat is not None:
                await context.pool.run(context.job.repeatable, work, repeat)
            await context.pool.run(context.job.sending, work)
            answered = await repeats.answered(context, self._stop, work, image, departure, key)
        except KeySpent:
            await self._accepted(request, Ticket(context.spec.id, None, sent=size))
            raise
        except AnswerLost as lost:
            id = None if repeat else lost.request_id
            urls = {"account": repeat.account} if repeat else {}
            unknown = Ticket(context.spec.id, id, urls, sent=size, repeat_key=key)
            await self._accepted(request, unknown)
            raise
        except (RmbgError, NotSent) as problem:
            reason = messages.not_sent(request.name, context.spec, problem)
            await self._settled(request, Failure(reason))
            raise
        ticket = replace(answered, sent=size)
        await self._accepted(request, ticket)
        return ticket

    async def _accepted(self, request: HostedRequest, ticket: Ticket) -> None:
        """Make the id durable. Raises AnswerLost for one that stands for another picture."""
        await accepted(self._context, request.work, ticket)

    async def _settled(self, request: HostedRequest, result: Result) -> Result:
        outcome = Outcome(request.index, result)
        await self._context.pool.run(self._context.job.settled, request.work, outcome)
        return result

    def _free(self, request: HostedRequest) -> None:
        """Free what was reserved: nothing was sent for it."""
        stopped = Failure(BackendFailed(f"{request.name} was not sent: the run was stopped."))
        self._context.job.settled(request.work, Outcome(request.index, stopped))

    async def _call_off(self, work: str, ticket: Ticket) -> None:
        context = self._context
        try:
            never_began = await context.provider.cancel(context.transport, ticket)
        except (Unreachable, NotKnown, RmbgError) as problem:
            _log.debug("%s: a job could not be called off: %s", context.spec.id, problem)
            return
        if never_began:
            free = BackendFailed("It was called off before it began, and costs nothing.")
            context.job.settled(work, Outcome(-1, Failure(free, ticket.request_id)))

    def _land(
        self,
        key: str,
        flight: asyncio.Future[object],
        work: str,
        result: Matte | Clip | Failure | None,
    ) -> None:
        """Tell those who wait for the same picture; None: it has no outcome, and one of them
        carries it. While its submit is still on its way, they go on waiting."""

        def land(_: object = None) -> None:
            self._context.runtime.flights.pop(key, None)
            if not flight.done():
                flight.set_result(result)

        submit = self._submits.get(work)
        if submit is None:
            land()
        else:
            submit.add_done_callback(land)


def _is_unusable(result: Matte | Clip | Failure) -> bool:
    return isinstance(result, Failure) and isinstance(result.error, UnusableResult)
