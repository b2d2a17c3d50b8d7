"""When to ask again: soon enough to waste no time, seldom enough for the account's limit.

Status calls count against a provider's requests a minute (Bria: 60 on pay-as-you-go), so a job is
first asked for when it is likely to be done.
"""

from __future__ import annotations

from dataclasses import dataclass

_SOONEST = 0.2
_LATEST = 10.0
_LEARN = 0.5


@dataclass
class Pacer:
    """What one run has learnt about how long a job takes.

    seconds: the first guess. share: seconds a call, if every job in flight is asked for in turn at
    the account's limit.
    """

    seconds: float
    share: float
    learned: bool = False

    @classmethod
    def of(cls, seconds: float, in_flight: int, requests_a_minute: int) -> Pacer:
        """For a provider that usually takes `seconds`, at these limits."""
        return cls(seconds, in_flight * 60 / requests_a_minute)

    def pause(self, elapsed: float) -> float:
        """Seconds until a job should be asked for, `elapsed` seconds after it was accepted.

        Before anything is known of this provider today, early where calls are plenty.
        """
        expected = 0.95 * self.seconds
        if not self.learned:
            expected = min(expected, self.share / 2)
        if elapsed < expected:
            return expected - elapsed
        return min(_LATEST, max(_SOONEST, 0.08 * elapsed, self.share / 4))

    def learn(self, last_working: float, ready: float) -> None:
        """A job was still working after one time and ready at the other, both since it began."""
        seen = (last_working + ready) / 2
        self.seconds = seen if not self.learned else self.seconds + _LEARN * (seen - self.seconds)
        self.learned = True
