"""What the user reads about one picture: text for people, with the same as data behind it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias, get_args

from .errors import BadOption
from .money import cost_text
from .specs import UNKNOWN
from .types import Facts, Failure, Usage

JsonValue: TypeAlias = "str | int | float | bool | None | list[JsonValue] | dict[str, JsonValue]"

#: What a plain text in the place of a remark is: the backend's own words.
NOTE = "note"
NO_SUBJECT = "no-subject"

#: Id -> how many pictures of a run it is said of ("3 x touching the picture's border").
KINDS = {
    NO_SUBJECT: "no subject found",
    "nothing-removed": "nothing was removed",
    "doubtful": "with a mask that may be wrong",
    "touches-border": "touching the picture's border",
    "uncertain": "uncertain in large parts",
    "in-pieces": "in many separate pieces",
    "enlarged": "enlarged past 1.25",
    "clipped": "with values outside 0..1, clipped",
    "file": "with a remark on the source file",
    "no-receipt": "without a receipt",
    "records": "with a remark on the records",
    NOTE: "with a note of the backend",
}


class Remark(str):
    """One sentence of a report, without its full stop."""

    kind: str
    """The id of a row of KINDS: programs count by it, never by the words."""

    def __new__(cls, words: str, kind: str = NOTE) -> Remark:
        remark = super().__new__(cls, words)
        remark.kind = kind
        return remark


def kinds_of(remarks: Iterable[str]) -> tuple[str, ...]:
    """Return the kind of each."""
    return tuple(getattr(words, "kind", NOTE) for words in remarks)


#: What becomes of a batch in which pictures fail. stop: an error names them, after the others were
#: finished. leave out: the result has fewer pictures. pass through: they stay as they were.
OnFailure: TypeAlias = Literal["stop", "leave out", "pass through"]


def check_on_failure(policy: str) -> None:
    """Raise BadOption for a word that is none of them, before anything is paid for."""
    if policy not in get_args(OnFailure):
        raise BadOption(f"on_failure is {policy!r}; it is stop, leave out or pass through.")


@dataclass(frozen=True)
class Report:
    """What the user reads about one picture that was delivered."""

    name: str
    width: int
    height: int
    usage: Usage
    ground: str
    """Why this use is allowed."""
    licence_name: str
    """For people; by the user's settings for a file of theirs."""
    facts: Facts
    """The backend's own."""
    warnings: tuple[str, ...] = ()
    """Worth a look, the backend's notes among them."""
    flags: Mapping[str, JsonValue] = field(default_factory=dict)
    """The measures behind them (see core/inspect.py)."""
    receipt: str | None = None
    """The id of its receipt; None when none was kept."""
    estimate: str = ""
    """What its whole run was expected to cost, beforehand; empty where nothing costs anything."""

    def text(self) -> str:
        """Write a few lines for people."""
        facts = self.facts
        where = "was sent to the provider" if facts.left_machine else "stayed on this machine"
        model = ", ".join(filter(None, (facts.architecture, facts.model)))
        lines = [
            f"{self.name}: {self.width} x {self.height}, {facts.backend} ({model}), "
            f"{facts.seconds:.2f} s on {facts.device}",
            f"Licence: {self.licence_name}; {self.ground}",
            f"Cost: {_money(facts.cost, facts.currency)}; the picture {where}.",
        ]
        doubt = self.flags.get("doubt")
        lines += [f"Doubt: {doubt:.2f} (0 none, 1 much)."] if isinstance(doubt, float) else []
        lines += [f"Receipt: {self.receipt}."] if self.receipt else []
        return "\n".join([*lines, *self.remarks])

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return the warnings as sentences, each with what it is: "Warning: ..." or "Note: ..."."""
        labels = ("Note" if words in self.facts.notes else "Warning" for words in self.warnings)
        said = zip(labels, self.warnings, strict=True)
        return tuple(f"{label}: {words.removesuffix('.')}." for label, words in said)

    def data(self) -> dict[str, JsonValue]:
        """Return the same, for programs. Money is a decimal text, so that nothing is rounded."""
        facts = {
            **asdict(self.facts),
            "cost": cost_text(self.facts.cost),
            "notes": [*self.facts.notes],
        }
        return {
            "name": self.name,
            "outcome": "delivered",
            "width": self.width,
            "height": self.height,
            "usage": self.usage,
            "ground": self.ground,
            "warnings": [*self.warnings],
            "warning_kinds": [*kinds_of(self.warnings)],
            "flags": {**self.flags},
            "receipt": self.receipt,
            "run_estimate": self.estimate,
            "licence_name": self.licence_name,
            **facts,
        }


@dataclass(frozen=True)
class FailureReport:
    """One picture that was not delivered, and what stands in its place in the result."""

    name: str
    failure: Failure
    on_failure: OnFailure
    receipt: str | None = None
    """The id of its receipt; None when none was kept."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the reason, where a Report has what is worth a look."""
        return (str(self.failure.error),)

    def text(self) -> str:
        """Write a line or two for people."""
        instead = {
            "stop": "it is missing",
            "leave out": "it was left out of the result",
            "pass through": "it stands in the result as it was, with a mask of ones",
        }[self.on_failure]
        said = str(self.failure.error)
        prefix = "" if said.startswith(self.name) else f"{self.name}: "
        receipt = f" Receipt: {self.receipt}." if self.receipt else ""
        return f"FAILED, and {instead}. {prefix}{said}{receipt}"

    def data(self) -> dict[str, JsonValue]:
        """Return the same, for programs."""
        return {
            "name": self.name,
            "outcome": "failed",
            "on_failure": self.on_failure,
            "error": str(self.failure.error),
            "error_type": type(self.failure.error).__name__,
            "paid": self.failure.error.paid,
            "cost": cost_text(self.failure.cost),
            "request_id": self.failure.request_id,
            "receipt": self.receipt,
        }


def render(reports: Sequence[Report | FailureReport]) -> str:
    """Write text for people, an empty line, then a line of JSON: a list of one object per picture.

    Of a run that costs something the estimate comes first, once.
    """
    runs = dict.fromkeys(filter(None, (getattr(report, "estimate", "") for report in reports)))
    estimates = [f"Estimate: {said}" for said in runs]
    data = json.dumps([report.data() for report in reports], ensure_ascii=False)
    return "\n\n".join([*estimates, *(report.text() for report in reports), data])


def _money(cost: Decimal | None, currency: str) -> str:
    if cost is None:
        return UNKNOWN
    return f"{cost} {currency}" if cost else "nothing"
