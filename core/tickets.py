"""What paid work at a provider is known by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .specs import Price


@dataclass(frozen=True)
class Ticket:
    """Paid work at a provider. Never holds a key to an account."""

    backend: str
    request_id: str | None
    """None: it was sent, but its answer was lost."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """Where to ask for it, by role, as the provider gave them; "input" is what it was given, as an
    address or `sha256:...`, where its answers repeat that. While there is no id: "submit", where
    it was sent, and "account", see `Repeat`."""
    sent: tuple[int, int] | None = field(default=None, compare=False)
    """(width, height) of the picture as it was sent; None when it is not known."""
    created: str | None = field(default=None, compare=False)
    """When it was sent, UTC in ISO 8601; None: in this run."""
    told: bool = field(default=False, compare=False)
    """Its result was there before, and its cost has been told."""
    repeat_key: str = field(default="", compare=False)
    """Its answer was lost, and can still be asked for with this key; see `Repeat`."""


@dataclass(frozen=True)
class Claim:
    """Paid work to be fetched by its ticket, without the picture."""

    index: int
    work: str
    ticket: Ticket
    size: tuple[int, int]
    """(width, height) in pixels of the picture that was sent."""
    price: Price | None = None
    """What was set aside for it, where it is not the price of the row; None: that, or unknown."""
