"""One HTTP request and its answer, with every way in which it can go wrong as plain data.

No exception of aiohttp leaves this file: some carry the request's headers, and so the key.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import aiohttp
from yarl import URL

from .addresses import Barred
from .bodies import Slices
from .retry import Seen
from .sessions import Proxy
from .wire import Answer, Pieces, SendState, Sink

# What is handed to a sink at a time.
_PIECE = 1 << 20
# What a host says instead of a file.
_MOST_OF_AN_ERROR = 1_000_000
#: Bytes a second. What is slower on average, after the first `read_seconds`, is given up.
SLOWEST = 20_000.0

# From the most special to the most general; the first that fits is what the user reads.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientHttpProxyError, "the proxy refused to connect to it"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
    (aiohttp.ClientConnectorCertificateError, "its TLS certificate is not trusted"),
    (aiohttp.ClientConnectorSSLError, "no TLS connection could be made"),
    (aiohttp.ConnectionTimeoutError, "it did not accept a connection in time"),
    (aiohttp.ClientConnectorError, "no connection could be made"),
    (TimeoutError, "it did not answer in time"),
    (asyncio.TimeoutError, "it did not answer in time"),
    (aiohttp.ClientPayloadError, "its answer was cut off"),
    (aiohttp.ClientConnectionError, "it closed the connection"),
    (ConnectionError, "it closed the connection"),
    (aiohttp.ClientResponseError, "its answer is no HTTP"),
    (aiohttp.ClientError, "the request failed"),
    (OSError, "the request failed"),
)


@dataclass(frozen=True)
class Request:
    """One HTTP request, as it goes on the wire."""

    method: str
    url: URL
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | Pieces | None = field(repr=False)
    most_bytes: int
    """Of the answer's body."""
    connect_seconds: float
    read_seconds: float
    """From the last byte of the request to the first of the answer, and between two of them."""
    total_seconds: float
    """For all of it, so that an upload ends that the server does not take."""
    wants_json: bool = False
    """An answer that is no JSON object is of no use."""
    sink: Sink | None = None
    """Takes the body of an answer with status 200, whose Answer is then empty."""


@dataclass(frozen=True)
class Attempt:
    """What came of one request."""

    host: str
    seen: Seen
    answer: Answer | None = None
    """None when it did not come to its end."""
    trouble: str = ""
    """What went wrong, for people."""
    barred: bool = False
    """Trying it again changes nothing."""

    @classmethod
    def never_made(cls, host: str, why: Barred) -> Attempt:
        """Return the outcome of a request that there was no point in sending."""
        seen = Seen(None, None, None, bytes_left=False, json_ok=False, transport_error=True)
        return cls(host, seen, trouble=str(why), barred=True)

    def __str__(self) -> str:
        if self.trouble or self.seen.status is None:
            return f"{self.host}: {self.trouble}"
        return f"{self.host} answered {_named(self.seen.status)}"


async def exchange(
    session: aiohttp.ClientSession, request: Request, proxy: Proxy | None, departure: SendState
) -> Attempt:
    """Send it once, without following redirects. `departure` learns when bytes may have left."""
    host = request.url.host or ""
    status: int | None = None
    headers: dict[str, str] = {}
    try:
        response = await session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=Slices(request.body) if isinstance(request.body, bytes) else request.body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=request.total_seconds,
                connect=request.connect_seconds,
                sock_connect=request.connect_seconds,
                sock_read=request.read_seconds,
            ),
            proxy=proxy and proxy.url,
            proxy_headers=proxy and proxy.headers,
            trace_request_ctx=departure,
        )
        try:
            status = response.status
            headers = {name.lower(): value for name, value in response.headers.items()}
            body = await _read(response, request)
        finally:
            response.close()  # nothing more to read: a kept connection was given back before
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
        return _failed(host, error, _seen(status, headers, departure))
    answer = Answer(status, headers, body)
    useful = not request.wants_json or answer.data() is not None
    seen = _seen(status, headers, departure)
    return Attempt(host, replace(seen, json_ok=useful, transport_error=False), answer)


class _TooLarge(Barred):
    pass


class _NotTaken(Barred):
    """The disk did not take an answer."""


class _TooSlow(OSError):
    pass


async def _read(response: aiohttp.ClientResponse, request: Request) -> bytes:
    clock = asyncio.get_running_loop().time
    started, body, length = clock(), bytearray(), 0
    announced = response.content_length or 0
    sink = request.sink if response.status == HTTPStatus.OK else None
    most = request.most_bytes if sink or request.sink is None else _MOST_OF_AN_ERROR
    if sink:
        await _kept(sink.begin())
    async for piece in response.content.iter_any():
        body += piece
        length += len(piece)
        if max(length, announced) > most:
            raise _TooLarge(f"its answer is larger than the {most} bytes expected")
        if clock() - started > request.read_seconds + length / SLOWEST:
            raise _TooSlow("its answer comes too slowly")
        if sink and len(body) >= _PIECE:
            await _kept(sink.write(bytes(body)))
            body.clear()
    if sink:
        await _kept(sink.write(bytes(body)))
        return b""
    return bytes(body)


async def _kept(writing: Awaitable[None]) -> None:
    """Raise _NotTaken where the disk refuses: another download would end there, too."""
    try:
        await writing
    except OSError as error:
        raise _NotTaken(f"it cannot be written here ({error.strerror or error})") from None


def _failed(host: str, error: BaseException, seen: Seen) -> Attempt:
    # Where a name was refused, the reason is inside.
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorDNSError) else error
    if isinstance(cause, (Barred, _TooSlow)):
        trouble = str(cause)
    else:
        trouble = next(words for kind, words in _WORDS if isinstance(error, kind))
        trouble += _detail(error)
    return Attempt(host, seen, None, trouble, barred=isinstance(cause, Barred))


def _detail(error: BaseException) -> str:
    """Return the system's own word for it, where it helps and can hold nothing secret."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f" ({_named(error.status)})"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "")
        return f" ({reason or 'unknown reason'}); SSL_CERT_FILE can name your own certificates"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, ConnectionRefusedError):
            return " (refused)"
        if isinstance(cause, socket.gaierror) and cause.strerror:
            return f" ({cause.strerror})"
    return ""


def _seen(status: int | None, headers: Mapping[str, str], departure: SendState) -> Seen:
    """Return what is known while the answer has not come to its end."""
    return Seen(
        status,
        headers.get("retry-after"),
        headers.get("date"),
        bytes_left=departure.under_way,
        json_ok=False,
        transport_error=True,
    )


def _named(status: int) -> str:
    """Return the status with its name: 503 Service Unavailable."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
