"""Slots and the pace of requests."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmbg_nodes.backends.hosted.limits import Gate, Pace, Slots


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
    pace = Pace(a_minute, clock=clock, sleep=clock.sleep)
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
        pace = Pace(6, clock=clock, sleep=sleep)
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
        for _ in range(60):  # naps of a second at most
            await asyncio.sleep(0)
            naps[-1].set()
        await asyncio.wait({second, third}, timeout=1)
        return order

    assert asyncio.run(drive()) == ["b", "c"]
    # 5 a minute flow in: the second and third wait 12 seconds each, the cancelled one none.
    assert clock.now - 1000.0 == pytest.approx(24.0, rel=0.01)


def test_a_raised_limit_is_felt_within_a_second() -> None:
    clock = Clock()

    async def drive() -> None:
        pace = Pace(1, clock=clock, sleep=clock.sleep)
        await pace.turn()
        waiting = asyncio.ensure_future(pace.turn())
        await asyncio.sleep(0)
        pace.resize(6000)
        await waiting

    asyncio.run(drive())
    assert clock.now - 1000.0 <= 1.1


def test_a_lowered_limit_takes_tokens_back() -> None:
    clock = Clock()

    async def drive() -> None:
        pace = Pace(600, clock=clock, sleep=clock.sleep)
        pace.resize(6)
        await pace.turn()
        await pace.turn()

    asyncio.run(drive())
    assert clock.now - 1000.0 == pytest.approx(12.0, rel=0.01)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_slots_hold_no_more_than_their_size_and_serve_in_order() -> None:
    async def drive() -> tuple[int, list[int]]:
        slots, order, peak = Slots(3), list[int](), 0

        async def one(number: int) -> None:
            nonlocal peak
            async with slots.hold():
                order.append(number)
                peak = max(peak, slots.held)
                await asyncio.sleep(0.001)

        await asyncio.gather(*(one(number) for number in range(20)))
        assert slots.held == 0
        return peak, order

    assert asyncio.run(drive()) == (3, list(range(20)))


def test_slots_grow_and_shrink_while_they_are_held() -> None:
    async def drive() -> None:
        slots = Slots(1)
        leave = asyncio.Event()

        async def one() -> None:
            async with slots.hold():
                await leave.wait()

        tasks = [asyncio.ensure_future(one()) for _ in range(6)]
        await settle()
        assert slots.held == 1
        slots.resize(4)
        await settle()
        assert slots.held == 4
        slots.resize(2)
        await settle()
        assert slots.held == 4
        leave.set()
        await asyncio.gather(*tasks)
        assert slots.held == 0

    asyncio.run(drive())


@pytest.mark.parametrize("moment", ["waiting", "as it is given"])
def test_a_cancelled_wait_leaves_its_slot_to_the_next(moment: str) -> None:
    async def drive() -> None:
        slots = Slots(1)

        async def one() -> str:
            async with slots.hold():
                return "in"

        hold = slots.hold()
        await hold.__aenter__()
        first = asyncio.ensure_future(one())
        second = asyncio.ensure_future(one())
        await settle()
        if moment == "as it is given":
            await hold.__aexit__(None, None, None)
            first.cancel()
        else:
            first.cancel()
            await settle()
            await hold.__aexit__(None, None, None)
        assert await asyncio.wait_for(second, 1) == "in"
        assert first.cancelled()
        assert slots.held == 0

    asyncio.run(drive())


def test_a_newcomer_behind_a_cancelled_one_is_served() -> None:
    async def drive() -> None:
        slots = Slots(1)

        async def one() -> None:
            async with slots.hold():
                pass

        hold = slots.hold()
        await hold.__aenter__()
        first = asyncio.ensure_future(one())
        await settle()
        first.cancel()
        await hold.__aexit__(None, None, None)
        await one()  # before the loop has told the first
        assert slots.held == 0

    asyncio.run(asyncio.wait_for(drive(), 1))


def test_a_gate_passes_sizes_on() -> None:
    async def drive() -> None:
        clock = Clock()
        gate = Gate(Slots(0), Slots(0), Pace(1, clock=clock, sleep=clock.sleep))
        gate.resize(1, 6000, 1)
        async with gate.jobs.hold(), gate.pictures.hold():
            await gate.pace.turn()

    asyncio.run(asyncio.wait_for(drive(), 1))
