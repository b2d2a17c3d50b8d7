"""What the pictures of one run share, and what one picture is on its way through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ....config.hosted import Limits
from ....core.specs import BackendSpec
from ....core.types import Claim, Frame, Job, Ticket
from ..http.rate_limits import RateLimits
from ..http.runtime import Runtime
from ..http.transport import Transport
from ..http.wire import Provider
from .blocking import BlockingPool
from .schedule import PollSchedule

T = TypeVar("T")


@dataclass(frozen=True)
class HostedRequest:
    """One picture of one run. size: (width, height). frame: None when there is only a ticket to
    fetch. ticket: the one to fetch, if it is known beforehand."""

    index: int
    name: str
    work: str
    size: tuple[int, int]
    frame: Frame | None = None
    ticket: Ticket | None = None

    @classmethod
    def of_claim(cls, claim: Claim) -> HostedRequest:
        """A ticket without its picture."""
        name = f"request {claim.ticket.request_id}"
        return cls(claim.index, name, claim.work, claim.size, ticket=claim.ticket)


@dataclass(frozen=True)
class RunContext:
    """home: the provider's address, by which equal pictures of other runs are recognised."""

    home: str
    spec: BackendSpec
    provider: Provider
    transport: Transport
    rate_limits: RateLimits
    runtime: Runtime
    blocking_pool: BlockingPool
    job: Job
    limits: Limits
    pacer: PollSchedule
    resubmit: bool
    downscale: bool

    async def aside(self, function: Callable[[], T]) -> T:
        """The result of something that would block the event loop."""
        return await self.blocking_pool.run(function)
