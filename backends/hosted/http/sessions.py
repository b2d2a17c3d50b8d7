"""aiohttp's sessions as this package needs them: no cookies, no netrc, nothing from surroundings
but the certificates."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import aiohttp

from .addresses import Barred, Lookup, PlainResolver, PublicResolver

#: OpenSSL reads the first by itself; the others are what requests and curl users set.
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True)
class Kind:
    """fresh: every request on a connection of its own, so that it cannot end in one that the
    server has just closed. public: names of public hosts only. decompress: answers are read as
    text; a download is kept as it came."""

    fresh: bool = False
    public: bool = False
    decompress: bool = True


SUBMIT = Kind(fresh=True)
API = Kind()
PUBLIC = Kind(public=True, decompress=False)
# Through a proxy, which looks the names up itself, and to this machine.
UNFILTERED = Kind(decompress=False)


class Sessions:
    """One session of each kind, made on the event loop when it is first needed."""

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._made: dict[Kind, aiohttp.ClientSession] = {}
        self._certificates: ssl.SSLContext | None = None

    def get(self, kind: Kind) -> aiohttp.ClientSession:
        """The session. Raises Barred when the certificates cannot be read."""
        if kind not in self._made:
            self._made[kind] = self._make(kind)
        return self._made[kind]

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
    """Tells a request's SendState when its connection stands, from when on bytes may leave. That is
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
    """The system's certificates, and the user's own: many companies inspect TLS with theirs."""
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
