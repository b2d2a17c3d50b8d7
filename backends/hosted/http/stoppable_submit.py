"""One submit of a run that may be stopped, and what makes it repeatable."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from ....core.errors import Offline
from .transport import Transport
from .wire import Account, Answer, AnswerLost, Call, NotSent, SendState

# Seconds between two looks at whether a stopped submit has its answer.
_LOOK = 0.02
# Seconds that a stopped run waits for an answer that can be asked for again.
_LAST = 10.0


@dataclass(frozen=True)
class KeyedSubmit:
    """What makes a submit repeatable: its idempotency key, which is durable."""

    header: str
    key: str
    sent_to: str
    """See `Wire.sent_to`."""
    note: Callable[[str], Awaitable[None]]
    """Makes the address durable before the bytes leave for it."""


class CancellableSubmit:
    """The transport for one submit of a run that may be stopped.

    A stop ends every wait before the first byte: for the account's limit, after a 429, for the
    connection. Once bytes may have left it waits for the answer, whatever it is: the answer holds
    the id of something that is paid for; only for a while, where it can be asked for again.
    """

    def __init__(
        self,
        transport: Transport,
        stop: asyncio.Event,
        departure: SendState,
        keyed: KeyedSubmit | None = None,
    ) -> None:
        """departure: learns when bytes may have left. keyed: what makes it repeatable."""
        self._transport = transport
        self._stop = stop
        self._departure = departure
        self._keyed = keyed

    @property
    def account(self) -> Account:
        """See `Wire.account`."""
        return self._transport.account

    @property
    def sent_to(self) -> str:
        """See `Wire.sent_to`."""
        return self._keyed.sent_to if self._keyed else ""

    async def submit(self, call: Call) -> Answer:
        """See `Wire.submit`. Raises NotSent when stopped in time, and what noting the address
        raises."""
        if self._keyed is None:
            return await self._sent(call)
        headers = {**call.headers, self._keyed.header: self._keyed.key}
        await self._keyed.note(call.url)
        self._departure.under_way = False  # what went elsewhere before has its answer
        try:
            answer = await self._sent(replace(call, headers=headers, repeatable=True))
        except Offline as switched_off:
            if self._departure.under_way:
                raise AnswerLost(str(switched_off)) from None
            raise
        return replace(answer, uncertain=answer.uncertain or bool(self.sent_to))

    async def _sent(self, call: Call) -> Answer:
        clock = asyncio.get_running_loop().time
        sending = asyncio.ensure_future(self._transport.submit(call, self._departure))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            until = clock() + _LAST if call.repeatable else math.inf
            while not sending.done() and self._departure.under_way and clock() < until:
                await asyncio.wait({sending}, timeout=_LOOK)
            if not sending.done():
                sending.cancel()
                await asyncio.wait({sending})
            if sending.cancelled():
                lost = AnswerLost if self._departure.under_way else NotSent
                raise lost("the run was stopped")
            return sending.result()
        finally:
            stopping.cancel()

    async def ask(self, call: Call) -> Answer:
        """See `Wire.ask`."""
        return await self._transport.ask(call)

    async def put(self, call: Call) -> Answer:
        """See `Wire.put`."""
        return await self._transport.put(call)

    def rebase(self, role: str, url: str) -> str | None:
        """See `Wire.rebase`."""
        return self._transport.rebase(role, url)
