"""How much of a provider is used at a time: jobs, pictures, and requests a minute.

Everything here belongs to one event loop; only construction may happen elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

_WINDOW = 60.0
# A sleep is no longer than this, so that a raised limit is soon felt.
_NAP = 1.0
# Nor shorter than this: rounding may leave a token short of one by nothing.
_BLINK = 0.001
# A little slower than allowed, so that rounding never makes it one too many.
_MARGIN = 0.999


class Slots:
    """A counting semaphore whose size can change. First come, first served."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def held(self) -> int:
        """How many are inside `hold`."""
        return self._held

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """One slot, for the time of the `async with`."""
        await self._take()
        try:
            yield
        finally:
            self._give_back()

    def resize(self, size: int) -> None:
        """Change the size; slots that are held above a smaller one are given back in their time."""
        self._size = size
        self._serve()

    async def _take(self) -> None:
        if self._held < self._size and not self._waiting:
            self._held += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
                self._serve()
            else:  # it was given in the very moment of the cancellation
                self._give_back()
            raise

    def _give_back(self) -> None:
        self._held -= 1
        self._serve()

    def _serve(self) -> None:
        for turn in list(self._waiting):
            if self._held >= self._size:
                return
            if not turn.done():  # else its owner is about to take itself out of the line
                self._waiting.remove(turn)
                self._held += 1
                turn.set_result(None)


class Pace:
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
        self._capacity = 0.0
        self._rate = 0.0
        self._set(a_minute)
        self._tokens = self._capacity
        self._filled = clock()

    async def turn(self) -> None:
        """Return when one more request may be sent. First come, first served; a wait that is
        cancelled uses nothing up."""
        async with self._line:
            self._fill()
            while self._tokens < 1.0:
                missing = (1.0 - self._tokens) / self._rate
                await self._sleep(min(_NAP, max(_BLINK, missing)))
                self._fill()
            self._tokens -= 1.0

    def resize(self, a_minute: int) -> None:
        """Change N for the turns to come."""
        self._fill()
        self._set(a_minute)
        self._tokens = min(self._tokens, self._capacity)

    def _set(self, a_minute: int) -> None:
        self._capacity = float(max(1, a_minute // 6))
        # One a minute fills no bucket beside its one token: then every turn takes a whole window.
        flow = a_minute - self._capacity or 1.0
        self._rate = _MARGIN * flow / _WINDOW

    def _fill(self) -> None:
        now = self._clock()
        gained = (now - self._filled) * self._rate
        self._tokens = min(self._capacity, self._tokens + gained)
        self._filled = now


@dataclass(frozen=True)
class Gate:
    """One provider's limits. jobs: at the provider. pictures: on their way in this process."""

    jobs: Slots
    pictures: Slots
    pace: Pace

    def resize(self, in_flight: int, requests_a_minute: int, pictures: int) -> None:
        """Other limits, from now on."""
        self.jobs.resize(in_flight)
        self.pictures.resize(pictures)
        self.pace.resize(requests_a_minute)
