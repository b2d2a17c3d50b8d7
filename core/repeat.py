"""What makes a paid submit repeatable, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Repeat:
    """By what a submit can be repeated without paying twice, where the host takes idempotency
    keys. It is durable before the first byte leaves."""

    key: str
    """The idempotency key; it opens no account."""
    until: str
    """UTC in ISO 8601: what is sent with the key after that may be another job."""
    account: str
    """What the account is told by; with another account's key to the host it would be another
    job. It reveals nothing of that key."""
    picture: str = field(repr=False)
    """What stood for the picture in the request."""
