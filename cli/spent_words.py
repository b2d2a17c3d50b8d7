"""What was spent against the budget: lines for people, and the same for programs."""

from __future__ import annotations

from ..core.money import BUDGET_VARIABLE, Budget, plain
from ..core.report import JsonValue
from ..core.specs import UNKNOWN
from ..records.spending import Spent


def spent_lines(spent: Spent | None, budget: Budget) -> list[str]:
    """Return a line for the day and one for the month; none where nothing is known."""
    if spent is None:
        return []
    lines = [""]
    for name, done, open_, cap, unpriced in (
        ("today", spent.day, spent.day_under_way, budget.day, spent.day_unpriced),
        ("this month", spent.month, spent.month_under_way, budget.month, spent.month_unpriced),
    ):
        under_way = f", and {plain(open_)} USD under way or perhaps billed" if open_ else ""
        of = f" of {plain(cap)} USD ({BUDGET_VARIABLE})" if cap is not None else ""
        s = "" if unpriced == 1 else "s"
        more = f", and {unpriced} picture{s} whose price is {UNKNOWN}" if unpriced else ""
        lines.append(f"Spent {name} (UTC): {plain(done)} USD{under_way}{of}{more}.")
    return lines


def spent_row(spent: Spent, budget: Budget) -> dict[str, JsonValue]:
    """Return the same; money is a decimal text, so that nothing is rounded."""
    return {
        "today": plain(spent.day),
        "today_under_way": plain(spent.day_under_way),
        "today_unpriced": spent.day_unpriced,
        "budget_a_day": None if budget.day is None else plain(budget.day),
        "this_month": plain(spent.month),
        "this_month_under_way": plain(spent.month_under_way),
        "this_month_unpriced": spent.month_unpriced,
        "budget_a_month": None if budget.month is None else plain(budget.month),
    }
