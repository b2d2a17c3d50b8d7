"""Stopping a submit only while nothing has left the machine."""

from __future__ import annotations

import asyncio

from ..http.transport import Transport
from ..http.wire import Answer, Call, NotSent, SendState

_LOOK = 0.02


class CancellableSubmit:
    """The transport for one submit of a run that may be stopped.

    A stop ends every wait before the first byte: for the account's limit, after a 429, for the
    connection. Once bytes may have left it waits for the answer, whatever it is: the answer holds
    the id of something that is paid for. departure: learns when that is.
    """

    def __init__(self, transport: Transport, stop: asyncio.Event, departure: SendState) -> None:
        self._transport = transport
        self._stop = stop
        self._departure = departure

    async def submit(self, call: Call) -> Answer:
        """See `Wire.submit`. Raises NotSent when stopped in time."""
        departure = self._departure
        sending = asyncio.ensure_future(self._transport.submit(call, departure))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            while not sending.done() and departure.under_way:
                await asyncio.wait({sending}, timeout=_LOOK)
            if not sending.done():
                sending.cancel()
                await asyncio.wait({sending})
            if sending.cancelled():
                raise NotSent("the run was stopped")
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
