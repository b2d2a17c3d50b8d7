"""Which job an answer is about.

A gateway or a cache may give one job's answer for another, and a mask of another picture would be
delivered and kept: what an answer names is compared with what was asked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import unquote

from ...core.errors import UnusableResult
from ...core.types import Ticket
from .http.addresses import parse_url
from .http.data_uri import decode_data_uri
from .http.wire import Unreachable, Wire

#: Role of a ticket's "URL" that says what the provider was given.
INPUT = "input"

#: Role of the result itself, where the answer to a submit had it already.
PICTURE = "picture"

_DIGEST = "sha256:"
_PNG_END = b"IEND\xaeB`\x82"
# What could be an id in an address, alone or beside other words; shorter ones are folders.
_LIKE_AN_ID = tuple(map(re.compile, (r"[\w-]{8,}", r"[a-zA-Z0-9-]{8,}", r"[a-zA-Z0-9]{8,}")))
_MOST_WORDS = 100


def same_id(one: str, other: str) -> bool:
    """Say whether two spellings are of one id: addresses escape it, gateways change its case."""
    return _plain(one) == _plain(other)


def id_in(url: str | None, before: str) -> str | None:
    """Return the id in the address of a job, the part of its path that follows this one, or
    None."""
    try:
        parts = parse_url(url or "").raw_path.split("/")
    except Unreachable:
        return None
    places = [at for at, part in enumerate(parts[:-1]) if part.lower() == before]
    return unquote(parts[places[-1] + 1]).strip() or None if places else None


def words_in(url: str) -> list[str]:
    """Return every part of an address that could be an id; none of a data URI."""
    if url[:5].lower() == "data:":
        return []
    try:
        path = unquote(parse_url(url).raw_path_qs)
    except Unreachable:
        return []
    return [word for form in _LIKE_AN_ID for word in form.findall(path)][:_MOST_WORDS]


def own_url(wire: Wire, base: str, ticket: Ticket, role: str, before: str) -> str | None:
    """The address that the provider gave for this role, on the configured server; None when there
    is none, when it lies elsewhere, and when it is another job's. before: see `id_in`."""
    given = ticket.urls.get(role)
    named = id_in(given, before)
    if given is None or (named and not same_id(named, str(ticket.request_id))):
        return None
    return wire.rebase(base, given)


def check_named(who: str, ticket: Ticket, named: Iterable[str | None]) -> None:
    """Raise UnusableResult when an answer names another job than the one that was asked for."""
    asked = str(ticket.request_id)
    if not all(same_id(name, asked) for name in named if name):
        raise UnusableResult(f"{who} answered about another request than {asked}.")


def urls_of_input(image: str) -> dict[str, str]:
    """What a ticket remembers of the picture that a request named: nothing, or what `check_input`
    compares."""
    picture = _picture_of(image)
    return {INPUT: picture} if picture else {}


def check_input(who: str, ticket: Ticket, repeated: str | None, folder: str) -> None:
    """Raise UnusableResult when an answer repeats another picture than the one that was sent.

    folder: what uploads lie in; an answer may name a copy of the picture elsewhere, which says
    nothing.
    """
    sent, found = ticket.urls.get(INPUT, ""), _picture_of(repeated or "")
    if sent.startswith(_DIGEST) and found.startswith(_DIGEST):
        same = sent == found
    else:
        files = id_in(sent, folder), id_in(found, folder)
        same = not all(files) or same_id(*map(str, files))
    if not same:
        raise UnusableResult(f"{who} answered about another picture than the one that was sent.")


def _picture_of(image: str) -> str:
    """The sha256 of a file that stands in a data URI as a whole, an https address as it is, or
    nothing."""
    if image[:5].lower() != "data:":
        return image if image.startswith(("https://", "http://")) else ""
    try:
        data = decode_data_uri(image, len(image))
    except Unreachable:
        return ""
    # Some answers shorten what they repeat.
    return _DIGEST + hashlib.sha256(data).hexdigest() if data.endswith(_PNG_END) else ""


def _plain(text: str) -> str:
    return unquote(text).strip().casefold()
