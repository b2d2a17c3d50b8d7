"""The one event loop of the process for everything hosted, with what all runs share on it.

ComfyUI loads the pack by its path and other programs import `rmbg_nodes`: both can happen in one
process, and an account's limits hold for both together. So the runtime is found under one fixed
name in `sys.modules`. Whoever comes first makes it; the other meets plain objects and methods,
never `isinstance`. What changes here in an incompatible way changes the number in the name.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import logging
import os
import socket
import sys
import threading
from collections.abc import Coroutine, Mapping
from types import ModuleType
from typing import TypeVar

from .rate_limits import RateLimits
from .resolver import Lookup
from .sessions import Sessions
from .wire import Account, SendState

T = TypeVar("T")

_log = logging.getLogger("rmbg_nodes.hosted")

_NAME = "_rmbg_nodes_hosted_v3"
_PATIENCE = 10.0
_ENDING = 2.0


class Runtime:
    """A loop in one daemon thread; limits by provider; submits that must go on to their end.

    lookup: socket.getaddrinfo, or what stands in for it.
    """

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self.pid = os.getpid()
        self.closed = False
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_note)
        #: Pictures that are on their way, by what they are; only touched on the loop.
        self.flights: dict[str, asyncio.Future[object]] = {}
        #: Submits, which outlive their run, and how far each has come.
        self.detached: dict[asyncio.Task[object], SendState] = {}
        #: By a digest of server and key.
        self._accounts: dict[str, Account] = {}
        self._rate_limits: dict[str, tuple[tuple[int, int, int], RateLimits]] = {}
        self.sessions = Sessions(lookup)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="rmbg-hosted", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def start(self, coroutine: Coroutine[object, object, T]) -> concurrent.futures.Future[T]:
        """Begin it on the loop, from any thread. Cancelling the future cancels it there."""
        with self._lock:
            if self.closed or self.pid != os.getpid():
                coroutine.close()
                raise RuntimeError("This runtime is closed, or belongs to another process.")
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def rate_limits(
        self, name: str, *, in_flight: int, requests_a_minute: int, pictures: int
    ) -> RateLimits:
        """Return the limits of this name, from any thread: one object while they are alike.

        Other limits are other limiters: runs that began under the earlier ones keep those.
        """
        sizes = (in_flight, requests_a_minute, pictures)
        with self._lock:
            if name not in self._rate_limits or self._rate_limits[name][0] != sizes:
                self._rate_limits[name] = sizes, RateLimits(*sizes)
            return self._rate_limits[name][1]

    def account(self, digest: str) -> Account:
        """Return what is known of this account, from any thread."""
        with self._lock:
            return self._accounts.setdefault(digest, Account())

    def detach(self, task: asyncio.Task[T], departure: SendState) -> None:
        """Keep a submit alive until it is done. Its exception counts as seen, since its run
        may have ended. On the loop, like `under_way`."""
        self.detached[task] = departure

        def done(ended: asyncio.Task[T]) -> None:
            del self.detached[ended]
            if not ended.cancelled():
                ended.exception()

        task.add_done_callback(done)

    def under_way(self, home: str) -> list[asyncio.Task[object]]:
        """Return the submits to this server of which bytes may have left and no answer is in
        yet."""
        return [task for task, at in self.detached.items() if at.under_way and at.home == home]

    def close(self) -> None:
        """End it, from any thread but its own; submits under way have 10 seconds to bring their id.

        Harmless when repeated, and in a forked child, where the thread does not exist.
        """
        with self._lock:
            if self.closed or self.pid != os.getpid():
                return
            self.closed = True
        atexit.unregister(self.close)
        ending = asyncio.run_coroutine_threadsafe(self._end(), self.loop)
        concurrent.futures.wait([ending], timeout=_PATIENCE + _ENDING)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_ENDING)

    async def _end(self) -> None:
        if self.detached:
            await asyncio.wait(set(self.detached), timeout=_PATIENCE)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.sessions.close()
        await self.loop.shutdown_asyncgens()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()


def _note(loop: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
    """Log an error that was not awaited by its kind alone: its text could hold an address or a
    header.

    aiohttp leaves futures behind when a connection breaks, which is no news here.
    """
    error = context.get("exception")
    level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
    _log.log(level, "%s: %s", context.get("message"), type(error).__name__)


def runtime() -> Runtime:
    """Return the process's runtime, made when first needed, and anew in a forked child."""
    fresh = ModuleType(_NAME, "What rmbg-nodes shares between its identities in one process.")
    vars(fresh).update(runtime=None, inherited=[])
    shared = vars(sys.modules.setdefault(_NAME, fresh))
    # One lock for each process: the parent's may have been held at the moment of the fork.
    with shared.setdefault(f"lock_{os.getpid()}", threading.Lock()):
        current: Runtime | None = shared["runtime"]
        if current is None or current.closed or current.pid != os.getpid():
            if current is not None and current.pid != os.getpid():
                # Never freed: its connections, in going, would take themselves out of the selector
                # that the child shares with its parent.
                shared["inherited"].append(current)
            current = shared["runtime"] = Runtime()
        return current
