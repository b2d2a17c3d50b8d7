"""The proxy for a request, by the usual variables: HTTPS_PROXY, ALL_PROXY, NO_PROXY.

Where none is set, the system's own settings count on Windows and macOS (urllib.request).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from ....config.hosted import is_loopback
from .addresses import Barred


@dataclass(frozen=True)
class Proxy:
    """headers: its own account, which goes to the proxy and not through it."""

    url: URL
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def proxy_for(url: URL) -> Proxy | None:
    """The proxy that this address is asked through; None for a direct connection.

    This machine itself is never asked through one. Raises Barred for an address of a proxy that
    cannot be used.
    """
    host = url.host or ""
    if is_loopback(host) or proxy_bypass(f"{host}:{url.port}"):
        return None
    settings = getproxies()
    text = settings.get(url.scheme) or settings.get("all")
    if not text:
        return None
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise Barred(
            "the proxy that HTTPS_PROXY or ALL_PROXY names is no http or https proxy; name one "
            "that is, or unset the variable"
        )
    bare = proxy.with_user(None)
    if proxy.user is None:
        return Proxy(bare)
    account = f"{unquote(proxy.raw_user or '')}:{unquote(proxy.raw_password or '')}"
    token = base64.b64encode(account.encode()).decode("ascii")
    return Proxy(bare, {"Proxy-Authorization": f"Basic {token}"})
