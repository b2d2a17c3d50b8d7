"""What the settings change about a hosted backend: addresses, limits, prices, patience."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from urllib.parse import urlsplit

from ..catalogue.hosted_models import BASE_VARIABLES, ROWS
from ..catalogue.hosted_videos import PATIENCE, VIDEO_ROWS
from ..core.errors import BadOption
from ..core.money import PRICES_VARIABLE, read_amount
from ..core.specs import BackendSpec, Hosting
from .host import PlainHost

TIMEOUT_VARIABLE = "RMBG_JOB_TIMEOUT"

_TIMEOUT = 300.0
_PROVIDERS = tuple(dict.fromkeys(row.provider for row in ROWS))
#: What a user's plan with a provider changes.
_PLAN = {
    "IN_FLIGHT": "jobs at a time at {}, if your plan allows others",
    "REQUESTS_A_MINUTE": "API calls a minute that your {} plan has",
}


def _named(provider: str, what: str) -> str:
    return f"RMBG_{provider.upper()}_{what}"


#: Every variable read here, with a line of help.
VARIABLES: Mapping[str, str] = {
    TIMEOUT_VARIABLE: f"seconds that one hosted job may take before it is left to be resumed "
    f"(default {_TIMEOUT:.0f}, of a video {PATIENCE:.0f})",
    PRICES_VARIABLE: "your own prices in USD a picture, or a second of video: "
    "bria/rmbg-2.0=0.015,fal/video=0.04",
    **{
        variable: f"a gateway that stands in for {official}"
        for variable, official in BASE_VARIABLES.items()
    },
    **{
        _named(provider, what): words.format(provider)
        for what, words in _PLAN.items()
        for provider in _PROVIDERS
    },
}

#: What holds where a variable is not set.
DEFAULTS: Mapping[str, str] = {
    TIMEOUT_VARIABLE: f"{_TIMEOUT:.0f}",
    **BASE_VARIABLES,
    **{
        _named(row.provider, what): str(getattr(row.hosting, what.lower()))
        for row in reversed(ROWS)
        for what in _PLAN
    },
}


@dataclass(frozen=True)
class Limits:
    """How much a provider is asked at a time."""

    in_flight: int
    """Jobs at one time."""
    requests_a_minute: int
    """Calls, polls among them."""
    job_seconds: float
    """How long one job may take."""


def hosting_of(spec: BackendSpec) -> Hosting:
    """Return the row's hosting; a hosted row without one is a mistake in the catalogue."""
    assert spec.hosting is not None
    return spec.hosting


def bases_of(spec: BackendSpec, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return role -> scheme, host and path prefix, without a slash at the end.

    Raises BadOption for an address that is neither https nor http to this very machine.
    """
    env = PlainHost().surroundings() if environment is None else environment
    return {
        role: _checked(variable, env.get(variable, "").strip() or official)
        for role, (variable, official) in hosting_of(spec).bases.items()
    }


def limits_of(spec: BackendSpec, environment: Mapping[str, str] | None = None) -> Limits:
    """Return the row's limits, or those of the user's plan. Raises BadOption."""
    env = PlainHost().surroundings() if environment is None else environment
    hosting = hosting_of(spec)
    return Limits(
        _whole(env, _named(spec.provider, "IN_FLIGHT"), hosting.in_flight),
        _whole(env, _named(spec.provider, "REQUESTS_A_MINUTE"), hosting.requests_a_minute),
        _seconds(env, hosting.patience),
    )


def priced(spec: BackendSpec, environment: Mapping[str, str] | None = None) -> BackendSpec:
    """Return the row with the user's own price, where one is set. Raises BadOption."""
    env = PlainHost().surroundings() if environment is None else environment
    known = {row.id for row in (*ROWS, *VIDEO_ROWS)}
    for entry in filter(None, (part.strip() for part in env.get(PRICES_VARIABLE, "").split(","))):
        backend, equals, text = (part.strip() for part in entry.partition("="))
        if not equals or backend not in known:
            raise BadOption(
                f"{PRICES_VARIABLE} has {entry!r}; write ID=AMOUNT with one of: "
                f"{', '.join(sorted(known))}."
            )
        amount = _amount(text)
        if backend == spec.id and spec.price is not None:
            own = replace(spec.price, amount=amount, as_of="now", source=f"your {PRICES_VARIABLE}")
            spec = replace(spec, price=replace(own, origin="setting"))
    return spec


def check(environment: Mapping[str, str]) -> None:
    """Raise BadOption for the first value here that cannot be used."""
    for spec in (*ROWS, *VIDEO_ROWS):
        bases_of(spec, environment)
        limits_of(spec, environment)
        priced(spec, environment)


def is_loopback(host: str) -> bool:
    """Return whether a host is this very machine, by name or number."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _checked(variable: str, url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if not (secure and host and plain):
        raise BadOption(
            f"{variable} must be an https address such as https://gateway.example/prefix; plain "
            "http is allowed to this machine only, because the request carries a key."
        )
    return url.rstrip("/")


def _whole(env: Mapping[str, str], variable: str, default: int) -> int:
    text = env.get(variable, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise BadOption(f"{variable} is {text!r}; it must be a whole number above 0.")
    return int(text)


def _seconds(env: Mapping[str, str], usual: float) -> float:
    text = env.get(TIMEOUT_VARIABLE, "").strip()
    if not text:
        return usual
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise BadOption(f"{TIMEOUT_VARIABLE} is {text!r}; it must be seconds between 0 and 86400.")
    return seconds


def _amount(text: str) -> Decimal:
    try:
        return read_amount(text)
    except BadOption as error:
        raise BadOption(
            f"{PRICES_VARIABLE} has the amount {text!r}; write a number such as 0.018."
        ) from error
