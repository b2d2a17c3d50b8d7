"""How much of a provider is used at a time: jobs, pictures, and requests a minute.

Everything here belongs to one event loop; only construction may happen elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

_WINDOW = 60.0
# A sleep is no shorter than this: rounding may leave a token short of one by nothing.
_BLINK = 0.001
# A little slower than allowed, so that rounding never makes it one too many.
_MARGIN = 0.999


class TokenBucket:
    """Requests a minute: never more than N in any 60 seconds, and spread out.

    A token bucket. Its capacity and what flows into it during a window make N together, so that no
    window holds more, wherever it begins.
    """

    def __init__(
        self,
        a_minute: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._line = asyncio.Lock()
        self._capacity = float(max(1, a_minute // 6))
        # One a minute fills no bucket beside its one token: then every turn takes a whole window.
        flow = a_minute - self._capacity or 1.0
        self._rate = _MARGIN * flow / _WINDOW
        self._tokens = self._capacity
        self._filled = clock()

    async def turn(self) -> None:
        """Return when one more request may be sent. First come, first served; a wait that is
        cancelled uses nothing up."""
        async with self._line:
            self._fill()
            while self._tokens < 1.0:
                missing = (1.0 - self._tokens) / self._rate
                await self._sleep(max(_BLINK, missing))
                self._fill()
            self._tokens -= 1.0

    def _fill(self) -> None:
        now = self._clock()
        gained = (now - self._filled) * self._rate
        self._tokens = min(self._capacity, self._tokens + gained)
        self._filled = now


class RateLimits:
    """One provider's limits. They never change: who asks for others gets another RateLimits.

    jobs: at the provider. pictures: on their way in this process. pace: requests a minute.
    """

    def __init__(self, in_flight: int, requests_a_minute: int, pictures: int) -> None:
        self.jobs = asyncio.Semaphore(in_flight)
        self.pictures = asyncio.Semaphore(pictures)
        self.pace = TokenBucket(requests_a_minute)
