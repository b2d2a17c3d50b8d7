"""Which account pays: by a key or by who is signed in; and what tells one from another without
revealing its key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

_DIGITS = 24


def uses_signed_in(options: Mapping[str, object]) -> bool:
    """Tell whether a backend's options say to use the account that is signed in where it runs; no
    key is looked for then."""
    return options.get("account") == "signed-in"


def account_mark(key: str, salt: str) -> str:
    """Return what is the same for the same account and salt. salt: never twice the same."""
    account = _account_in(key)
    return hmac.new(account.encode(), salt.encode(), hashlib.sha256).hexdigest()[:_DIGITS]


def _account_in(key: str) -> str:
    """Return what stays the same of a signed token (JWT): whom it is for, and in which workspace;
    any other key as a whole."""
    parts = key.split(".")
    if len(parts) != 3:
        return key
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return key
    if not isinstance(claims, dict) or not claims.get("sub"):
        return key
    stays = {name: claims[name] for name in claims if name == "sub" or "workspace" in name}
    return json.dumps(stays, sort_keys=True)
