"""What a run on a paid backend comes to, before anything is sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ..core.checks import split_pixels
from ..core.errors import OverBudget, PictureError
from ..core.money import times, with_currency
from ..core.specs import UNKNOWN, Price
from ..core.types import Backend, Frame
from ..records.run_budget import RunBudget
from ..records.store import Records
from .inputs import Input, load


@dataclass(frozen=True)
class Estimate:
    """The most that a run costs."""

    backend: str
    price: Price
    pictures: int
    earlier: frozenset[int] = frozenset()
    """The indices of pictures whose result is kept, or can be fetched."""
    free: frozenset[int] = frozenset()
    """Of others that cost nothing: second copies, and what cannot be read."""
    looked: bool = False
    """The pictures were read; without that nothing is known of them, and both are empty."""

    @property
    def paid(self) -> int:
        """Tell how many pictures have to be paid for."""
        return self.pictures - len(self.earlier) - len(self.free)

    @property
    def total(self) -> Decimal | None:
        """Return it in the currency of the price; None where that is not known."""
        return times(self.paid, self.price)

    @property
    def sum(self) -> str:
        """Write it as a calculation: "3 x 0.018 USD = 0.054 USD"; "unknown" where it is."""
        total = with_currency(self.total, self.price.currency)
        return total if self.total is None else f"{self.paid} x {self.price} = {total}"

    @property
    def at_most(self) -> str:
        """Write it as a limit: "up to 3 x 0.018 USD = 0.054 USD"."""
        return self.sum if self.total is None else f"up to {self.sum}"

    def __str__(self) -> str:
        if self.total is None:
            read = f"cost {UNKNOWN}: {self.price.source}"
        else:
            read = f"{self.at_most} (a price of {self.price.as_of})"
        if not self.looked:
            return f"{self.backend}: {read}; what was paid for earlier costs nothing."
        return f"{self.backend}: {self._counted()}, {read}."

    def _counted(self) -> str:
        words = f"{self.pictures} picture{'' if self.pictures == 1 else 's'}"
        words += f", {len(self.earlier)} paid for earlier" if self.earlier else ""
        return words + (f", {len(self.free)} not to be sent" if self.free else "")


def estimate(inputs: Sequence[Input], backend: Backend, records: Records) -> Estimate | None:
    """Estimate without reading pictures that are not in memory. None where nothing costs anything.

    Pictures in memory are looked for in the cache where anything is kept at all.
    """
    price = backend.spec.price
    if price is None:
        return None
    kept = _fetchable(backend, records) or not records.cache.empty
    if kept and all(item.at_hand for item in inputs):
        return look(inputs, backend, records)
    return Estimate(backend.spec.id, price, len(inputs))


def afford(
    inputs: Sequence[Input], backend: Backend, records: Records, budget: RunBudget
) -> Estimate | None:
    """Return what the run costs at most; None for a backend that costs nothing. Raises OverBudget.

    Pictures that are not in memory are read beforehand only when it would otherwise be refused:
    what was paid for earlier may make the difference.
    """
    expected = estimate(inputs, backend, records)
    if expected is None:
        return None
    try:
        budget.afford(expected.price, expected.paid)
    except OverBudget:
        if expected.looked:
            raise
        expected = look(inputs, backend, records) or expected
        budget.afford(expected.price, expected.paid)
    return expected


def look(inputs: Sequence[Input], backend: Backend, records: Records) -> Estimate | None:
    """Estimate by reading one picture at a time. One that can be read only once counts as paid."""
    price = backend.spec.price
    if price is None:
        return None
    fetchable = _fetchable(backend, records)
    seen: set[str] = set()
    earlier, free = set(), set()
    for item in inputs:
        if item.only_once:
            continue
        try:
            pixels, _, _ = split_pixels(load(item).image, item.name)
        except PictureError:
            free.add(item.index)
            continue
        work = backend.work(Frame(item.index, pixels, item.name)) or ""
        if work in fetchable or records.cache.has(work):
            earlier.add(item.index)
        elif work in seen:
            free.add(item.index)
        seen.add(work)
    return Estimate(
        backend.spec.id, price, len(inputs), frozenset(earlier), frozenset(free), looked=True
    )


def _fetchable(backend: Backend, records: Records) -> frozenset[str]:
    """Work that was paid for and has an id, or whose answer can be asked for again. None with
    `resubmit`, which pays again for a result that turns out to be unusable."""
    if (getattr(backend, "options", None) or {}).get("resubmit"):
        return frozenset()
    try:
        jobs = records.journal.pending()
        return frozenset(job.work for job in jobs if job.resumable or job.repeatable)
    except sqlite3.Error:  # the run itself says so, picture by picture
        return frozenset()
