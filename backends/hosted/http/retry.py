"""Whether a request is sent again, and when: decided from what was seen, without doing anything.

A submit starts work that is billed: it is repeated only when nothing was accepted for certain, or
with the idempotency key that makes the repetitions one job ("keyed"). Polls, uploads and downloads
are free to repeat.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Literal, TypeAlias

Operation = Literal["submit", "keyed", "ask", "download"]

#: Failures in a row after which nothing more is tried.
ATTEMPTS: dict[Operation, int] = {"submit": 5, "keyed": 8, "ask": 8, "download": 5}

_LONGEST_RETRY_AFTER = 60.0
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_THROTTLED = 429
_PASSING = frozenset({408, 425, _THROTTLED})
# With Retry-After: the job of this key is under way, and its answer is asked for again after that.
_UNDER_WAY = frozenset({409, 504})


@dataclass(frozen=True)
class Backoff:
    """Seconds: first after the first failure, twice as long after each, never above longest."""

    first: float = 0.5
    longest: float = 15.0

    def pause(self, attempt: int, jitter: float) -> float:
        """Return the seconds to wait after the attempt with this number, counted from 1."""
        return jitter * min(self.longest, self.first * 2.0 ** min(attempt - 1, 30))


@dataclass(frozen=True)
class Seen:
    """What came of one attempt."""

    status: int | None
    """None when no answer began."""
    retry_after: str | None
    date: str | None
    bytes_left: bool
    """Bytes of the request may have left this machine."""
    json_ok: bool
    """The body is what was asked for, a JSON object where that matters."""
    transport_error: bool
    """The answer did not come, or not to its end."""


@dataclass(frozen=True)
class Again:
    """Send it again after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Accept:
    """Hand the answer to the caller."""


@dataclass(frozen=True)
class GiveUp:
    """It failed for good. Of a submit `Seen.bytes_left` says whether it may have arrived."""


Verdict: TypeAlias = "Again | Accept | GiveUp"

_USUAL = Backoff()


def decide(
    operation: Operation,
    attempt: int,
    seen: Seen,
    jitter: float,
    backoff: Backoff = _USUAL,
) -> Verdict:
    """Decide what to do after an attempt.

    attempt: how many attempts in a row met this trouble, this one included. jitter: 0.5..1.0, the
    share of the back-off that is waited. A 429 of a submit or a poll is always repeated, since
    nothing was accepted and nothing is wrong; the caller bounds it by time. The same holds for a
    keyed submit whose job is under way.
    """
    throttled = seen.status == _THROTTLED or _is_under_way(operation, seen)
    if not (throttled or _failed(operation, seen)):
        final = operation == "download" and seen.status != 200
        return GiveUp() if final else Accept()
    if operation == "submit" and seen.bytes_left and not throttled:
        return GiveUp()
    if attempt >= ATTEMPTS[operation] and not (throttled and operation != "download"):
        return GiveUp()
    pause = backoff.pause(attempt, jitter)
    told = parse_retry_after(seen.retry_after, seen.date)
    if told is None:
        return Again(pause)
    # Even a server that says "at once" is not asked in a tight loop.
    return Again(max(min(told, _LONGEST_RETRY_AFTER), backoff.first * jitter))


def parse_retry_after(value: str | None, date: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for; None when they make no sense.

    Whole or decimal seconds, or an HTTP date (RFC 9110, 10.2.3). A date is measured against the
    answer's own Date header, because the server's clock and ours may differ.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    then, now = _http_date(text), _http_date(date or "")
    if then is None or now is None or then < now:
        return None
    return (then - now).total_seconds()


def _is_under_way(operation: Operation, seen: Seen) -> bool:
    asked_to_wait = parse_retry_after(seen.retry_after, seen.date) is not None
    return operation == "keyed" and seen.status in _UNDER_WAY and asked_to_wait


def _failed(operation: Operation, seen: Seen) -> bool:
    if seen.transport_error or seen.status is None:
        return True
    if operation == "submit":
        return False
    if operation in ("ask", "keyed") and 200 <= seen.status < 300 and not seen.json_ok:
        return operation == "keyed" or seen.status == 200
    return seen.status in _PASSING or seen.status >= 500


def _http_date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
