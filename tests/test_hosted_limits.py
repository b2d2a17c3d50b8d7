"""The pace of requests."""

# Pins the inside of backends.hosted.http.rate_limits

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmbg_nodes.backends.hosted.http.rate_limits import TokenBucket


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        await asyncio.sleep(0)


def turns_of(a_minute: int, idle: list[float]) -> list[float]:
    """When each request was let through, after the caller was idle for so long before it."""
    clock = Clock()
    pace = TokenBucket(a_minute, clock=clock, sleep=clock.sleep)
    times = []

    async def drive() -> None:
        for pause in idle:
            clock.now += pause
            await pace.turn()
            times.append(clock.now)

    asyncio.run(drive())
    return times


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 70),
    st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.3, 2.0, 11.0, 59.9, 61.0]), max_size=150),
)
def test_no_minute_holds_more_than_allowed(a_minute: int, idle: list[float]) -> None:
    times = turns_of(a_minute, idle)
    for at, start in enumerate(times):
        assert sum(start <= time <= start + 60.0 for time in times[at:]) <= a_minute


def test_it_uses_nearly_all_that_is_allowed_and_spreads_it() -> None:
    times = turns_of(60, [0.0] * 180)
    assert times[9] == times[0]  # a burst of a sixth
    gaps = [after - before for before, after in zip(times[10:], times[11:], strict=False)]
    assert max(gaps) == pytest.approx(60 / 50, rel=0.01)
    assert min(gaps) == pytest.approx(60 / 50, rel=0.01)


def test_600_a_minute_serve_8_jobs_of_3_seconds_without_waiting() -> None:
    times = turns_of(600, [0.0] * 99)
    assert times[-1] == times[0]


def test_turns_come_in_order_and_a_cancelled_one_costs_nothing() -> None:
    clock = Clock()
    naps: list[asyncio.Event] = []

    async def sleep(seconds: float) -> None:
        naps.append(asyncio.Event())
        await naps[-1].wait()
        clock.now += seconds

    async def drive() -> list[str]:
        pace = TokenBucket(6, clock=clock, sleep=sleep)
        await pace.turn()
        order: list[str] = []

        async def one(name: str) -> None:
            await pace.turn()
            order.append(name)

        first, second, third = (asyncio.ensure_future(one(name)) for name in "abc")
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait({first}, timeout=0.1)
        assert first.cancelled()
        for _ in range(60):
            await asyncio.sleep(0)
            naps[-1].set()
        await asyncio.wait({second, third}, timeout=1)
        return order

    assert asyncio.run(drive()) == ["b", "c"]
    # 5 a minute flow in: the second and third wait 12 seconds each, the cancelled one none.
    assert clock.now - 1000.0 == pytest.approx(24.0, rel=0.01)
