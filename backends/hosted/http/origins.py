"""The provider's servers: what lies on them may be asked with the key, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from ....core.errors import BadOption
from .addresses import Origin, origin_of, parse_url
from .wire import Unreachable


@dataclass(frozen=True)
class Base:
    """Scheme, host, port and path prefix of a server. text: as it was configured."""

    text: str
    origin: Origin
    path: str

    @classmethod
    def of(cls, text: str) -> Base:
        """From an address such as https://gateway.example/prefix. Raises BadOption."""
        try:
            url = parse_url(text.rstrip("/"))
        except Unreachable:
            raise BadOption(
                f"{text!r} cannot be the address of a provider's server; write it like "
                "https://gateway.example/prefix."
            ) from None
        return cls(text.rstrip("/"), origin_of(url), url.raw_path.rstrip("/"))

    def rest_of(self, url: str) -> str | None:
        """What follows this base in the URL, its query included; None when it lies elsewhere.

        Compared as a server would read it: the port explicit, the prefix at a "/", and no segment
        that leads out of it again.
        """
        try:
            parts = parse_url(url)
        except Unreachable:
            return None
        if parts.user is not None or parts.password is not None:
            return None
        path = parts.raw_path
        inside = path == self.path or path.startswith(f"{self.path}/")
        if origin_of(parts) != self.origin or not inside:
            return None
        # Decoded twice: a gateway may decode once before it looks for dots itself.
        decoded = unquote(unquote(path)).replace("\\", "/")
        if any(part.split(";")[0] in (".", "..") for part in decoded.split("/")):
            return None
        query = f"?{parts.raw_query_string}" if parts.raw_query_string else ""
        return path[len(self.path) :] + query
