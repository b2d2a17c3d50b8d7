"""What a request carries: its headers, and a body that is sent piece by piece."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping

from multidict import CIMultiDict

from ....version import __version__
from .wire import Call, Pieces, Upload

USER_AGENT = f"rmbg-nodes/{__version__} (+https://github.com/rmbg-nodes/rmbg-nodes)"

_SLICE = 65_536


def packed(
    call: Call, key_headers: Mapping[str, str]
) -> tuple[CIMultiDict[str], bytes | Pieces | None]:
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
        headers["Content-Length"] = str(length_of(body))
    headers.update(call.headers)
    headers.update(key_headers)
    return headers, body


def length_of(body: bytes | Pieces | None) -> int:
    """Return how many bytes a body has."""
    return body.length if body is not None and not isinstance(body, bytes) else len(body or b"")


def _form(upload: Upload, boundary: str) -> bytes | Pieces:
    """Return a form with one file in it, its last field (RFC 7578)."""
    fields = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in upload.before
    )
    head = (
        f"{fields}--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{upload.field}"; filename="{upload.file_name}"\r\n'
        f"Content-Type: {upload.content_type}\r\n\r\n"
    )
    begin, end, content = head.encode(), f"\r\n--{boundary}--\r\n".encode(), upload.content
    return begin + content + end if isinstance(content, bytes) else _Framed(begin, content, end)


class Slices:
    """The bytes of a body in slices, from the beginning each time it is iterated.

    aiohttp warns of large bytes objects, and reads files in threads of the loop's executor, which
    would then stay.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._content), _SLICE):
            yield self._content[at : at + _SLICE]


class _Framed:
    """Pieces with something before and after them."""

    def __init__(self, begin: bytes, content: Pieces, end: bytes) -> None:
        self._begin, self._content, self._end = begin, content, end

    @property
    def length(self) -> int:
        return len(self._begin) + self._content.length + len(self._end)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begin
        async for piece in self._content:
            yield piece
        yield self._end
