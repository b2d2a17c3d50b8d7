"""One HTTP request and its answer, with every way in which it can go wrong as plain data.

No exception of aiohttp leaves this file: some carry the request's headers, and so the key.
"""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from ....version import __version__
from .addresses import Barred
from .retry import Seen
from .sessions import Proxy
from .wire import Answer, Call, SendState, Upload

USER_AGENT = f"rmbg-nodes/{__version__} (+https://github.com/rmbg-nodes/rmbg-nodes)"

_SLICE = 65_536
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
    body: bytes | None = field(repr=False)
    most_bytes: int
    """Of the answer's body."""
    connect_seconds: float
    read_seconds: float
    """From the last byte of the request to the first of the answer, and between two of them."""
    total_seconds: float
    """For all of it, so that an upload ends that the server does not take."""
    wants_json: bool = False
    """An answer that is no JSON object is of no use."""


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


def packed(call: Call, key_headers: Mapping[str, str]) -> tuple[CIMultiDict[str], bytes | None]:
    """Return the headers, with what identifies the account, and the body or None.

    No compression is asked for: answers are small or pictures, and a bomb needs a fuse.
    """
    headers = CIMultiDict({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    body = call.content
    if call.data is not None:
        body = json.dumps(call.data).encode()
        headers["Content-Type"] = "application/json"
    elif call.upload is not None:
        boundary = uuid.uuid4().hex
        body = _form(call.upload, boundary)
        headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
    if body is not None:
        headers["Content-Length"] = str(len(body))
    headers.update(call.headers)
    headers.update(key_headers)
    return headers, body


def _form(upload: Upload, boundary: str) -> bytes:
    """Return a form with one file in it (RFC 7578)."""
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{upload.field}"; filename="{upload.file_name}"\r\n'
        f"Content-Type: {upload.content_type}\r\n\r\n"
    )
    return head.encode() + upload.content + f"\r\n--{boundary}--\r\n".encode()


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
            data=None if request.body is None else _Body(request.body),
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


class _Body:
    """The bytes of a body in slices, from the beginning each time it is iterated.

    aiohttp warns of large bytes objects, and reads files in threads of the loop's executor, which
    would then stay.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._content), _SLICE):
            yield self._content[at : at + _SLICE]


class _TooLarge(Barred):
    pass


class _TooSlow(OSError):
    pass


async def _read(response: aiohttp.ClientResponse, request: Request) -> bytes:
    clock = asyncio.get_running_loop().time
    started, body = clock(), bytearray()
    announced = response.content_length or 0
    async for piece in response.content.iter_any():
        body += piece
        if max(len(body), announced) > request.most_bytes:
            raise _TooLarge(f"its answer is larger than the {request.most_bytes} bytes expected")
        if clock() - started > request.read_seconds + len(body) / SLOWEST:
            raise _TooSlow("its answer comes too slowly")
    return bytes(body)


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
