"""What the two official clients share."""

from __future__ import annotations

import asyncio
import importlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from ....config.hosted import hosting_of
from ....core.errors import BackendMissing, RmbgError
from ....core.specs import BackendSpec
from ....core.types import Ticket
from ..http.wire import Answer, Provider, Ready, Wire, Working

if TYPE_CHECKING:
    from .bridge import Bridge

T = TypeVar("T")
Client = TypeVar("Client")
Check: TypeAlias = "Callable[[Ticket, Answer], None]"


class InThread(Protocol):
    """Runs a function that blocks beside the event loop."""

    def __call__(self, function: Callable[[], T]) -> Awaitable[T]: ...


class Official(ABC, Generic[Client]):
    """An SDK's calls over a bridge, one at a time, and our own words to fall back on."""

    def __init__(
        self,
        own: Provider,
        spec: BackendSpec,
        bases: Mapping[str, str],
        in_thread: InThread,
        error: type[Exception],
        check_job: Check,
        check_accepted: Check | None = None,
    ) -> None:
        """error: the SDK's own. check_job, check_accepted: our own comparison of ids and pictures
        with an answer, because the SDKs make none."""
        self._own = own
        self._spec = spec
        self._bases = bases
        self._in_thread = in_thread
        self._check_job = check_job
        self._check_accepted = check_accepted
        #: What the SDK's addresses begin with -> what is asked instead.
        self._replaced: dict[str, str] = {}
        # What the SDK raises: its own errors, and what follows from an answer that it cannot read.
        self._stumbles: tuple[type[Exception], ...] = (
            *(error, *transport_errors(), Unread),
            *(ValueError, KeyError, TypeError, AttributeError),
        )

    def headers(self, key: str) -> Mapping[str, str]:
        """See wire.Provider: the same as without the SDK."""
        return self._own.headers(key)

    async def hand_over(self, wire: Wire, png: bytes) -> str:
        """See wire.Provider."""
        if len(png) <= hosting_of(self._spec).inline_bytes:
            return await self._own.hand_over(wire, png)
        return await self._through(
            wire,
            lambda client: self._upload(client, png),
            lambda replay: self._own.hand_over(replay, png),
        )

    async def submit(self, wire: Wire, image: str) -> Ticket:
        """See wire.Provider."""
        return await self._through(
            wire,
            lambda client: self._send(client, image),
            lambda replay: self._own.submit(replay, image),
            paid=True,
            check=self._check_accepted,
        )

    async def poll(self, wire: Wire, ticket: Ticket) -> Working | Ready:
        """See wire.Provider."""
        return await self._through(
            wire,
            lambda client: self._ask(client, wire, ticket),
            lambda replay: self._own.poll(replay, ticket),
            check=lambda _, answer: self._check_job(ticket, answer),
        )

    async def cancel(self, wire: Wire, ticket: Ticket) -> bool:
        """See wire.Provider."""
        return await self._own.cancel(wire, ticket)

    @abstractmethod
    def _client(self, bridge: Bridge) -> Client:
        """Make the SDK's client over this bridge."""

    @abstractmethod
    def _upload(self, client: Client, png: bytes) -> str:
        """Upload a picture by the SDK; return its URL."""

    @abstractmethod
    def _send(self, client: Client, image: str) -> Ticket:
        """Submit by the SDK."""

    @abstractmethod
    def _ask(self, client: Client, wire: Wire, ticket: Ticket) -> Working | Ready:
        """Poll by the SDK."""

    async def _through(
        self,
        wire: Wire,
        sdk: Callable[[Client], T],
        own: Callable[[Wire], Awaitable[T]],
        *,
        paid: bool = False,
        check: Callable[[T, Answer], None] | None = None,
    ) -> T:
        """Return what the SDK makes of it, or what our own words make of the same answers when it
        fails. check: raises when an answer is not what the SDK takes it for."""
        from .bridge import Bridge, Replay

        bridge = Bridge(wire, self._bases, self._replaced, paid=paid)
        try:
            made = await self._in_thread(lambda: sdk(self._client(bridge)))
        except asyncio.CancelledError:
            bridge.drop()
            raise
        except RmbgError:
            raise
        except self._stumbles:
            # Out of the handler, so that no request of the SDK's, which holds the key, is kept.
            pass
        else:
            if check is not None:
                for answer in bridge.answers.values():
                    check(made, answer)
            return made
        return await own(Replay(wire, bridge))


class Unread(Exception):
    """The SDK gave something that says less than the answer does."""


def text_of(value: object) -> str:
    """Return the text. Raises Unread for anything else."""
    if not isinstance(value, str) or not value:
        raise Unread
    return value


def transport_errors() -> tuple[type[Exception], ...]:
    """Return what an SDK may raise of httpx and of the bridge; asked for once an SDK is loaded."""
    import httpx

    from .bridge import Repeated

    return httpx.HTTPError, httpx.InvalidURL, Repeated


def load_sdk(module: str, extra: str) -> ModuleType:
    """Import a part of an SDK. Raises BackendMissing, naming the extra."""
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError, TypeError) as error:
        # replicate 1.0.7 fails in other ways than by an ImportError on Python 3.14.
        reason = f"{type(error).__name__}: {error}"
    raise BackendMissing(
        f"The official client of {extra} cannot be imported here ({reason}). Install it with "
        f'pip install "rmbg-nodes[{extra}]", or leave `client` at own.'
    )
