"""Calls to a provider that cost nothing: its price list, and whether it knows a key.

Contracts: fal.ai/docs/platform-apis/v1/models/pricing and replicate.com/docs/reference/http
(account.get), read on 2026-11-29. Bria documents no call that costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from ...config.hosted import bases_of, hosting_of, limits_of
from ...config.keys import Key
from ...core.specs import BackendSpec
from .http.redact import Redactor
from .http.runtime import runtime
from .http.transport import Transport
from .http.wire import Answer, Call
from .providers import PROVIDERS
from .providers.answers import Answers

#: The role of the server that has a provider's price list.
PRICES = "prices"

_PRICE_LIST = "/v1/models/pricing?endpoint_id={}"
_PATIENCE = 20.0
# Provider -> the server's role and the path of a call that only somebody with a key gets.
_WITH_KEY: Mapping[str, tuple[str, str]] = {
    "fal": (PRICES, _PRICE_LIST),
    "replicate": ("api", "/v1/account"),
}


def price_list(spec: BackendSpec, key: Key) -> Answer:
    """Ask what this model costs, where the provider has a price list. Blocks. Raises Unreachable
    and Offline."""
    return _ask(spec, key, PRICES, _PRICE_LIST)


def try_key(spec: BackendSpec, key: Key) -> bool:
    """Ask the provider whether it knows this key; False where it has no call for that. Blocks.

    Raises KeyMissing and AccountRefused where it refuses the key or the account, Unreachable and
    Offline where it could not be asked.
    """
    call = _WITH_KEY.get(spec.provider)
    if call is None:
        return False
    Answers(spec, spec.label).check_account(_ask(spec, key, *call))
    return True


def _ask(spec: BackendSpec, key: Key, role: str, path: str) -> Answer:
    hosting, bases, limits = hosting_of(spec), bases_of(spec), limits_of(spec)
    here = runtime()
    rate_limits = here.rate_limits(
        f"{spec.provider} {role} {bases[role]}, free",
        in_flight=1,
        requests_a_minute=limits.requests_a_minute,
        pictures=1,
    )
    transport = Transport(
        here,
        rate_limits,
        {role: bases[role]},
        {role: hosting.bases[role][1]},
        PROVIDERS[spec.provider](spec, bases, {}).headers(key.reveal()),
        Redactor([key.reveal()]),
        again_seconds=_PATIENCE,
        read_seconds=_PATIENCE,
    )
    url = bases[role] + path.format(quote(hosting.endpoint, safe=""))
    return here.start(transport.ask(Call("GET", url))).result()
