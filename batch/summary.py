"""What became of a batch: a table for people, the same as data for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from ..config.invocation import command
from ..config.private_files import write_private
from ..core.errors import BadOption
from ..core.money import plain, with_currency
from ..core.report import KINDS, JsonValue
from ..core.specs import UNKNOWN
from ..pictures.unread import UnreadKind
from .result import Counts, Doubtful, PassedOver

FILE = Path(".rmbg") / "summary.json"
_MOST_REASONS = 5
# What is listed as open afterwards, with a price that is not told yet.
_OPEN = ("ResultWaiting", "UnusableResult", "MayBeBilled")


@dataclass(frozen=True)
class Summary:
    """What one run did, and how the pictures that the source holds now stand."""

    backend: str
    recipe: str
    counts: Counts
    seconds: float
    """From the first picture to the last, without looking through the source."""
    model_seconds: float
    """How long the model itself worked; of a hosted model the waiting, which overlaps."""
    cost: Decimal | None = Decimal(0)
    """None: something was paid for, and nobody has stated its price."""
    currency: str = "USD"
    estimate: str = ""
    """What the run was expected to cost, if anything."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Kind of error -> how many pictures of this run ended with it."""
    passed_over: Sequence[PassedOver] = ()
    """The first of the results of this package that were found among the sources."""
    unread: Sequence[UnreadKind] = ()
    """Pictures of kinds that are not read, which are not counted elsewhere."""
    warnings: Mapping[str, int] = field(default_factory=dict)
    """Kind of warning, a row of `core.report.KINDS` -> of how many pictures of this run."""
    doubtful: Sequence[Doubtful] = ()
    """The most doubtful pictures of this run, the worst first."""

    @property
    def complete(self) -> bool:
        """Every picture of the source has its result."""
        return self.counts.done == self.counts.total

    @property
    def not_read(self) -> int:
        """How many pictures of the source are of a kind that is not read."""
        return sum(kind.count for kind in self.unread)

    @property
    def per_second(self) -> float:
        """Pictures of this run that were finished in a second."""
        return self.counts.done_now / self.seconds if self.seconds else 0.0

    def text(self) -> str:
        """The table."""
        counts = self.counts
        rows = [
            ("pictures", f"{counts.total}"),
            ("done now", f"{counts.done_now}"),
            ("done before", f"{counts.done_before}"),
            ("failed", f"{counts.failed}"),
            ("quarantined", f"{counts.quarantined}"),
            ("not begun", f"{counts.waiting}"),
            ("passed over", f"{counts.passed_over}"),
            ("not read", f"{self.not_read}"),
            ("time", f"{self.seconds:.1f} s, {self.per_second:.2f} pictures a second"),
            ("backend", self.backend),
            ("cost", self._cost()),
        ]
        shown = [row for row in rows if row[1] != "0" or row[0] in ("pictures", "done now")]
        lines = [f"{name:<12} {value}" for name, value in shown]
        lines += [f"{'':<12} {kind.count} x {kind.text()}" for kind in self.unread]
        most = sorted(self.reasons.items(), key=lambda row: -row[1])[:_MOST_REASONS]
        lines += [f"{'':<12} {count} x {reason}" for reason, count in most]
        counted = [(self.warnings.get(kind, 0), words) for kind, words in KINDS.items()]
        said = [f"{count} x {words}" for count, words in counted if count]
        lines += [f"{'warnings':<12} {words}" for words in said]
        lines += [f"{'doubt':<12} {one.doubt:.2f} of {one.key}" for one in self.doubtful]
        return "\n".join(lines)

    @property
    def may_be_billed(self) -> int:
        """Pictures of this run that failed, and that the provider may bill or have billed."""
        return sum(self.reasons.get(kind, 0) for kind in _OPEN)

    def _cost(self) -> str:
        told = "nothing" if self.cost == 0 else with_currency(self.cost, self.currency)
        if not self.may_be_billed:
            return told
        count = f"{self.may_be_billed} picture{'' if self.may_be_billed == 1 else 's'}"
        return f"{told} so far; {count} may be billed, see `{command('pending')}`"

    def data(self) -> dict[str, JsonValue]:
        """The same, for programs. Money is a decimal text, so that nothing is rounded."""
        counts = self.counts
        return {
            "backend": self.backend,
            "recipe_sha256": self.recipe,
            "pictures": counts.total,
            "done_now": counts.done_now,
            "done_before": counts.done_before,
            "failed": counts.failed,
            "quarantined": counts.quarantined,
            "not_begun": counts.waiting,
            "passed_over": counts.passed_over,
            "passed_over_pictures": [
                {"picture": one.key, "why": one.how} for one in self.passed_over
            ],
            "not_read": self.not_read,
            "not_read_kinds": [kind.data() for kind in self.unread],
            "seconds": round(self.seconds, 3),
            "pictures_per_second": round(self.per_second, 3),
            "model_seconds": round(self.model_seconds, 3),
            "cost": UNKNOWN if self.cost is None else plain(self.cost),
            "may_be_billed": self.may_be_billed,
            "currency": self.currency,
            "estimate": self.estimate,
            "reasons": {**self.reasons},
            "warnings": {**self.warnings},
            "doubtful": [{"picture": one.key, "doubt": one.doubt} for one in self.doubtful],
        }

    def save(self, dest: Path) -> None:
        """DEST/.rmbg/summary.json, of the latest run. Raises BadOption where it cannot be kept."""
        text = json.dumps(self.data(), indent=2, ensure_ascii=False)
        path = dest / FILE
        try:
            write_private(path, f"{text}\n".encode())
        except OSError as error:
            raise BadOption(f"{path} cannot be written ({error.strerror}); make room.") from error
