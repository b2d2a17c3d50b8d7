"""What the pipeline lends to a backend that costs money: a job that remembers what was paid for."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import cast

from ..core.errors import BackendFailed, MayBeBilled, PictureError
from ..core.repeat import Repeat
from ..core.specs import Price
from ..core.types import Job, Matte, Outcome, Ticket
from .cache import ResultCache
from .journal import NOT_TAKEN, Journal
from .run_budget import RunBudget
from .trouble import Pause, remedy

_TROUBLE_CHARACTERS = 300


class PaidJob(Job):
    """A job that keeps the journal and the cache for one run. Any thread may call it.

    Without a row on the disk nothing is sent; what was sent before the journal failed is delivered
    all the same, and `warnings` says what it misses.
    """

    def __init__(
        self, inner: Job, journal: Journal, cache: ResultCache, run_budget: RunBudget | None = None
    ) -> None:
        """inner: the caller's own job, told everything first. run_budget: the money of this run,
        whose refusals are raised before anything is sent."""
        self.warnings: list[str] = [*journal.warnings]
        self._run_budget = run_budget
        # One at a time, so that a refusal comes after all those that still fit.
        self._reserving = threading.Lock()
        self._inner = inner
        self._journal = journal
        self.cache = cache
        self._sizes: dict[str, tuple[int, int]] = {}
        self._names: dict[str, str] = {}
        self._prices: dict[str, Price] = {}
        self._repeats: dict[str, Repeat] = {}
        self._known: dict[str, Ticket | None] = {}
        # Of these nothing has left in this run, so that a failure says nothing about the journal's
        # row: it may be a lost job of an earlier run, or of another one that was quicker.
        self._unsent: set[str] = set()
        # Sent, and listed without the id that the provider answered with.
        self._not_noted: dict[str, Ticket] = {}
        self._pause = Pause()
        self._in_hand: set[str] = set()
        self._counting = threading.Lock()
        self._copies: Counter[str] = Counter()  # expected pictures that have no place yet
        self._sent: set[str] = set()
        self._over = False

    def expect(self, work: str, size: tuple[int, int], name: str = "") -> None:
        """Expect this picture next, or another that is the same. size: (width, height). name: what
        messages call it; the journal does not take it down."""
        self._sizes[work] = size
        self._names[work] = name
        with self._counting:
            self._copies[work] += 1

    def earlier(self, work: str) -> Matte | None:
        """Return the result that was paid for earlier, from the cache: a row of it that is still
        open is of a killed process."""
        if (matte := self.cache.get(work)) is not None:
            self._try(self._journal.delivered, work)
        return matte

    def handed_over(self, work: str) -> None:
        """Note that a result has reached its place, also when the run is over. When those of all
        expected pictures that are the same have, it need not be fetched again."""
        with self._counting:
            self._copies[work] -= 1
            last = not self._copies[work]
        if last and work in self._in_hand:
            self._in_hand.discard(work)
            self._try(self._journal.delivered, work)

    def close(self) -> None:
        """End the run: what is still at the provider may be fetched by any other."""
        self._over = True
        for work in sorted(self._sent):
            self._leave(work)
        for work in sorted(self._in_hand):
            self._keep(work, NOT_TAKEN)
        if self._run_budget:
            self._run_budget.close()

    def check(self) -> None:
        self._inner.check()

    def step(self, done: int) -> None:
        self._inner.step(done)

    def reserve(self, work: str, price: Price) -> None:
        """See `Job.reserve`. Raises BackendFailed when it cannot be counted: nothing is sent that
        cannot be noted."""
        with self._reserving:
            self._inner.reserve(work, price)
            if self._run_budget:
                try:
                    with self._pause.attempt():
                        self._run_budget.reserve(work, price)
                except sqlite3.Error as error:
                    raise self._refusal(error) from error
        self._prices[work] = price
        self._unsent.add(work)

    def known(self, work: str) -> Ticket | None:
        """See `Job.known`. Raises BackendFailed when the journal or the cache cannot be read: what
        they hold was paid for."""
        if (ticket := self._inner.known(work) or self._not_noted.get(work)) is not None:
            return ticket
        try:
            ticket = self._journal.known(work)
            if ticket is None:
                self.cache.look(work)
        except (sqlite3.Error, OSError) as error:
            what = f"the cache of paid results cannot be read ({error})"
            if isinstance(error, sqlite3.Error):
                what = f"the journal of paid work cannot be read ({self._journal.path}: {error})"
            raise BackendFailed(
                f"{what}, so it is not known whether this picture was paid for before. It was not "
                f"sent. {remedy(error)}"
            ) from error
        self._known[work] = ticket
        return ticket

    def repeatable(self, work: str, repeat: Repeat) -> None:
        """See `Job.repeatable`. Raises BackendFailed when the disk does not take it."""
        self._inner.repeatable(work, repeat)
        try:
            self._journal.unanswered.put(work, repeat.picture)
        except OSError as error:
            raise self._refusal(error) from error
        self._repeats[work] = replace(repeat, picture="")

    def addressed(self, work: str, url: str) -> None:
        """See `Job.addressed`. Raises BackendFailed when the journal cannot note it."""
        self._inner.addressed(work, url)
        try:
            self._journal.addressed(work, url)
        except sqlite3.Error as error:
            raise self._refusal(error) from error

    def signed_in(self) -> str:
        """See `Job.signed_in`."""
        return self._inner.signed_in()

    def picture_sent(self, work: str) -> str | None:
        """See `Job.picture_sent`."""
        return self._inner.picture_sent(work) or self._journal.unanswered.get(work)

    def sending(self, work: str) -> None:
        """See `Job.sending`. Raises BackendFailed, and nothing may be sent: when the journal cannot
        note it; when another run was quicker, and is at it or has delivered it since this one
        looked into the cache; and when this run is over."""
        self._inner.sending(work)
        try:
            with self._pause.attempt():
                for earlier, ticket in list(self._not_noted.items()):
                    with suppress(MayBeBilled):  # its row is lost now, and says so
                        self._write(earlier, ticket)
                self._journal.sending(
                    work,
                    _backend_of(work),
                    self._prices.get(work),
                    self._sizes[work],
                    replaces=self._known.get(work),
                    repeat=self._repeats.get(work),
                )
        except sqlite3.Error as error:
            raise self._refusal(error) from error
        if self.cache.has(work):
            self._try(self._journal.not_sent, work)
            raise BackendFailed(
                "this picture was delivered a moment ago; run again, it costs nothing."
            )
        if self._over:  # what it had reserved is free by now
            self._try(self._journal.not_sent, work)
            raise BackendFailed("the run was stopped before this picture was sent.")
        self._unsent.discard(work)
        if self._run_budget:
            self._run_budget.sent(work)

    def submitted(self, work: str, ticket: Ticket) -> None:
        """See `Job.submitted`. Raises MayBeBilled for an id that stands for other work."""
        self._inner.submitted(work, ticket)
        self._note(work, ticket)
        if ticket.request_id is None:  # its row says why it is open
            return
        self._sent.add(work)
        if self._over:  # Cancel does not interrupt a submit: its answer comes after the run
            self._leave(work)

    def is_foreign(self, work: str, names: Collection[str]) -> bool:
        """See `Job.is_foreign`. A journal that cannot be read says no: the result was paid for."""
        try:
            known = self._journal.is_foreign(work, _backend_of(work), names)
        except sqlite3.Error:
            known = False
        return known or self._inner.is_foreign(work, names)

    def settled(self, work: str, outcome: Outcome) -> None:
        """See `Job.settled`. A result that no cache keeps stays open until `handed_over`."""
        self._inner.settled(work, outcome)
        self._sent.discard(work)
        # By what it has, not by its class, which can exist twice in one process.
        error = outcome.error
        if error is not None and error.paid == "no" and self._run_budget:
            self._run_budget.not_owed(work)
        if error is None:
            self._delivered(work, outcome.result)
        elif error.paid != "no":
            self._keep(work, self._in_few_words(work, error))
        elif work not in self._unsent:
            self._not_noted.pop(work, None)
            self._try(self._journal.failed, work)

    def _cached(self, work: str, result: object) -> bool:
        return self.cache.put(work, cast("Matte", result))

    def _delivered(self, work: str, result: object) -> None:
        if self._cached(work, result):
            self._not_noted.pop(work, None)
            self._try(self._journal.delivered, work)
        else:
            self._in_hand.add(work)
            if self._over:  # its caller is gone
                self._leave(work)

    def _keep(self, work: str, trouble: str) -> None:
        if (ticket := self._not_noted.get(work)) is not None:
            with suppress(MayBeBilled):  # its row is lost now, and says so
                self._note(work, ticket)  # the disk may have room again
        known = self._known.get(work)
        if known is not None and known.told:
            trouble = NOT_TAKEN
        self._try(self._journal.keep, work, trouble)

    def _leave(self, work: str) -> None:
        self._sent.discard(work)
        self._keep(work, "its run was stopped")

    def _note(self, work: str, ticket: Ticket) -> None:
        try:
            self._write(work, ticket)
        except sqlite3.Error as error:
            self._not_noted[work] = ticket
            which = f"request {ticket.request_id}" if ticket.request_id else "a picture"
            self._warn(
                f"The journal of paid work could not be written ({error}): if the program ends "
                f"now, {which} at {ticket.backend} stays listed as perhaps billed, without its id."
            )

    def _write(self, work: str, ticket: Ticket) -> None:
        price, size = self._prices.get(work), self._sizes.get(work, (0, 0))
        try:
            self._journal.submitted(work, ticket, price=price, size=size)
        except MayBeBilled:
            self._not_noted.pop(work, None)
            raise
        self._not_noted.pop(work, None)

    def _refusal(self, error: sqlite3.Error | OSError) -> BackendFailed:
        return BackendFailed(
            f"this picture cannot be noted in the journal of paid work ({self._journal.path}: "
            f"{error}), so it was not sent, and nothing was billed. {remedy(error)}"
        )

    def _try(self, change: Callable[..., None], work: str, *more: str) -> None:
        """Make a change whose loss costs nothing: the work stays listed as open."""
        try:
            change(work, *more)
        except sqlite3.Error as error:
            self._warn(
                f"The journal of paid work could not be written ({error}), so a picture of "
                f"{_backend_of(work)} may stay listed as open."
            )

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def _in_few_words(self, work: str, error: PictureError) -> str:
        name = self._names.get(work)
        text = str(error).replace(name, "the picture") if name else str(error)
        return text if len(text) < _TROUBLE_CHARACTERS else f"{text[: _TROUBLE_CHARACTERS - 1]}…"


def _backend_of(work: str) -> str:
    """A work begins with the id of the backend that it is for."""
    return work.partition(":")[0]
