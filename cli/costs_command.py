"""`rmbg costs N`: what N pictures cost with each provider, and on a machine of one's own."""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ..backends.hosted.http.wire import Unreachable
from ..backends.hosted.prices import Quote, has_price_list, live_quote
from ..catalogue.backends import BACKENDS
from ..catalogue.hosted_videos import VIDEO_ROWS
from ..config.hosted import priced
from ..config.settings import read_settings
from ..core.errors import BadOption
from ..core.money import (
    PRICES_VARIABLE,
    cost_text,
    plain,
    read_amount,
    times,
    unconfirmed,
    with_currency,
)
from ..core.report import JsonValue
from ..core.specs import UNKNOWN, Price
from ..pipeline.context import open_user_records
from ..records.spending import Spent
from ..records.trouble import remedy
from .spent_words import spent_lines, spent_row
from .terminal import say, table

_HOUR = 3600
_CENTS = Decimal("0.01")
_MILLIONTHS = Decimal("0.000001")


@dataclass(frozen=True)
class Own:
    """A machine of the user's own for this many pictures."""

    pictures: int
    usd_an_hour: Decimal
    """What the user pays for it."""
    a_second: Decimal
    """Pictures, as the user has measured."""

    @property
    def hours(self) -> Decimal:
        """Hours that it works on them."""
        return self.pictures / self.a_second / _HOUR

    @property
    def each(self) -> Decimal:
        """USD for a picture on a machine that is paid only while it works."""
        return self.usd_an_hour / (_HOUR * self.a_second)

    @property
    def total(self) -> Decimal:
        """USD for all of them."""
        return self.usd_an_hour * self.hours

    def crossover(self, price: Price) -> Decimal | None:
        """Return the pictures an hour from which a machine that is paid all the time is cheaper
        than this price; None when it cannot make that many."""
        if not price.amount:  # free, or not known
            return None
        an_hour = self.usd_an_hour / price.amount
        return an_hour if an_hour < self.a_second * _HOUR else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("pictures", type=_count, metavar="N", help="how many pictures")
    add(
        "--gpu-usd-per-hour",
        metavar="USD",
        help="what your own machine or rented GPU costs an hour; needs --pictures-per-second",
    )
    add(
        "--pictures-per-second",
        metavar="X",
        help="what you measured on it, with your pictures (the report of each says its seconds)",
    )
    add(
        "--live",
        action="store_true",
        help="ask the providers that tell it (fal.ai, with your key) what they cost today",
    )
    add("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    count: int = arguments.pictures
    prices = {row.id: row.price for row in map(priced, BACKENDS.values()) if row.price is not None}
    quotes, status = _quotes(prices) if arguments.live else ({}, 0)
    prices |= {name: quote.price for name, quote in quotes.items() if quote.price is not None}
    prices = dict(sorted(prices.items(), key=lambda item: _place(item[1])))
    own = _own(count, arguments.gpu_usd_per_hour, arguments.pictures_per_second)
    budget, spent = read_settings().budget, _spent()
    if arguments.json:
        data: dict[str, JsonValue] = {
            "pictures": count,
            "providers": [_row(count, name, price) for name, price in prices.items()],
            "own_machine": None if own is None else _own_row(own, prices),
            "spent": None if spent is None else spent_row(spent, budget),
        }
        if arguments.live:
            data["live"] = {name: _quote_row(quote) for name, quote in quotes.items()}
        print(json.dumps(data, indent=2))
        return status
    lines = [*_table(count, prices), *_quote_lines(quotes), *_video_lines()]
    lines += _own_lines(own, prices)
    print("\n".join([*lines, *spent_lines(spent, budget)]))
    return status


def _quotes(prices: Mapping[str, Price]) -> tuple[dict[str, Quote], int]:
    """Return what the providers say now, and the exit status: 1 when one of them did not say. The
    user's own prices need no asking."""
    found: dict[str, Quote] = {}
    status = 0
    for name in filter(lambda name: has_price_list(BACKENDS[name]), prices):
        if prices[name].origin == "setting":
            continue
        try:
            found[name] = live_quote(BACKENDS[name])
        except Unreachable as problem:
            status = 1
            say(
                f"{name}: today's price could not be read ({problem}); the one of "
                f"{prices[name].as_of} is shown."
            )
    return found, status


def _place(price: Price) -> tuple[bool, Decimal]:
    """The place in the table: the cheapest first, those that nobody has stated last."""
    return price.amount is None, price.amount or Decimal(0)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number")
    return int(text)


def _own(count: int, usd_an_hour: str | None, a_second: str | None) -> Own | None:
    if usd_an_hour is None and a_second is None:
        return None
    if usd_an_hour is None or a_second is None:
        raise BadOption("Give both --gpu-usd-per-hour and --pictures-per-second, or neither.")
    own = Own(count, read_amount(usd_an_hour), read_amount(a_second))
    if not own.a_second:
        raise BadOption("--pictures-per-second must be above 0.")
    return own


def _spent() -> Spent | None:
    spending = open_user_records().spending
    say(*spending.warnings)
    try:
        return spending.spent()
    except sqlite3.Error as error:
        say(f"What was spent cannot be looked up ({error}). {remedy(error)}")
        return None


def _table(count: int, prices: dict[str, Price]) -> list[str]:
    rows = [("backend", f"{count} pictures", "each", "price of", "from", "read at")]
    rows += [
        (
            name,
            with_currency(times(count, price), price.currency),
            str(price),
            price.as_of,
            price.origin,
            price.source,
        )
        for name, price in prices.items()
    ]
    unsure = [name for name, price in prices.items() if unconfirmed(price)]
    unstated = [name for name, price in prices.items() if price.amount is None]
    lines = table(rows)
    if unsure:
        lines.append(f"Unverified, not from the provider's own page: {', '.join(unsure)}.")
    if unstated:
        lines.append(
            f"Stated by nobody: {', '.join(unstated)}. A budget and max_cost refuse them until "
            f"{PRICES_VARIABLE} says what you pay."
        )
    lines.append("Without taxes, plans and free allowances. RMBG_PRICES sets your own prices.")
    return lines


def _video_lines() -> list[str]:
    rows = [(row.id, row.price) for row in map(priced, VIDEO_ROWS) if row.price is not None]
    said = (f"{name} {price} ({price.origin}, {price.source})" for name, price in rows)
    return ["", "A second of a whole video (rmbg video):", *(f"  {words}" for words in said)]


def _quote_lines(quotes: Mapping[str, Quote]) -> list[str]:
    return [
        f"{name}: {quote} ({quote.source}, {quote.read:%Y-%m-%d %H:%M} UTC). That is no price of a "
        "picture, so the table keeps the one that was read before."
        for name, quote in quotes.items()
        if quote.price is None
    ]


def _own_lines(own: Own | None, prices: dict[str, Price]) -> list[str]:
    if own is None:
        return ["", "For a machine of your own: --gpu-usd-per-hour and --pictures-per-second."]
    lines = [
        "",
        f"Your own machine, {plain(own.usd_an_hour)} USD an hour, {plain(own.a_second)} pictures "
        "a second:",
        f"  {own.pictures} pictures take {_short(own.hours)} hours and cost {_short(own.total)} "
        f"USD; {_fine(own.each)} USD each (USD an hour / (3600 x pictures a second)).",
    ]
    for name, price in prices.items():
        if price.currency == "USD" and price.amount is not None:
            lines.append(f"  against {name}: {_compared(own, price, price.amount)}")
    return [
        *lines,
        "  That is the GPU alone. Commercial use of RMBG weights on your own machine needs BRIA's",
        "  licence, whose price is not public; the MIT-licensed BiRefNet weights need none.",
    ]


def _compared(own: Own, price: Price, each: Decimal) -> str:
    saved = own.pictures * each - own.total
    word = "cheaper" if saved >= 0 else "dearer"
    paid_always = own.crossover(price)
    if paid_always is None:
        return f"it is {_short(abs(saved))} USD {word} for these, and never pays if always rented."
    return (
        f"it is {_short(abs(saved))} USD {word} for these; rented all the time it pays from "
        f"{_short(paid_always)} pictures an hour on (USD an hour / price)."
    )


def _row(count: int, name: str, price: Price) -> dict[str, JsonValue]:
    total = times(count, price)
    return {
        "backend": name,
        "total": UNKNOWN if total is None else plain(total),
        "price": cost_text(price.amount),
        "currency": price.currency,
        "as_of": price.as_of,
        "source": price.source,
        "origin": price.origin,
        "verified": price.amount is not None and not unconfirmed(price),
    }


def _quote_row(quote: Quote) -> dict[str, JsonValue]:
    return {
        "unit_price": str(quote.amount),
        "currency": quote.currency,
        "unit": quote.unit,
        "read": quote.read.isoformat(timespec="seconds"),
        "source": quote.source,
        "per_picture": quote.price is not None,
    }


def _own_row(own: Own, prices: dict[str, Price]) -> dict[str, JsonValue]:
    crossovers = {name: own.crossover(price) for name, price in prices.items()}
    return {
        "hours": _short(own.hours),
        "total": _short(own.total),
        "price": _fine(own.each),
        "cheaper_from_pictures_an_hour": {
            name: None if value is None else _short(value) for name, value in crossovers.items()
        },
    }


def _short(amount: Decimal) -> str:
    return plain(amount.quantize(_CENTS))


def _fine(amount: Decimal) -> str:
    return plain(amount.quantize(_MILLIONTHS))
