"""What the requests of one run share, and what one of them is on its way through it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeAlias, TypeVar, cast

from ....config.hosted import Limits
from ....core.specs import BackendSpec, Price
from ....core.types import Claim, Clip, Facts, Job, Matte, Ticket
from ..http.rate_limits import RateLimits
from ..http.runtime import Runtime
from ..http.transport import Transport
from ..http.wire import Words
from .schedule import PollSchedule

P = ParamSpec("P")
T = TypeVar("T")

#: What a job made, once it is told what is to be said of it.
Made: TypeAlias = "Callable[[Facts], Matte | Clip]"

_THREADS = 3


class BlockingPool:
    """The few threads of one run, for what would block the event loop: PNG, SQLite, official
    clients. They end with the run, so that nothing but the one loop thread outlives it.

    `run` is for the loop, `stop` and `join` for the run's own thread.
    """

    def __init__(self, threads: int = _THREADS) -> None:
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pool = ThreadPoolExecutor(
            threads,
            thread_name_prefix="rmbg-hosted-run",
            initializer=lambda: self._threads.append(threading.current_thread()),
        )

    async def run(self, function: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Compute the function's result beside the loop; on the loop once the run is over."""
        work = partial(function, *args, **more)
        if self.stopping.is_set():
            return work()
        try:
            result = asyncio.get_running_loop().run_in_executor(self._pool, work)
        except RuntimeError:  # the run ended in this very moment
            return work()
        return await result

    def stop(self) -> None:
        """Long work that asks `stopping` ends early; what is queued (an id on its way into the
        journal) is still done."""
        self.stopping.set()
        self._pool.shutdown(wait=False)

    def join(self, seconds: float) -> None:
        """Wait for the threads to end, but no longer than this."""
        until = time.monotonic() + seconds
        for thread in list(self._threads):
            thread.join(max(0.0, until - time.monotonic()))


@dataclass(frozen=True)
class Packed:
    """What is sent for one request."""

    size: tuple[int, int]
    """(width, height)"""
    hand_over: Callable[[], Awaitable[str]]
    """Returns what stands for it in the request; see wire.Provider and wire.VideoProvider."""
    note: str = ""
    """What its report must say of it; empty for nothing."""


@dataclass(frozen=True)
class HostedRequest:
    """One picture or video of one run."""

    index: int
    name: str
    work: str
    size: tuple[int, int]
    """(width, height)"""
    pack: Callable[[RunContext], Awaitable[Packed]] | None = None
    """Raises PictureError; None when there is only a ticket to fetch."""
    ticket: Ticket | None = None
    """The one to fetch, if it is known beforehand."""
    price: Price | None = None
    """Of this job alone; None: the row's."""
    about: object = None
    """What the fetcher of its result wants to know of it."""

    @classmethod
    def of_claim(cls, claim: Claim, media: str = "picture") -> HostedRequest:
        """Make the request for a ticket without its picture or video."""
        id = claim.ticket.request_id
        name = f"request {id}" if id else f"the {media} of {claim.size[0]} x {claim.size[1]}"
        return cls(
            claim.index, name, claim.work, claim.size, ticket=claim.ticket, price=claim.price
        )


@dataclass(frozen=True)
class RunContext:
    """What the requests of one run share."""

    home: str
    """The provider's addresses, by which equal pictures of other runs are recognised."""
    spec: BackendSpec
    provider: Words
    transport: Transport
    rate_limits: RateLimits
    runtime: Runtime
    pool: BlockingPool
    job: Job
    limits: Limits
    schedule: PollSchedule
    mark: Callable[[str], str]
    """Tells the account of this run from others, given a salt; see `Key.mark`."""
    resubmit: bool
    fetch: Callable[[RunContext, HostedRequest, str, tuple[int, int]], Awaitable[Made]]
    """Fetches a result from its URL, given the (width, height) that was sent. Raises what
    `Transport.download` raises, and UnusableResult."""

    def price(self, request: HostedRequest) -> Price:
        """Return what this job costs."""
        return request.price or cast("Price", self.spec.price)
