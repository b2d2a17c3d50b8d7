"""What the two official clients share: an SDK's call over a bridge, and our own words to fall back
on."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, TypeVar

from ....core.errors import BackendMissing, RmbgError
from ....core.types import Ticket
from ..http.wire import Answer, Provider, Wire

if TYPE_CHECKING:
    from .bridge import Bridge

T = TypeVar("T")


class InThread(Protocol):
    """Runs a function that blocks beside the event loop."""

    def __call__(self, function: Callable[[], T]) -> Awaitable[T]: ...


class Official:
    """What both SDKs share: one call at a time over a bridge, and our own words to fall back on."""

    def __init__(
        self,
        own: Provider,
        bases: Mapping[str, str],
        in_thread: InThread,
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._own = own
        self._bases = bases
        self._in_thread = in_thread
        # What the SDK raises: its own errors, and what follows from an answer that it cannot read.
        self._stumbles: tuple[type[Exception], ...] = (
            *errors,
            Unread,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        )

    def headers(self, key: str) -> Mapping[str, str]:
        """What identifies the account: the same as without the SDK."""
        return self._own.headers(key)

    async def cancel(self, wire: Wire, ticket: Ticket) -> bool:
        """See wire.Provider."""
        return await self._own.cancel(wire, ticket)

    async def _through(
        self,
        wire: Wire,
        sdk: Callable[[Bridge], T],
        own: Callable[[Wire], Awaitable[T]],
        replaced: Mapping[str, str],
        *,
        paid: bool = False,
        check: Callable[[T, Answer], None] | None = None,
    ) -> T:
        """What the SDK makes of it; what our own words make of the same answers when it fails.

        check: raises when an answer is not what the SDK takes it for; the SDKs compare no ids.
        """
        from .bridge import Bridge, Replay

        bridge = Bridge(wire, self._bases, replaced, paid=paid)
        try:
            made = await self._in_thread(lambda: sdk(bridge))
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
    """The text, or Unread."""
    if not isinstance(value, str) or not value:
        raise Unread
    return value


def transport_errors() -> tuple[type[Exception], ...]:
    """What an SDK may raise of httpx and of the bridge; asked for once an SDK is loaded."""
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
