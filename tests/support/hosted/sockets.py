"""A wire for tests of the providers' words: real sockets, no limits, hardly any repetition."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import aiohttp

from rmbg_nodes.backends.hosted.http.wire import (
    Account,
    Answer,
    AnswerLost,
    Call,
    Ready,
    Unreachable,
)
from rmbg_nodes.backends.hosted.providers import PROVIDERS
from rmbg_nodes.config.hosted import bases_of, hosting_of
from rmbg_nodes.core.specs import BackendSpec

from .opening import words_for
from .server import HostedServer

T = TypeVar("T")


def made(spec: BackendSpec, environment: Mapping[str, str] | None = None, **options: Any) -> Any:
    """The provider of a row."""
    given = {**words_for(spec.id), **options}
    return PROVIDERS[spec.provider](spec, bases_of(spec, environment or {}), given)


class Sockets:
    """A small wire of the test's own: the key where it belongs, a few quick repetitions of what is
    free to repeat, and no more."""

    def __init__(self, session: aiohttp.ClientSession, spec: BackendSpec, server: HostedServer):
        self._session = session
        self._official = {role: base for role, (_, base) in hosting_of(spec).bases.items()}
        self._bases = bases_of(spec, server.environment())
        self._headers = made(spec).headers(server.key)
        self.account = Account()
        self.sent_to = ""
        repeatable = hosting_of(spec).repeatable
        self._keyed = {repeatable.header: str(uuid.uuid4())} if repeatable else {}

    @classmethod
    @asynccontextmanager
    async def over(cls, spec: BackendSpec, server: HostedServer) -> AsyncIterator[Sockets]:
        """With a session of its own."""
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield cls(session, spec, server)

    async def submit(self, call: Call) -> Answer:
        """One key for all submits of this wire, as if they were one picture's."""
        try:
            return await self._once(replace(call, headers={**call.headers, **self._keyed}))
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            raise AnswerLost(type(error).__name__) from None

    async def ask(self, call: Call) -> Answer:
        status = None
        for _ in range(3):
            try:
                given = await self._once(call)
            except (aiohttp.ClientError, asyncio.TimeoutError):
                continue
            status = given.status
            if status not in (408, 429) and status < 500 and (status != 200 or given.data()):
                return given
        raise Unreachable("three times", status)

    async def put(self, call: Call) -> Answer:
        return await self._once(call)

    def rebase(self, role: str, url: str) -> str | None:
        for base in (self._bases[role], self._official[role]):
            if url.startswith(base + "/"):
                return self._bases[role] + url[len(base) :]
        return None

    async def _once(self, call: Call) -> Answer:
        keyed = any(call.url.startswith(base) for base in self._bases.values())
        data: Any = call.content
        if call.upload:
            data = aiohttp.FormData()
            data.add_field(
                call.upload.field,
                call.upload.content,
                filename=call.upload.file_name,
                content_type=call.upload.content_type,
            )
        async with self._session.request(
            call.method,
            call.url,
            json=call.data,
            data=data,
            headers={**call.headers, **(self._headers if keyed else {})},
            allow_redirects=False,
        ) as response:
            body = await response.read()
            headers = {name.lower(): text for name, text in response.headers.items()}
            return Answer(response.status, headers, body)

    async def download(self, url: str) -> bytes:
        async with self._session.get(url) as response:
            response.raise_for_status()
            return await response.read()


def talk(
    spec: BackendSpec, server: HostedServer, dialogue: Callable[[Any, Sockets], Awaitable[T]]
) -> T:
    """Let the provider of this row speak with its server."""

    async def held() -> T:
        async with Sockets.over(spec, server) as wire:
            return await dialogue(made(spec, server.environment()), wire)

    return asyncio.run(held())


def life_of(png: bytes) -> Callable[[Any, Any], Awaitable[bytes]]:
    """What `talk` may do: a picture goes there, and the result's file comes back."""

    async def whole_life(provider: Any, wire: Any) -> bytes:
        ticket = await provider.submit(wire, await provider.hand_over(wire, png))
        for _ in range(200):
            state = await provider.poll(wire, ticket)
            if isinstance(state, Ready):
                data: bytes = await wire.download(state.url)
                return data
            await asyncio.sleep(0.01)
        raise AssertionError("never ready")

    return whole_life
