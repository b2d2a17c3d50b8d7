"""What a batch would do, and what it would cost, without doing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

from ..backends.hosted.fetching import Fetcher
from ..catalogue.backends import find
from ..config.settings import Settings, read_settings
from ..core.errors import Refusal
from ..core.money import cost_text
from ..core.report import JsonValue
from ..pictures.results import OWN_FOLDER
from ..pictures.web import Web
from ..pipeline.context import open_user_records
from ..pipeline.estimate import Estimate
from ..pipeline.gate import allow_unopened
from ..records.run_budget import RunBudget
from ..records.schema import transaction
from .recipe.model import Recipe
from .run import Engine, check_recipe, find_all, pinned
from .sources.items import Item
from .state.progress import State
from .state.state_file import FILE, empty_state
from .state.survey import Survey, Terms, take_stock

_WORDS = {
    "new": "new",
    "changed": "changed since they were done",
    "recipe": "done by another recipe",
    "missing": "whose results are not there as they were written",
    "failed": "that failed before",
    "asked": "done again because you ask for it",
    "blocked": "that fail, because their results would replace pictures that are read",
}


@dataclass(frozen=True)
class Preview:
    """What a run would do."""

    survey: Survey
    backend: str
    ground: str
    """Why this use is allowed."""
    expected: Estimate | None
    """What the waiting pictures cost at most; None where nothing costs anything."""
    refusal: str = ""
    """Why the run would be refused as things stand; empty where it would not."""

    def text(self) -> str:
        """For people."""
        survey = self.survey
        lines = [
            f"{survey.total} pictures with {self.backend} ({self.ground}): {survey.done} done, "
            f"{survey.quarantined} quarantined, {survey.waiting} to do."
        ]
        lines += [f"  {count} {_WORDS[reason]}" for reason, count in survey.reasons.items()]
        if survey.passed_over:
            lines.append(f"  {survey.passed_over} more are results of this package, and left out")
        lines += [f"  {kind.count} more are not read: {kind.text()}" for kind in survey.unread]
        cost = self.expected.at_most if self.expected else "nothing"
        return "\n".join([*lines, f"Cost: {cost}. Nothing was done."])

    def data(self) -> dict[str, JsonValue]:
        """For programs."""
        survey = self.survey
        return {
            "backend": self.backend,
            "pictures": survey.total,
            "done_before": survey.done,
            "quarantined": survey.quarantined,
            "to_do": survey.waiting,
            "passed_over": survey.passed_over,
            "not_read": sum(kind.count for kind in survey.unread),
            "not_read_kinds": [kind.data() for kind in survey.unread],
            "reasons": {**survey.reasons},
            "cost_at_most": cost_text(self.expected.total) if self.expected else "0",
            "currency": self.expected.price.currency if self.expected else "USD",
            "refusal": self.refusal,
        }


def preview(
    sources: str | Path | Sequence[str | Path],
    dest: str | Path,
    recipe: Recipe | None = None,
    *,
    force: bool = False,
    retry: bool = False,
    encoding: str | None = None,
    engine: Engine = "local",
    fetch: bool = False,
    settings: Settings | None = None,
) -> Preview:
    """What `run` with the same arguments would do on this day; no picture is read, fetched or made.

    What is missing (weights, a key) and a budget that would be passed are told in the preview.
    Raises the rest of what `run` would refuse, LicenceRefused and BadOption among it.
    """
    current = settings or read_settings()
    wanted = pinned(recipe or Recipe(), current)
    spec = find(wanted.backend)
    _, ground = allow_unopened(wanted.backend, wanted.options, wanted.usage, current)
    home = Path(dest)
    web = Web(Fetcher(current)) if fetch else None
    ready = partial(check_recipe, wanted, current, engine)
    items = find_all(sources, home, wanted, ready, encoding, web)
    if (home / OWN_FOLDER / FILE).exists():
        with State(home, kept=wanted.picture) as state:
            survey = state.preview(items, wanted.digest(), retry=retry, force=force)
    else:
        survey = _fresh(items, home, Terms(wanted.digest(), retry, force, wanted.picture))
    price = spec.price
    expected = Estimate(spec.id, price, survey.waiting) if price else None
    refusal = _refusal(ready, current, expected, wanted.max_cost) if survey.waiting else ""
    return Preview(survey, spec.id, ground, expected, refusal)


def _refusal(
    ready: Callable[[], None],
    settings: Settings,
    expected: Estimate | None,
    max_cost: Decimal | None,
) -> str:
    records = open_user_records(settings)
    try:
        ready()
        # What was paid for earlier costs nothing, and which it is only the pictures tell.
        if expected and records.cache.empty and not records.journal.pending():
            run_budget = RunBudget(records.spending, settings.budget, max_cost)
            run_budget.afford(expected.price, expected.paid)
    except Refusal as error:
        return str(error)
    except sqlite3.Error:  # the run itself says so, picture by picture
        pass
    return ""


def _fresh(items: Iterable[Item], dest: Path, terms: Terms) -> Survey:
    """How they stand where nothing is known yet; nothing is written."""
    with closing(empty_state()) as connection, transaction(connection):
        return take_stock(connection, dest, items, terms)
