"""`rmbg remove --dry-run`: what would be done, and what it would cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal

from ..config.settings import Settings
from ..core.errors import Refusal
from ..core.money import cost_text
from ..core.specs import BackendSpec
from ..pictures.sources import Source
from ..pipeline.context import open_user_records
from ..pipeline.estimate import Estimate
from ..records.run_budget import RunBudget
from .plan import Plan
from .terminal import say


def usable(plans: Sequence[Plan]) -> int:
    """Count the pictures that were found."""
    return sum(plan.source.reason is None for plan in plans)


def refused(
    expected: Estimate | None,
    ready: Callable[[], None],
    settings: Settings,
    max_cost: Decimal | None,
) -> bool:
    """Return whether the run would not be begun, or nothing sent, as things stand, and say why.

    ready: raises what is missing, without which nothing can be made.
    """
    records = open_user_records(settings)
    say(*(records.journal.warnings if expected else ()))
    try:
        if expected is None or expected.paid:
            ready()
        if expected is not None:
            run_budget = RunBudget(records.spending, settings.budget, max_cost)
            run_budget.afford(expected.price, expected.paid)
    except Refusal as error:
        say(f"It would be refused. {error}")
        return True
    return False


def print_left_out(sources: Sequence[Source]) -> None:
    """Print a JSON object for each picture that is left out, as a result or as not read."""
    for source in sources:
        why = {"not_read": source.unread} if source.unread else {"passed_over": source.passed_over}
        print(json.dumps({"input": source.name, **why}), flush=True)


def say_plans(
    plans: Sequence[Plan],
    spec: BackendSpec,
    ground: str,
    expected: Estimate | None,
    *,
    as_json: bool,
) -> int:
    """Print what would be done; the status is that of pictures that could not even be found.

    expected: what it would cost, for which the pictures were read; None when nothing costs.
    """
    count = usable(plans)
    earlier = expected.earlier if expected else frozenset()
    nothing = earlier | expected.free if expected else frozenset()
    if as_json:
        for index, plan in enumerate(plans):
            free = spec.price is None or plan.source.reason is not None or index in nothing
            row = {
                "input": plan.source.name,
                "output": None if plan.output is None else str(plan.output),
                "mask": None if plan.mask is None else str(plan.mask),
                "error": plan.source.reason,
                "backend": spec.id,
                "paid_earlier": index in earlier,
                "cost_at_most": "0" if free or spec.price is None else cost_text(spec.price.amount),
            }
            print(json.dumps(row))
    else:
        for plan in plans:
            print(f"{plan.source.name} -> {plan.source.reason or plan.output or 'standard output'}")
        before = f" {len(earlier)} of them paid for earlier." if earlier else ""
        copies = len(nothing) - len(earlier)
        before += f" {copies} of them not to be sent: copies, or unreadable." if copies else ""
        print(f"{count} pictures with {spec.id} ({ground}).{before}")
        print(f"Cost: {expected.at_most if expected else 'nothing'}. Nothing was done.")
    return 0 if count == len(plans) else 1
