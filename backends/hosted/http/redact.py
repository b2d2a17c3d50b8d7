"""Text that may be shown: no key in any of its usual spellings, no signed query."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

_MOST = 500
# A shorter secret is too likely to be part of an ordinary word.
_SHORT = 6
_HIDDEN = "[key]"
_URL_QUERY = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s?\"'<>]*)\?[^\s\"'<>)\]]*")
# A query without its address, as clients quote it: "GET /file?signature=...".
_BARE_QUERY = re.compile(r"\?[\w.~%-]+=[^\s\"'<>)\]]*")
_USERINFO = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/?#@\"'<>]*@")


class Redactor:
    """Knows the secrets of one account, and never shows them itself."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _spellings(secret)}
        # The longest first: a part must not be taken out of the middle of the whole.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._secrets = re.compile("|".join(map(_pattern, ordered))) if ordered else None
        self._long = [form.encode() for form in ordered if len(form) >= _SHORT]

    def hide(self, body: bytes) -> bytes:
        """An answer's body without the secrets: a gateway may repeat what was sent to it, and its
        words are shown."""
        for form in self._long:
            body = body.replace(form, _HIDDEN.encode())
        return body

    def clean(self, text: str) -> str:
        """Return the text with secrets as "[key]", queries as "?...", in at most 500 characters."""
        if self._secrets is not None:
            text = self._secrets.sub(_HIDDEN, text)
        text = _USERINFO.sub(r"\1", text)
        text = _BARE_QUERY.sub("?...", _URL_QUERY.sub(r"\1?...", text))
        return text if len(text) <= _MOST else text[: _MOST - 3] + "..."


def _spellings(secret: str) -> Iterator[str]:
    """The secret as headers, URLs, JSON, Python and Basic authentication write it, and the same of
    the two halves of an `id:secret`."""
    parts = [secret, *secret.split(":", 1)] if ":" in secret else [secret]
    for part in filter(None, (part.strip() for part in parts)):
        yield from (part, quote(part, safe=""), quote(part), quote_plus(part))
        yield from (json.dumps(part)[1:-1], repr(part)[1:-1])
        plain = part.encode()
        for encoded in (base64.b64encode(plain), base64.urlsafe_b64encode(plain)):
            yield encoded.decode("ascii").rstrip("=")


def _pattern(form: str) -> str:
    escaped = re.escape(form)
    return rf"(?<!\w){escaped}(?!\w)" if len(form) < _SHORT else escaped
