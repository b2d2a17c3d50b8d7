"""What would happen if a backend were run now: one sentence for people, and what can be pressed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from ..backends.local.find import fetch_line, find_weights
from ..backends.local.released import rows_of
from ..catalogue.backends import BACKENDS, DEFAULT_IDS
from ..catalogue.licences import licence_of
from ..config.account_mark import uses_signed_in
from ..config.hosted import bases_of
from ..config.keys import look_for_key
from ..config.settings import Settings, read_settings
from ..core.errors import KeyMissing, Offline, RmbgError, WeightsMissing
from ..core.money import (
    BUDGET_VARIABLE,
    CURRENCY,
    PRICES_VARIABLE,
    Budget,
    plain,
    unconfirmed,
)
from ..core.specs import BackendSpec, OptionValue, Price
from ..core.types import Host, Usage
from ..records.spending import Spent
from .context import open_user_records
from .gate import allow, chosen_row, look_into
from .offers import KeyOffer, WeightsOffer, key_offer, weights_offer

#: budget: the next picture costs more than is left, unless it was paid for earlier.
State: TypeAlias = Literal["ready", "weights", "key", "offline", "refused", "budget"]
#: States in which no run can succeed.
BLOCKED: tuple[State, ...] = ("weights", "key", "offline", "refused")

_WITHOUT_WEIGHTS = {
    "keyer": "Ready: cuts out subjects before a plain backdrop (studio sweep, green screen); no "
    "weights, no key, nothing is sent. Any other picture needs a model.",
    "edges": "Ready: cuts out along the subject mask that Remove Background is given, fitted to "
    "the picture; no weights, no key, nothing is sent. Without a mask it needs a model.",
}


@dataclass(frozen=True)
class Readiness:
    """What is known of a run before it begins."""

    state: State
    """Whether it can begin, and what is in its way."""
    words: str
    """One sentence or two, for people."""
    backend: str = ""
    """The id in force; empty where there is none of that name."""
    weights: WeightsOffer | None = None
    """What can be fetched, where weights are missing."""
    key: KeyOffer | None = None
    """What can be set, where a key is missing or another may take its place."""
    command: str = ""
    """What does the same where there is nothing to press."""

    @property
    def blocked(self) -> bool:
        """Whether no run can succeed."""
        return self.state in BLOCKED


def readiness(
    backend_id: str,
    options: Mapping[str, OptionValue],
    usage: Usage | None,
    host: Host,
    *,
    device: str = "",
    settings: Settings | None = None,
) -> Readiness:
    """Say what would happen if this backend were run now. Nothing is fetched, loaded or sent.

    device: what networks run on, for the words. A weight file that was never read is read once, for
    its sha256. Of our errors none is raised: they are the answer.
    """
    try:
        current = settings or read_settings()
        spec, chosen = chosen_row(backend_id, options, current)
    except RmbgError as error:
        return Readiness("refused", str(error))
    key = key_offer(spec)
    try:
        opened = look_into(backend_id, options, usage, current, host)
        opened.close()
        if spec.location == "hosted":
            profile = str(chosen.get("profile", ""))
            if not uses_signed_in(chosen) and look_for_key(spec, profile) is None:
                return _without_key(opened.spec, key)
            return _paid(opened.spec, current.budget, key)
        in_force, _ = allow(opened.spec, usage, current)
        ready = _WITHOUT_WEIGHTS.get(spec.id)
        words = ready or _local(spec, chosen, host, device, current, in_force)
    except WeightsMissing as error:
        return _without_weights(spec, chosen, current, error)
    except KeyMissing as error:
        return Readiness("key", str(error), spec.id, key=key)
    except Offline as error:
        return Readiness("offline", str(error), spec.id)
    except RmbgError as error:
        return Readiness("refused", str(error), spec.id)
    return Readiness("ready", words, spec.id)


def ready_model(host: Host, settings: Settings | None = None) -> str | None:
    """Return the id of the first local model whose weights are here and may be used; None where
    there is none."""
    local = [row.id for row in BACKENDS.values() if row.provider == "local"]
    return _first_ready(local, host, settings)


def best_backend(host: Host, settings: Settings | None = None) -> str:
    """Return the id of the best backend that is ready for non-commercial use: a model whose weights
    are here, a provider whose key is set, else the keyer."""
    hosted = [id for id in DEFAULT_IDS.values() if BACKENDS[id].location == "hosted"]
    found = ready_model(host, settings) or _first_ready(hosted, host, settings)
    return found or DEFAULT_IDS["keyer"]


def _first_ready(ids: Iterable[str], host: Host, settings: Settings | None) -> str | None:
    states = ((id, readiness(id, {}, None, host, settings=settings).state) for id in ids)
    return next((id for id, state in states if state == "ready"), None)


def _local(
    spec: BackendSpec,
    chosen: Mapping[str, OptionValue],
    host: Host,
    device: str,
    current: Settings,
    in_force: Usage,
) -> str:
    found = find_weights(spec.model, host, path=str(chosen.get("weights", "")).strip())
    licence = licence_of(found.licence, found.sha256, current.weights)
    name = f"{found.released.name} ({found.path.name})" if found.released else found.path.name
    where = f", on {device}" if device else ""
    return f"Ready: {name}{where}; licence {licence.name}, {in_force} use."


def _without_weights(
    spec: BackendSpec, chosen: Mapping[str, OptionValue], current: Settings, error: WeightsMissing
) -> Readiness:
    if str(chosen.get("weights", "")).strip():  # a file of the user's own cannot be fetched
        return Readiness("refused", str(error), spec.id)
    row = rows_of(spec.model)[0]
    offer = weights_offer(row)
    missing = f"{row.name} is not on this machine yet ({row.size / 1e6:,.0f} MB, {offer.licence})"
    if current.offline:
        return Readiness(
            "offline",
            f"{missing}, and RMBG_OFFLINE keeps this machine offline. Put {row.file} of {row.page} "
            "into a model folder, or set RMBG_OFFLINE=0.",
            spec.id,
        )
    if chosen.get("download"):
        words = f"{missing}: the run begins by downloading it, because download is on."
        return Readiness("ready", words, spec.id, offer)
    words = f"{missing}. Press Download on Load RMBG."
    return Readiness("weights", words, spec.id, offer, command=fetch_line(row))


def _without_key(spec: BackendSpec, key: KeyOffer | None) -> Readiness:
    """A hosted backend whose key was never set. spec: with the price in force."""
    words = (
        f"{spec.label} needs a key{_costs(spec.price, ' (', ')')}. Press Set key on Load RMBG, or "
        f"set {' or '.join(spec.key_variables)} in the environment."
    )
    return Readiness("key", words, spec.id, key=key)


def _paid(spec: BackendSpec, budget: Budget, key: KeyOffer | None) -> Readiness:
    """A hosted backend whose key is there. spec: with the price in force."""
    server = urlsplit(next(iter(bases_of(spec).values()))).hostname
    sent = f"Pictures are sent to {server}."
    enough, left = _left(spec.price, budget) if spec.price else (True, "free")
    if not enough:
        words = f"{spec.label}: {_costs(spec.price)}, and {left}. Raise {BUDGET_VARIABLE}, or wait."
        return Readiness("budget", words, spec.id, key=key)
    words = f"Ready: {spec.label}{_costs(spec.price, ', ')}; {left}. {sent}"
    return Readiness("ready", words, spec.id, key=key)


def _costs(price: Price | None, before: str = "", after: str = "") -> str:
    """The price of a picture in words, between these; nothing where there is none."""
    if price is None:
        return ""
    if price.amount is None:
        return f"{before}price unknown{after}"
    about = "about " if unconfirmed(price) else ""
    return f"{before}{about}{price} a picture{after}"


def _left(price: Price, budget: Budget) -> tuple[bool, str]:
    """Whether one more picture is within the budget, and what is left of it in words."""
    if not budget:
        return True, "no budget is set"
    if price.amount is None:
        return False, f"no budget can be kept to; set what you pay with {PRICES_VARIABLE}"
    if price.currency != CURRENCY:
        return False, f"the budget counts {CURRENCY}"
    try:
        spent = open_user_records().spending.spent()
    except sqlite3.Error as error:
        return False, f"what was spent before cannot be looked up ({error})"
    left, period = min(_rest(budget, spent))
    return price.amount <= left, f"the budget leaves {plain(max(left, Decimal(0)))} USD {period}"


def _rest(budget: Budget, spent: Spent) -> Iterator[tuple[Decimal, str]]:
    if budget.day is not None:
        yield budget.day - spent.day - spent.day_under_way, "today"
    if budget.month is not None:
        yield budget.month - spent.month - spent.month_under_way, "this month"
