"""Money that is counted: whole millionths, and what a user allows by day and by month.

Never a float: sums of 0.018 in binary fractions pass a limit by a hair, or miss it by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation

from .errors import BadOption
from .specs import UNKNOWN, Price

BUDGET_VARIABLE = "RMBG_BUDGET_USD"
PRICES_VARIABLE = "RMBG_PRICES"
CURRENCY = "USD"

# More is a slip of the pen. In millionths its sums still fit into 64 bits.
_MOST = Decimal(10**9)
_LEAST = Decimal("1e-9")
_PERIODS = ("day", "month")


@dataclass(frozen=True)
class Budget:
    """What may be spent in USD by UTC day and by UTC month; None = no limit."""

    day: Decimal | None = None
    month: Decimal | None = None

    def __bool__(self) -> bool:
        return self.day is not None or self.month is not None


def read_budget(text: str) -> Budget:
    """Return the budget that "5/day,100/month", "5/day" or "5" (a day) says; empty = none.

    Raises BadOption for anything else.
    """
    limits: dict[str, Decimal] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        amount, slash, period = (word.strip() for word in part.partition("/"))
        period = period if slash else "day"
        if period not in _PERIODS or period in limits:
            raise BadOption(_mistake(text))
        try:
            limits[period] = read_amount(amount)
        except BadOption as error:
            raise BadOption(_mistake(text)) from error
    if text.strip() and not limits:
        raise BadOption(_mistake(text))
    return Budget(limits.get("day"), limits.get("month"))


def read_amount(value: str | float | Decimal) -> Decimal:
    """Return an amount of money from 0 to 10**9. Raises BadOption for what is none."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or (amount and not _LEAST <= amount <= _MOST):
        raise BadOption(f"{value!r} is no amount of money; write a number such as 0.5.")
    return amount


def counted(price: Price) -> int:
    """Return what a picture counts, in millionths of the currency, rounded up; 10**15 at most. One
    whose price is not known counts nothing in any sum, and is counted itself (see `Spent`)."""
    amount = min(price.amount or Decimal(0), _MOST)
    return int((amount * 1_000_000).to_integral_value(ROUND_CEILING))


def limit(amount: Decimal) -> int:
    """Return a limit in millionths, rounded down."""
    return int((amount * 1_000_000).to_integral_value(ROUND_FLOOR))


def amount_of(millionths: int) -> Decimal:
    """Convert back from millionths."""
    return Decimal(millionths).scaleb(-6)


def plain(amount: Decimal) -> str:
    """Write it as people write it: 5, 0.018, never 5E+0 or 0.0180."""
    return f"{amount.normalize():f}"


def cost_text(cost: Decimal | None) -> str:
    """Write what was paid, for programs: a decimal text, or "unknown"."""
    return UNKNOWN if cost is None else str(cost)


def read_cost(text: str) -> Decimal | None:
    """Read what `cost_text` has written."""
    return None if text == UNKNOWN else Decimal(text)


def with_currency(cost: Decimal | None, currency: str) -> str:
    """Write an amount that may not be known, for people."""
    return UNKNOWN if cost is None else f"{plain(cost)} {currency}"


def added(cost: Decimal | None, more: Decimal | None) -> Decimal | None:
    """Return the sum of what was paid; None (not known) where a part of it is not known."""
    return None if cost is None or more is None else cost + more


def times(count: int, price: Price) -> Decimal | None:
    """Return what this many pictures cost; None where the price is not known, and they are any."""
    if not count:
        return Decimal(0)
    return None if price.amount is None else count * price.amount


def unlimited_only(price: Price) -> str:
    """Say why no limit on money can be kept to with this price; empty where one can."""
    if price.amount is None:
        return (
            f"What a picture costs is not known ({price.source}), so neither {BUDGET_VARIABLE} nor "
            "max_cost can be kept to. Nothing was sent. Set what you pay, as ID=AMOUNT in "
            f"{PRICES_VARIABLE}, or take the limit away."
        )
    if price.currency != CURRENCY:
        return (
            f"The price is in {price.currency}, and {BUDGET_VARIABLE} and max_cost count "
            f"{CURRENCY}, so neither can be kept to. Nothing was sent. Take the limit away, or "
            f"set a price in {CURRENCY} with {PRICES_VARIABLE}."
        )
    return ""


def unconfirmed(price: Price) -> bool:
    """Tell whether it was read or assumed from resellers, and not on the provider's own page."""
    return price.origin == "reseller"


def _mistake(text: str) -> str:
    return (
        f"{BUDGET_VARIABLE} is {text!r}; write USD by day, by month or both: 5/day, 100/month, "
        "5/day,100/month."
    )
