"""What `rmbg doctor` found, as lines to paste and as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeAlias

from ...core.report import JsonValue

if TYPE_CHECKING:  # the report is made without torch too: torch may be what is broken
    from .trials import Trial

Rows: TypeAlias = "dict[str, str]"

_NARROWEST = 22


@dataclass
class Findings:
    """The report as it grows."""

    sections: dict[str, Rows] = field(default_factory=dict)
    """Title -> label -> fact."""
    trials: list[Trial] = field(default_factory=list)
    """One for each backend."""
    problems: list[str] = field(default_factory=list)
    """Sentences."""

    def text(self) -> str:
        """Write plain lines, for an issue or a message."""
        lines = [f"rmbg doctor, {_today()}"]
        for title, rows in self.sections.items():
            lines += ["", title, *_columns([*rows.items()])]
        lines += ["", "One picture through each backend"]
        lines += _columns([(trial.backend, _outcome(trial)) for trial in self.trials])
        lines += ["", "Problems", *(f"  {problem}" for problem in self.problems or ["none"])]
        return "\n".join(lines)

    def data(self, clean: Callable[[str], str]) -> JsonValue:
        """Return the same for programs, every text cleaned."""
        return _cleaned(
            {
                "date": _today(),
                "sections": {title: {**rows} for title, rows in self.sections.items()},
                "trials": [asdict(trial) for trial in self.trials],
                "problems": [*self.problems],
            },
            clean,
        )


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Align labels and facts, with a gap behind the longest label."""
    width = max([_NARROWEST, *(len(label) + 2 for label, _ in rows)])
    return [f"  {label:<{width}}{fact}" for label, fact in rows]


def _outcome(trial: Trial) -> str:
    if trial.state not in ("works", "wrong"):
        return f"{trial.state}: {trial.words}"
    figures = (
        f"{trial.state}, {trial.seconds:.2f} s ({trial.whole:.2f} s with loading) on "
        f"{trial.device}, IoU {trial.iou:.3f}, mean error {trial.mae:.4f}"
    )
    return f"{figures}; {trial.words}" if trial.words else figures


def _cleaned(value: JsonValue, clean: Callable[[str], str]) -> JsonValue:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item, clean) for item in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(item, clean) for key, item in value.items()}
    return value


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()
