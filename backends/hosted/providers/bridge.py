"""An httpx transport for the providers' SDKs that has no network of its own: it hands every request
to the wire.

So the SDKs get this package's limits, timeouts, addresses, TLS, proxies and RMBG_OFFLINE, and its
promise: a submit is sent once. fal-client 1.0.3 repeats a POST up to ten times, and neither it nor
replicate 1.0.7 keeps the key from the hosts of files. Here the key is taken out of every request;
the wire adds it where it belongs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Literal, cast

import httpx

from ..http.wire import Account, Answer, Call, NotSent, Unreachable, Wire

Method = Literal["GET", "POST", "PUT", "DELETE"]

# What the wire decides by itself, beside the key.
_NOT_PASSED = frozenset(
    {"authorization", "host", "user-agent", "accept-encoding", "connection", "content-length"}
)
# The body of an Answer is already unpacked.
_NOT_RETURNED = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class Repeated(Exception):
    """The SDK wanted to send a picture twice; nothing was sent the second time."""


class Bridge(httpx.BaseTransport):
    """For one call of an SDK, which runs in a worker thread; made on the event loop.

    bases: the provider's servers by role. replaced: what the SDK's URLs begin with -> the
    configured address. paid: the call starts paid work, so its POST goes out once.
    """

    def __init__(
        self, wire: Wire, bases: Mapping[str, str], replaced: Mapping[str, str], *, paid: bool
    ) -> None:
        self._wire = wire
        self._bases = bases
        self._replaced = replaced
        self._paid = paid
        self._loop = asyncio.get_running_loop()
        self._pending: Future[Answer] | None = None
        self._dropped = False
        self._posted = False
        #: URL without its query -> the last answer from there.
        self.answers: dict[str, Answer] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.BaseTransport. Raises what the wire raises, and Repeated."""
        answer = self._carried(self._call(request))
        kept = {name: text for name, text in answer.headers.items() if name not in _NOT_RETURNED}
        return httpx.Response(answer.status, headers=kept, content=answer.body, request=request)

    def drop(self) -> None:
        """End what is under way and begin nothing new: its caller is gone."""
        self._dropped = True
        if self._pending is not None:
            self._pending.cancel()

    def _call(self, request: httpx.Request) -> Call:
        url = str(request.url)
        for prefix, base in self._replaced.items():
            if url.startswith(prefix):
                url = base + url[len(prefix) :]
        headers = {
            name: text for name, text in request.headers.items() if name.lower() not in _NOT_PASSED
        }
        content = request.read() or None
        return Call(cast("Method", request.method), url, content=content, headers=headers)

    def _carried(self, call: Call) -> Answer:
        if self._dropped or _on_a_loop():
            # What is left of a run that has ended runs on the loop itself, which must not wait.
            raise NotSent("the run was stopped") if self._paid else Unreachable("it was stopped")
        rebased = (self._wire.rebase(role, call.url) for role in self._bases)
        ours = next((url for url in rebased if url is not None), None)
        if ours is not None:
            call = replace(call, url=ours)
        self._pending = asyncio.run_coroutine_threadsafe(
            self._by_wire(call, ours is not None), self._loop
        )
        answer = self._pending.result()
        self.answers[call.url.partition("?")[0]] = answer
        return answer

    async def _by_wire(self, call: Call, ours: bool) -> Answer:
        if self._paid:
            if self._posted or call.method != "POST" or not ours:
                raise Repeated
            self._posted = True
            return await self._wire.submit(call)
        if ours:
            return await self._wire.ask(call)
        if call.method != "PUT":
            raise Unreachable("the SDK named a server that is not the provider's")
        return await self._wire.put(call)


class Replay:
    """A wire that has the answers which an SDK got and could not use; it asks for others, but
    never submits."""

    def __init__(self, wire: Wire, bridge: Bridge) -> None:
        self._wire = wire
        self._answers = bridge.answers

    @property
    def account(self) -> Account:
        """See `Wire.account`."""
        return self._wire.account

    @property
    def sent_to(self) -> str:
        """See `Wire.sent_to`."""
        return self._wire.sent_to

    async def submit(self, call: Call) -> Answer:
        """Return the one answer to the submit."""
        answer = self._answers.get(call.url)
        if answer is None:
            raise NotSent("the provider's SDK did not send it")
        return answer

    async def ask(self, call: Call) -> Answer:
        """Return what the SDK got from there, else ask."""
        return self._answers.get(call.url.partition("?")[0]) or await self._wire.ask(call)

    async def put(self, call: Call) -> Answer:
        """See `Wire.put`."""
        return self._answers.get(call.url.partition("?")[0]) or await self._wire.put(call)

    def rebase(self, role: str, url: str) -> str | None:
        """See `Wire.rebase`."""
        return self._wire.rebase(role, url)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
