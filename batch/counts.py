"""How the pictures of a batch stand, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Counts:
    """How the pictures of the survey stand. done_now: by this run. failed: in this run, and the
    next one tries again. cost: of what this run noted as done. passed_over: results of this package
    among the sources, which are not counted elsewhere."""

    total: int
    done_before: int
    done_now: int
    quarantined: int
    failed: int
    waiting: int
    cost: Decimal = Decimal(0)
    passed_over: int = 0

    @property
    def done(self) -> int:
        """All that have their result."""
        return self.done_before + self.done_now


@dataclass(frozen=True)
class PassedOver:
    """A result of this package among the sources. how: it says so."""

    key: str
    how: str
