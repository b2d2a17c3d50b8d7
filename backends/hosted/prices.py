"""What a provider says today that its model costs; remembered for a day, never needed for a run.

Contract: fal.ai/docs/platform-apis/v1/models/pricing, read on 2026-11-29. A row has such a price
list when its hosting has the base `prices`; only fal.ai has one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from ...config.host import PlainHost
from ...config.hosted import bases_of, hosting_of
from ...config.keys import find_key
from ...config.private_files import write_private
from ...core.errors import BadOption
from ...core.money import CURRENCY, plain, read_amount
from ...core.report import JsonValue
from ...core.specs import BackendSpec, Price
from .free_calls import PRICES, price_list
from .http.wire import JsonObject, Unreachable
from .providers.answers import Answers, said, text_at

_FILE = "prices.json"
_FRESH = timedelta(days=1)
# Units that are one picture, however they are written: this model makes one of one.
_PICTURES = frozenset(
    {"image", "picture", "generation", "request", "call", "run", "prediction", "output"}
    | {"output image", "processed image", "generated image"}
)


@dataclass(frozen=True)
class Quote:
    """One line of a provider's price list."""

    amount: Decimal
    """Of one `unit`."""
    currency: str
    unit: str
    read: datetime
    """UTC."""
    source: str
    """The host that said so."""

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.currency} per {self.unit or 'unnamed unit'}"

    @property
    def price(self) -> Price | None:
        """What a picture costs; None when the unit is something else, as a megapixel or a
        second."""
        if _plain_unit(self.unit) not in _PICTURES:
            return None
        day = self.read.date().isoformat()
        return Price(self.amount, self.currency, day, f"{self.source}, read live", "live")


def has_price_list(spec: BackendSpec) -> bool:
    """Say whether the provider can be asked what this model costs."""
    return spec.hosting is not None and PRICES in spec.hosting.bases


def remembered_quote(spec: BackendSpec, folder: Path | None = None) -> Quote | None:
    """Return what the provider said within the last day, or None; opens no socket.

    folder: the data folder, the user's own by default.
    """
    if not has_price_list(spec):
        return None
    held = _read(_path(folder)).get(_name(spec))
    try:
        found = _quote(held, _host(spec), datetime.fromisoformat(text_at(held, "read") or ""))
    except (Unreachable, ValueError):
        return None
    if found.read.tzinfo is None:
        return None
    age = datetime.now(timezone.utc) - found.read
    return found if timedelta(0) <= age < _FRESH else None


def live_quote(spec: BackendSpec, profile: str = "", folder: Path | None = None) -> Quote:
    """Ask what this model costs, at most once a day. Blocks.

    profile: see `find_key`. Raises Unreachable when it does not say, KeyMissing and Offline.
    """
    known = remembered_quote(spec, folder)
    if known is not None:
        return known
    found = _asked(spec, profile)
    fields = {"unit_price": str(found.amount), "currency": found.currency, "unit": found.unit}
    # A list that cannot be kept is asked for again, which is free.
    with suppress(OSError):
        _remember(_path(folder), _name(spec), {**fields, "read": found.read.isoformat()})
    return found


def _asked(spec: BackendSpec, profile: str) -> Quote:
    answer = price_list(spec, find_key(spec, profile))
    if answer.status == 401:
        Answers(spec, _host(spec)).check_account(answer)
    if answer.status != 200:
        raise Unreachable(f"{_host(spec)} answered {answer.status}: {said(answer)}", answer.status)
    line = _line(answer.data(), hosting_of(spec).endpoint)
    return _quote(line, _host(spec), datetime.now(timezone.utc))


def _line(data: JsonObject | None, endpoint: str) -> JsonValue:
    """Return the line of a price list that is about this model."""
    lines = (data or {}).get("prices")
    for line in lines if isinstance(lines, list) else [data]:
        if isinstance(line, dict) and line.get("endpoint_id", endpoint) == endpoint:
            return line
    return None


def _quote(line: JsonValue, host: str, read: datetime) -> Quote:
    """Raises Unreachable for a line that holds no amount of money."""
    amount = line.get("unit_price") if isinstance(line, dict) else None
    if isinstance(amount, bool) or not isinstance(amount, (int, float, str)):
        raise Unreachable(f"{host} names no price for this model")
    try:
        money = read_amount(amount)
    except BadOption:
        raise Unreachable(f"{host} names a price that is no amount of money") from None
    currency, unit = text_at(line, "currency"), text_at(line, "unit")
    return Quote(
        money,
        said(currency).upper() if currency else CURRENCY,
        said(unit) if unit else "",
        read,
        host,
    )


def _plain_unit(unit: str) -> str:
    """Return the unit without "per", underscores and the plural."""
    words = unit.lower().replace("_", " ").replace("-", " ").split()
    return " ".join(words[1:] if words[:1] in (["per"], ["1"]) else words).removesuffix("s")


def _host(spec: BackendSpec) -> str:
    return bases_of(spec)[PRICES].partition("://")[2].partition("/")[0]


def _name(spec: BackendSpec) -> str:
    return f"{bases_of(spec)[PRICES]} {hosting_of(spec).endpoint}"


def _path(folder: Path | None) -> Path:
    return (folder or PlainHost().data_folder()) / _FILE


def _read(path: Path) -> JsonObject:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _remember(path: Path, name: str, line: Mapping[str, JsonValue]) -> None:
    """Write the file as a whole or not at all. Raises OSError."""
    text = json.dumps({**_read(path), name: dict(line)}, indent=2)
    write_private(path, text.encode())
