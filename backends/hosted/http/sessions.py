"""aiohttp's sessions as this package needs them: no cookies, no netrc, nothing of the environment
but certificates and proxies."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, TypeAlias
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from ....config.hosted import is_loopback
from .addresses import Barred
from .resolver import Lookup, PlainResolver, PublicResolver

SessionName: TypeAlias = 'Literal["submit", "api", "public", "unfiltered"]'

#: OpenSSL reads the first by itself; the others are what requests and curl users set.
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Kind:
    """How the requests of one session differ."""

    fresh: bool = False
    """Each on a connection of its own, so that it cannot end in one that was just closed."""
    public: bool = False
    """To names of public hosts only."""
    decompress: bool = True
    """Answers are read as text; a download is kept as it came."""


_KINDS: Mapping[SessionName, Kind] = {
    "submit": Kind(fresh=True),
    "api": Kind(),
    "public": Kind(public=True, decompress=False),
    # Through a proxy, which looks the names up itself, and to this machine.
    "unfiltered": Kind(decompress=False),
}


@dataclass(frozen=True)
class Proxy:
    """A proxy for one request."""

    url: URL
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Its own account, which goes to the proxy and not through it."""


def proxy_for(url: URL) -> Proxy | None:
    """Return the proxy for this address by HTTPS_PROXY, ALL_PROXY and NO_PROXY, or by the system's
    settings on Windows and macOS; None for a direct connection, as always to this machine.

    Raises Barred for an address of a proxy that cannot be used.
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


class Sessions:
    """One session of each kind, made on the event loop when it is first needed."""

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._made: dict[SessionName, aiohttp.ClientSession] = {}
        self._certificates: ssl.SSLContext | None = None

    def get(self, name: SessionName) -> aiohttp.ClientSession:
        """Return the session. Raises Barred when the certificates cannot be read."""
        if name not in self._made:
            self._made[name] = self._make(_KINDS[name])
        return self._made[name]

    async def close(self) -> None:
        """End every connection."""
        while self._made:
            await self._made.popitem()[1].close()

    def _make(self, kind: Kind) -> aiohttp.ClientSession:
        if self._certificates is None:
            self._certificates = _trusted()
        resolver = PublicResolver(self._lookup) if kind.public else PlainResolver(self._lookup)
        connector = aiohttp.TCPConnector(
            resolver=resolver,
            force_close=kind.fresh,
            limit=0,  # the RateLimits limits what is under way
            ssl=self._certificates,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=kind.decompress,
            trace_configs=[_departures()],
        )


def _departures() -> aiohttp.TraceConfig:
    """Tell a request's SendState when its connection stands, from when on bytes may leave. That is
    a moment too early, never too late."""

    async def connected(
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        params: aiohttp.TraceConnectionCreateEndParams | aiohttp.TraceConnectionReuseconnParams,
    ) -> None:
        context.trace_request_ctx.under_way = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace


def _trusted() -> ssl.SSLContext:
    """Load the system's certificates and the user's own: many companies inspect TLS with theirs."""
    context = ssl.create_default_context()
    for variable in CERTIFICATE_VARIABLES:
        place = os.environ.get(variable, "").strip()
        if not place:
            continue
        is_folder = Path(place).is_dir()
        try:
            context.load_verify_locations(
                cafile=None if is_folder else place, capath=place if is_folder else None
            )
        except OSError:
            raise Barred(
                f"{variable} names no readable certificates ({place}); correct it or unset it"
            ) from None
    return context
