"""Which addresses a download may touch: public ones, over https, whatever a redirect says.

A result's URL comes from outside, so it is treated as hostile: it must not make this machine ask
its own services, those of its network, or a cloud's metadata server (server-side request forgery).
Literal addresses are judged in the URL, names after they were resolved, and the connection then
goes to the very addresses that were judged.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from yarl import URL

from ....core.errors import BadOption
from .wire import Unreachable

IpAddress: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Origin: TypeAlias = "tuple[str, str, int | None]"

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Not public, though some versions of Python's is_global say so: not to be reached at all, or only
# from inside a cloud.
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments
        "161.26.0.0/16",  # IBM Cloud: services for machines inside
        "166.8.0.0/14",  # IBM Cloud: services for machines inside
        "168.63.129.16/32",  # Azure: the host's own services, among them metadata
        "192.88.99.0/24",  # 6to4 relays
        "64:ff9b:1::/48",  # NAT64 of a network's own choice
        "2001::/23",  # IETF protocol assignments; Teredo holds an IPv4 address
        "2002::/16",  # 6to4: holds an IPv4 address of the sender's choice
        "3fff::/20",  # documentation
        "fec0::/10",  # site-local
    )
)
# Names that mean something inside a network only (RFC 6761, 6762, 8375, and clouds' metadata).
_INNER_NAMES = ("localhost", "localdomain", "local", "internal", "home.arpa", "intranet", "lan",
                "corp", "home", "private")  # fmt: skip
# Letters of other scripts are encoded in these; nothing else can be in the name of a host.
_NAME = re.compile(r"[a-z0-9._-]+")
# "127.1", "0x7f.1" and "2130706433" are addresses too, to those who resolve them.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


class Barred(OSError):
    """A connection that is not made, however often it is tried. The text is for people."""


class AddressRefused(Barred):
    """The name leads to an address that is not public."""


def is_public(address: str) -> bool:
    """Say whether this address can be reached from anywhere on the internet."""
    ip: IpAddress = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    special = ip.is_multicast or ip.is_reserved or ip.is_link_local or ip.is_loopback
    return ip.is_global and not special and not any(ip in network for network in _NEVER)


def parse_url(url: str) -> URL:
    """Return the address as aiohttp will use it. Raises Unreachable for what is none.

    A URL that is ready for the wire is not quoted anew: that would break its signature.
    """
    ready = url.isascii() and url.isprintable() and " " not in url
    try:
        parsed = URL(url)
        used = URL(url, encoded=True) if ready else parsed
        same = _host(used) == _host(parsed) and used.port == parsed.port
    except ValueError:
        same = False
    if not same or not _is_host(_host(used)) or "\\" in url:
        raise Unreachable("the address given for it is not one")
    return used


def origin_of(url: URL) -> Origin:
    """Return scheme, host and port, the port also where the address leaves it out."""
    return url.scheme.lower(), _host(url), url.port


def check_url(url: str, gateways: frozenset[Origin], *, plain_http: bool = False) -> None:
    """Raise Unreachable unless this is an https address of a public host, as far as can be told
    without resolving its name, or lies on a server that the user configured. gateways: those
    servers; another port of theirs is another server. plain_http: http will do, too."""
    parts = parse_url(url)
    host = _host(parts)
    if parts.user is not None or parts.password is not None:
        raise Unreachable("its address has a user name in it, which is not followed")
    if origin_of(parts) in gateways:
        return
    if parts.scheme != "https" and not (plain_http and parts.scheme == "http"):
        raise Unreachable(f"its address is not https but {parts.scheme or 'nothing'}")
    if not _may_be_public(host.rstrip(".")):
        raise Unreachable(f"its address ({host}) is not on the public internet")


@dataclass(frozen=True)
class Base:
    """One of the provider's servers: what lies on it may be asked with the key."""

    text: str
    """As it was configured."""
    origin: Origin
    path: str

    @classmethod
    def of(cls, text: str) -> Base:
        """Read an address such as https://gateway.example/prefix. Raises BadOption."""
        try:
            url = parse_url(text.rstrip("/"))
        except Unreachable:
            raise BadOption(
                f"{text!r} cannot be the address of a provider's server; write it like "
                "https://gateway.example/prefix."
            ) from None
        return cls(text.rstrip("/"), origin_of(url), url.raw_path.rstrip("/"))

    def rest_of(self, url: str) -> str | None:
        """Return what follows this base in the URL, with its query; None when it lies elsewhere.

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


def _host(url: URL) -> str:
    return (url.raw_host or "").lower()


def _is_host(text: str) -> bool:
    if _NAME.fullmatch(text):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _may_be_public(host: str) -> bool:
    try:
        return is_public(host)
    except ValueError:
        pass
    labels = host.split(".")
    if len(labels) < 2 or _NUMBER.fullmatch(labels[-1]):
        return False
    return not any(host == name or host.endswith(f".{name}") for name in _INNER_NAMES)
