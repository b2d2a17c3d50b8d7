"""What the user reads about one picture: text for people, with the same as data behind it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TypeAlias

from .licences import LICENCES
from .types import Facts, Usage

JsonValue: TypeAlias = "str | int | float | bool | None | list[JsonValue] | dict[str, JsonValue]"


@dataclass(frozen=True)
class Report:
    """facts: the backend's own. ground: why this use is allowed. warnings: worth a look."""

    name: str
    width: int
    height: int
    usage: Usage
    ground: str
    facts: Facts
    warnings: tuple[str, ...] = ()

    def text(self) -> str:
        """A few lines for people."""
        facts = self.facts
        where = "sent to the provider" if facts.left_machine else "stayed on this machine"
        lines = [
            f"{self.name}: {self.width} x {self.height}, {facts.backend} ({facts.model}), "
            f"{facts.seconds:.2f} s on {facts.device}",
            f"Licence: {LICENCES[facts.licence].name}; {self.ground}",
            f"Cost: {_money(facts.cost, facts.currency)}; the picture {where}.",
        ]
        lines += [f"Warning: {warning}." for warning in self.warnings]
        return "\n".join(lines)

    def data(self) -> dict[str, JsonValue]:
        """The same, for programs. Money is a decimal text, so that nothing is rounded."""
        facts = {**asdict(self.facts), "cost": str(self.facts.cost), "notes": [*self.facts.notes]}
        return {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "usage": self.usage,
            "ground": self.ground,
            "warnings": [*self.warnings],
            "licence_name": LICENCES[self.facts.licence].name,
            **facts,
        }


def render(reports: list[Report]) -> str:
    """Text for people, an empty line, then one line of JSON: a list with one object per picture."""
    data = json.dumps([report.data() for report in reports], ensure_ascii=False)
    return "\n\n".join([*(report.text() for report in reports), data])


def _money(cost: Decimal, currency: str) -> str:
    return f"{cost} {currency}" if cost else "nothing"
