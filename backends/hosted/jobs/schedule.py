"""When to ask again: soon enough to waste no time, seldom enough for the account's limit.

Status calls count against a provider's requests a minute (Bria: 60 on pay-as-you-go), so a job is
first asked for when it is likely to be done.
"""

from __future__ import annotations

from dataclasses import dataclass

_SOONEST = 0.1
_LATEST = 10.0
_LEARN = 0.5
# Asked for a little early, a job is found as soon as it is done. Where calls are scarce that first
# call would be wasted and the next one far away.
_EARLY, _LATE = 0.95, 1.1
_SCARCE = 2.0
# While nothing is known each job is asked for ever less often: all in flight do so, and calls that
# are spent now are missing later.
_GROWTH = 0.4
# A job that was ready when it was first asked for had not been so for long.
_NOT_LONG = 0.8


@dataclass
class PollSchedule:
    """What one run has learnt about how long a job takes."""

    seconds: float
    """A job's usual time; at first a guess."""
    share: float
    """Seconds a call, if every job in flight is asked for in turn at the account's limit."""
    learned: bool = False

    @classmethod
    def of(cls, seconds: float, in_flight: int, requests_a_minute: int) -> PollSchedule:
        """Make the schedule for a provider that usually takes `seconds`, at these limits."""
        return cls(seconds, in_flight * 60 / requests_a_minute)

    def pause(self, elapsed: float) -> float:
        """Return the seconds until a job is asked for, `elapsed` seconds after it was accepted.

        Before anything is known of this provider today, early where calls are plenty.
        """
        usual = self.seconds * (_LATE if self.share > _SCARCE else _EARLY)
        first = usual if self.learned else min(usual, self.share / 2)
        if elapsed < first:
            return first - elapsed
        often = max(_SOONEST, 0.05 * elapsed, self.share / 6)
        if elapsed < usual:
            return max(often, min(_GROWTH * elapsed, usual - elapsed))
        return min(_LATEST, often)

    def learn(self, last_working: float, ready: float) -> None:
        """Learn from a job: how long it was seen working, and when it was found ready."""
        seen = (max(last_working, _NOT_LONG * ready) + ready) / 2
        self.seconds = seen if not self.learned else self.seconds + _LEARN * (seen - self.seconds)
        self.learned = True
