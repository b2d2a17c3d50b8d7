"""When a job is asked for."""

# Pins the inside of backends.hosted.jobs.schedule

from __future__ import annotations

from rmbg_nodes.backends.hosted.jobs.schedule import PollSchedule


def calls_for(pacer: PollSchedule, seconds: float) -> tuple[int, float]:
    """How often a job of this length is asked for, and how late it is found."""
    elapsed, calls, last_working = 0.0, 0, 0.0
    while True:
        elapsed += pacer.pause(elapsed)
        calls += 1
        if elapsed >= seconds:
            pacer.learn(last_working, elapsed)
            return calls, elapsed - seconds
        last_working = elapsed


def test_a_narrow_limit_is_not_spent_on_polls() -> None:
    pacer = PollSchedule.of(3.0, in_flight=8, requests_a_minute=60)
    for _ in range(5):
        calls, late = calls_for(pacer, 3.0)
        assert calls <= 2
        assert late <= 3.0


def test_with_calls_to_spare_a_job_is_found_soon() -> None:
    pacer = PollSchedule.of(3.0, in_flight=8, requests_a_minute=600)
    first, _ = calls_for(pacer, 3.0)
    assert first <= 15
    for _ in range(5):
        calls, late = calls_for(pacer, 3.0)
        assert calls <= 3
        assert late <= 0.3


def test_what_a_job_takes_is_learnt() -> None:
    pacer = PollSchedule.of(3.0, in_flight=8, requests_a_minute=6000)
    for seconds in (0.5, 0.5, 0.5, 20.0, 20.0, 20.0, 20.0):
        calls, late = calls_for(pacer, seconds)
    assert late < 2.5
    assert calls < 12


def test_a_job_that_never_ends_is_asked_for_seldom() -> None:
    pacer = PollSchedule.of(3.0, in_flight=8, requests_a_minute=600)
    assert pacer.pause(1000.0) == 10.0
