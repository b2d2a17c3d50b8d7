"""Pictures at addresses of the web: their names, and those of their results."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TypeAlias
from urllib.parse import unquote

from ..core.errors import BadOption

NOT_FETCHED = "is an address, and addresses are not fetched; download the picture and name its file"
NOT_ASKED = (
    "is an address, and addresses are not fetched; add --fetch, or download the picture and name "
    "its file"
)
_WEB = ("http", "https")
# Two letters at least: one is a drive of Windows.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_QUERY = re.compile(r"\?([^#]*)")
# What Windows allows in no name; a zero byte no system does.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_LONGEST = 200  # bytes of one name, so that a suffix and a number still fit
# What is asked for twice in a run is mostly asked for soon again.
_KEPT_BYTES = 64_000_000

#: The bytes at an address, given its name for messages and the address itself.
Fetch: TypeAlias = "Callable[[str, str], bytes]"


@dataclass(frozen=True)
class Address:
    """A picture at an address."""

    url: str = field(repr=False)
    """As it is asked for; what may be secret in it is shown nowhere."""
    name: str
    """What messages and records call it: without user, query and fragment, but with a short hash of
    the query, so that ?id=1 and ?id=2 are two pictures."""
    path: PurePosixPath
    """The names in it, unquoted and fit for files."""

    @classmethod
    def of(cls, url: str) -> Address:
        """Return the address of http(s)://host/folder/shoe.jpg?size=2."""
        url = url.strip()
        shown = address(url)
        query = _QUERY.search(url.partition("#")[0])
        told = hashlib.sha256(query[1].encode("utf-8", "replace")).hexdigest()[:8] if query else ""
        host, *names = shown.partition("://")[2].split("/")
        parts = [_file_name(name) for name in names if unquote(name) not in ("", ".", "..")]
        name = f"{shown} (query {told})" if told else shown
        return cls(url.partition("#")[0], name, PurePosixPath(*(parts or [_file_name(host)])))


class Web:
    """The addresses of one run; any thread may ask. fetch: see `Fetch`; the same picture is fetched
    once, while there is room to keep it."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._urls: dict[str, str] = {}
        self._kept: dict[str, bytes] = {}
        self._guard = threading.Lock()

    def add(self, found: Address) -> None:
        """Add an address of the run."""
        self._urls.setdefault(found.name, found.url)

    def __contains__(self, name: str) -> bool:
        return name in self._urls

    def content(self, name: str) -> bytes:
        """Return what lies there, fetched now. Raises what `fetch` does."""
        with self._guard:
            if name in self._kept:
                return self._kept[name]
        data = self._fetch(name, self._urls[name])
        with self._guard:
            self._kept[name] = data
            while sum(map(len, self._kept.values())) > _KEPT_BYTES:
                del self._kept[next(iter(self._kept))]
        return data


def address(argument: str) -> str:
    """Return an address such as https://host/shoe.jpg; empty where the argument is none.

    User, query and fragment, which may be secret, are left out.
    """
    if not _SCHEME.match(argument.strip()):
        return ""
    scheme, _, rest = argument.strip().partition("://")
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def located(argument: str, fetched: bool | None) -> Address | None:
    """Return the address that an argument is; None for one that is none.

    fetched: whether addresses are; None where the user has no way to ask for it. Raises BadOption
    for one that is not fetched.
    """
    shown = address(argument)
    if not shown:
        return None
    if fetched is None or shown.partition("://")[0].lower() not in _WEB:
        raise BadOption(f"{shown} {NOT_FETCHED}.")
    if not fetched:
        raise BadOption(f"{shown} {NOT_ASKED}.")
    return Address.of(argument)


def _file_name(quoted: str) -> str:
    name = _FORBIDDEN.sub("_", unquote(quoted)).strip()
    if not name.strip("."):
        return "_"
    stem, dot, suffix = name.rpartition(".")
    short = (stem or suffix).encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
    return f"{short}{dot}{suffix[:20]}" if stem else short
