"""The names of hosts, looked up beside the event loop."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeAlias, TypeVar

from aiohttp.abc import AbstractResolver, ResolveResult

from .addresses import AddressRefused, is_public

AddressInfo: TypeAlias = "tuple[int, int, int, str, tuple[object, ...]]"
T = TypeVar("T")


class Lookup(Protocol):
    """socket.getaddrinfo, or what stands in for it. Blocks."""

    def __call__(
        self, host: str, port: int, *, family: int, type: int
    ) -> Sequence[AddressInfo]: ...


class PlainResolver(AbstractResolver):
    """Names as the system resolves them."""

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See aiohttp. Raises OSError."""
        found = await in_own_thread(lambda: self._addresses(host, port, family))
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address, kind in found
        ]

    async def close(self) -> None:
        """See aiohttp: nothing is kept."""

    def _addresses(self, host: str, port: int, family: int) -> list[tuple[str, int]]:
        try:
            infos = self._lookup(host, port, family=family, type=socket.SOCK_STREAM)
        except ValueError:  # raised for labels that no name can have
            raise OSError(f"{host} is no name") from None
        kinds = (socket.AF_INET, socket.AF_INET6)
        return [(str(info[4][0]), info[0]) for info in infos if info[0] in kinds]


class PublicResolver(PlainResolver):
    """Names of public hosts only: one address that is not public refuses the name."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See aiohttp. Raises AddressRefused, or another OSError."""
        results = await super().resolve(host, port, family)
        if not all(is_public(result["host"]) for result in results):
            raise AddressRefused("its address is not on the public internet")
        return results


async def in_own_thread(function: Callable[[], T]) -> T:
    """Run a blocking function in a thread of its own. Raises the OSError that it raises.

    The loop's default executor would keep its threads for as long as the loop lives; this one ends
    with the call. A caller that is cancelled does not wait for it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: OSError | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # a result where there is no error

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except OSError as raised:
            error = raised
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(deliver, result, error)

    try:
        threading.Thread(target=work, name="rmbg-hosted-lookup", daemon=True).start()
    except RuntimeError:  # the interpreter is shutting down, or no thread can be had
        raise OSError("no thread can be started") from None
    return await future
