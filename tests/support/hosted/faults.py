"""What can go wrong at a provider, as data.

A Fault strikes `times` requests of one step, after it has let `skip` of them pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal, get_args

Step = Literal["submit", "upload", "status", "result", "download", "cancel", "prices", "account"]
Kind = Literal[
    "reset before work",  # RST as soon as the request was read
    "reset after work",  # the job is made and billed, then RST instead of the answer
    "hang before",  # read, nothing done, never answered
    "hang after",  # done and billed, never answered
    "late",  # done and billed; the answer comes after `seconds`
    "truncate",  # done; half of the announced body, then the end
    "drip",  # done; a byte of the body every 50 ms
    "not json",  # done; a web page with status 200
    "empty",  # done; status 200 and no body
    "no id",  # done; the answer has no id and no URLs
    "unknown state",  # the job's state is a word that no document has
    "failed",  # the job fails, for good
    "moderation",  # the picture is refused for what it shows, at a submit at once
    "expired",  # 403, as for a link that has run out
    "expired 404",
    "gone",  # 404 in the provider's words
    "redirect",  # 302 to an address that nobody may be led to
    "huge",  # a body without end
    "500 after work",  # done and billed; 500, and the body names the id
]
RetryAfter = Literal["int", "float", "date", "skewed date", "garbage", "none"]

#: A link-local address: what a server-side request forgery asks for.
FORBIDDEN = "http://169.254.169.254/latest/meta-data/"
#: Status codes that can be asked for at any step.
STATUSES = (400, 401, 402, 403, 404, 408, 410, 413, 415, 422, 429, 460, 500, 502, 503, 504, 506)
KINDS: tuple[str, ...] = get_args(Kind)
STEPS: tuple[str, ...] = get_args(Step)
#: The steps that every picture takes, if its provider has them.
WAY: tuple[Step, ...] = ("submit", "upload", "status", "result", "download")
# What can only be done to an answer that is JSON.
_OF_JSON = ("no id", "unknown state", "500 after work")


@dataclass(frozen=True)
class Fault:
    """kind: a status code, or one of Kind. retry_after, seconds: the header of a 429. seconds: also
    of a late answer."""

    step: Step
    kind: int | Kind
    times: int = 1
    skip: int = 0
    retry_after: RetryAfter = "int"
    seconds: float = 1

    def __post_init__(self) -> None:
        assert self.step in STEPS
        assert self.kind in KINDS or self.kind in STATUSES
        assert self.step != "download" or self.kind not in _OF_JSON


class Plan:
    """The faults that have still to strike."""

    def __init__(self) -> None:
        self._left: list[list[int]] = []
        self._faults: list[Fault] = []

    def add(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            self._faults.append(fault)
            self._left.append([fault.skip, fault.times])

    def next(self, step: str) -> Fault | None:
        """The fault that strikes this request, if one does."""
        for fault, left in zip(self._faults, self._left, strict=True):
            if fault.step != step or not left[1]:
                continue
            if left[0]:
                left[0] -= 1
                continue
            left[1] -= 1
            return fault
        return None


def limit_headers(kind: RetryAfter, seconds: float, now: float) -> dict[str, str]:
    """The headers of a 429. "skewed date": the server's clock is an hour behind."""
    if kind == "none":
        return {}
    if kind == "garbage":
        return {"Retry-After": "soon"}
    if kind == "int":
        return {"Retry-After": str(round(seconds))}
    if kind == "float":
        return {"Retry-After": str(float(seconds))}
    server = now - 3600 if kind == "skewed date" else now
    return {
        "Retry-After": formatdate(server + seconds, usegmt=True),
        "Date": formatdate(server, usegmt=True),
    }
