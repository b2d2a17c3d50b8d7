"""A call as the headers and the bytes that go on the wire."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

from multidict import CIMultiDict

from ....version import __version__
from .wire import Call, Upload

USER_AGENT = f"rmbg-nodes/{__version__} (+https://github.com/rmbg-nodes/rmbg-nodes)"


def packed(call: Call, key_headers: Mapping[str, str]) -> tuple[CIMultiDict[str], bytes | None]:
    """Headers, with what identifies the account, and body; None when there is none.

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
    """A form with one file in it (RFC 7578)."""
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{upload.field}"; filename="{upload.file_name}"\r\n'
        f"Content-Type: {upload.content_type}\r\n\r\n"
    )
    return head.encode() + upload.content + f"\r\n--{boundary}--\r\n".encode()
