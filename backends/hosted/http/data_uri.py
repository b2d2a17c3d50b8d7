"""A file inside its own address: `data:` URIs (RFC 2397)."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

from .wire import Unreachable

_BLANKS = re.compile(rb"\s+")


def decode_data_uri(uri: str, most_bytes: int) -> bytes:
    """Return the file. Raises Unreachable when it is damaged or larger than most_bytes."""
    header, comma, text = uri[len("data:") :].partition(",")
    if not comma:
        raise Unreachable("its data URI holds no data")
    encoded = header.lower().rstrip().endswith(";base64")
    # Percent-encoding makes three bytes of one, base64 four of three and some line ends.
    if len(text) > 3 * (2 * most_bytes + 4):
        raise _too_large(most_bytes)
    try:
        data = unquote_to_bytes(text)
        if encoded:
            plain = _BLANKS.sub(b"", data).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
            data = base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise Unreachable("its data URI is damaged") from None
    if len(data) > most_bytes:
        raise _too_large(most_bytes)
    return data


def _too_large(most_bytes: int) -> Unreachable:
    return Unreachable(f"its data URI holds more than the {most_bytes} bytes expected")
