"""Which addresses may be touched, and which belong to the provider."""

# Pins the inside of backends.hosted.http.addresses
# Pins the inside of backends.hosted.http.data_uri
# Pins the inside of backends.hosted.http.resolver
# Pins the inside of backends.hosted.http.sessions
# Pins the inside of backends.hosted.http.wire

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from rmbg_nodes.backends.hosted.http.addresses import (
    AddressRefused,
    Base,
    Origin,
    check_url,
    is_public,
    parse_url,
)
from rmbg_nodes.backends.hosted.http.data_uri import decode_data_uri
from rmbg_nodes.backends.hosted.http.resolver import (
    AddressInfo,
    PlainResolver,
    PublicResolver,
    in_own_thread,
)
from rmbg_nodes.backends.hosted.http.sessions import proxy_for
from rmbg_nodes.backends.hosted.http.wire import Unreachable
from rmbg_nodes.core.errors import BadOption

NOBODY: frozenset[Origin] = frozenset()

_PRIVATE = """
0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 127.8.8.8 169.254.169.254 172.16.0.1 172.31.255.255
192.0.0.8 192.0.0.200 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1
224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1
::ffff:a9fe:a9fe ::127.0.0.1 ::7f00:1 64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1
2001::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808::1 3fff::1 fc00::1 fd00:ec2::254 fe80::1
fe80::1%eth0 fec0::1 ff02::1 168.63.129.16 ::ffff:168.63.129.16 64:ff9b::a83f:8110 161.26.0.10
166.8.0.1 100.100.100.200 192.0.0.192 5f00::1 4000::1
"""
PRIVATE = _PRIVATE.split()
_PUBLIC = """
1.1.1.1 8.8.8.8 104.18.0.1 172.32.0.1 192.167.255.255 223.255.255.254 2606:4700::1111
2a00:1450:4001::200e 64:ff9b::8.8.8.8 ::ffff:8.8.8.8
"""
PUBLIC = _PUBLIC.split()


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_nobody_is_led_to(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://v3.fal.media/files/b/x.png",
        "https://storage.googleapis.com/x?X-Goog-Signature=a%2Fb",
        "https://replicate.delivery:8443/x.png",
        "https://8.8.8.8/x",
        "https://[2606:4700::1111]/x",
        "HTTPS://EXAMPLE.COM/x",
        "https://xn--bcher-kva.example.org/x",
        "https://1.example.com/",
    ],
)
def test_files_may_lie_here(url: str) -> None:
    check_url(url, NOBODY)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "ftp://example.com/x",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:image/png;base64,AA==",
        "//example.com/x",
        "example.com/x",
        "/x",
        "",
        "https://",
        "https:///x",
        "https://user:pass@example.com/x",
        "https://user@example.com/x",
        "https://example.com\\@10.0.0.1/",
        "https://10.0.0.1\\.example.com/",
        "https://example.com:99999/",
        "https://example.com:abc/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://example.com\x00.org/",
        "https://127.0.0.1%2f.example.com/",
        "https://localhost/x",
        "https://localhost./x",
        "https://a.localhost/x",
        "https://printer.local/x",
        "https://metadata.google.internal/x",
        "https://metadata/x",
        "https://ｌｏｃａｌｈｏｓｔ/x",
        "https://127.1/x",
        "https://0x7f.0.0.1/x",
        "https://0x7f000001/x",
        "https://2130706433/x",
        "https://0177.0.0.01/x",
        "https://10.0.0.1./x",
        "https://１０.0.0.1/x",
        *(f"https://{address}/x" for address in PRIVATE if ":" not in address),
        *(f"https://[{address}]/x" for address in PRIVATE if ":" in address),
    ],
)
def test_files_may_not_lie_here(url: str) -> None:
    with pytest.raises(Unreachable):
        check_url(url, NOBODY)


def test_a_configured_server_is_excepted_and_none_beside_it() -> None:
    bases = (
        "http://127.0.0.1:8188/fal",
        "https://localhost",
        "http://[::1]",
        "https://10.0.0.5:8443",
    )
    gateways = frozenset(Base.of(base).origin for base in bases)
    check_url("http://127.0.0.1:8188/x", gateways)
    check_url("https://LOCALHOST:443/x", gateways)
    check_url("http://[::1]:80/x", gateways)
    check_url("https://10.0.0.5:8443/x", gateways)
    for url in (
        "http://127.0.0.2:8188/x",
        "http://127.0.0.1/x",
        "http://127.0.0.1:8189/x",
        "https://127.0.0.1:8188/x",
        "http://[::1]:8188/x",
        "https://localhost:8188/x",
        "http://user:pass@127.0.0.1:8188/x",
        "ftp://127.0.0.1:8188/x",
        "https://10.0.0.5/x",
        "https://10.0.0.5:9200/x",
        "http://10.0.0.5:8443/x",
        "http://169.254.169.254/x",
        "http://127.0.0.1.example.com:8188/x",
    ):
        with pytest.raises(Unreachable):
            check_url(url, gateways)


def test_a_signed_address_goes_on_the_wire_as_it_is() -> None:
    url = "https://example.com/a%2Fb/c%20d?sig=a%2Fb%2B+c%3D&e=%7E'(x)"
    assert str(parse_url(url)) == url
    assert str(parse_url("https://example.com/ä b")) == "https://example.com/%C3%A4%20b"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com/{text}"):
        try:
            sent = str(parse_url(url))
        except Unreachable:
            continue
        assert sent.isascii()
        assert not any(c.isspace() or ord(c) < 32 for c in sent)


def infos(*addresses: str) -> list[AddressInfo]:
    return [
        (
            socket.AF_INET6 if ":" in address else socket.AF_INET,
            socket.SOCK_STREAM,
            6,
            "",
            (address, 443, 0, 0) if ":" in address else (address, 443),
        )
        for address in addresses
    ]


class Names:
    """A name server. Remembers in which threads it was asked."""

    def __init__(self, *addresses: str, error: Exception | None = None) -> None:
        self.addresses = addresses
        self.error = error
        self.threads: list[threading.Thread] = []

    def __call__(self, host: str, port: int, *, family: int, type: int) -> Sequence[AddressInfo]:
        self.threads.append(threading.current_thread())
        if self.error:
            raise self.error
        return infos(*self.addresses)


def test_a_public_name_is_resolved() -> None:
    names = Names("8.8.8.8", "2606:4700::1111")
    results = asyncio.run(PublicResolver(names).resolve("example.com", 443))
    assert [(r["host"], r["port"], r["family"]) for r in results] == [
        ("8.8.8.8", 443, socket.AF_INET),
        ("2606:4700::1111", 443, socket.AF_INET6),
    ]


@pytest.mark.parametrize(
    "addresses",
    [("10.0.0.1",), ("8.8.8.8", "169.254.169.254"), ("8.8.8.8", "::1"), ("fe80::1%eth0",)],
)
def test_one_address_that_is_not_public_refuses_the_name(addresses: tuple[str, ...]) -> None:
    names = Names(*addresses)
    with pytest.raises(AddressRefused):
        asyncio.run(PublicResolver(names).resolve("rebound.example.com", 443))
    plain = asyncio.run(PlainResolver(names).resolve("gateway.corp", 443))
    assert [result["host"] for result in plain] == list(addresses)


def test_a_lookup_is_a_thread_that_ends() -> None:
    names = Names("8.8.8.8")

    async def look() -> None:
        await PublicResolver(names).resolve("example.com")
        names.threads[0].join(1)
        assert names.threads[0] not in threading.enumerate()

    asyncio.run(look())
    assert names.threads[0] is not threading.main_thread()


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), UnicodeError("label too long")])
def test_a_name_that_cannot_be_resolved_is_an_os_error(error: Exception) -> None:
    with pytest.raises(OSError, match="unknown|no name"):
        asyncio.run(PlainResolver(Names(error=error)).resolve("nowhere.example"))


def test_a_cancelled_lookup_is_not_waited_for() -> None:
    answer = threading.Event()

    async def look() -> float:
        clock = asyncio.get_running_loop().time
        task = asyncio.ensure_future(in_own_thread(lambda: answer.wait(5)))
        await asyncio.sleep(0.01)
        started = clock()
        task.cancel()
        await asyncio.wait({task})
        return clock() - started

    assert asyncio.run(look()) < 0.1
    answer.set()  # the loop is closed by now: the late answer goes nowhere, quietly


GATEWAY = Base.of("https://Gateway.example/fal/queue/")


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        ("https://gateway.example/fal/queue/a/b", "/a/b"),
        ("https://GATEWAY.example:443/fal/queue/a?x=%2F&y", "/a?x=%2F&y"),
        ("https://gateway.example/fal/queue", ""),
        ("https://gateway.example/fal/queue?x", "?x"),
        ("https://gateway.example/fal/queue/%41", "/%41"),
        ("https://gateway.example/fal/queue/a..b/...", "/a..b/..."),
        ("https://gateway.example/fal/queues/a", None),
        ("https://gateway.example/fal", None),
        ("https://gateway.example/", None),
        ("http://gateway.example/fal/queue/a", None),
        ("https://gateway.example:8443/fal/queue/a", None),
        ("https://gateway.example.evil/fal/queue/a", None),
        ("https://evil/https://gateway.example/fal/queue/a", None),
        ("https://user@gateway.example/fal/queue/a", None),
        ("https://gateway.example@evil/fal/queue/a", None),
        ("https://evil\\@gateway.example/fal/queue/a", None),
        ("https://gateway.example/fal/queue/../../other", None),
        ("https://gateway.example/fal/queue/%2e%2e/%2E%2e/other", None),
        ("https://gateway.example/fal/queue/%252e%252e/other", None),
        ("https://gateway.example/fal/queue/..;/other", None),
        ("https://gateway.example/fal/queue/..%2fother", None),
        ("https://gateway.example/fal/queue/./a", None),
        ("not a url", None),
    ],
)
def test_what_lies_on_the_providers_server(url: str, rest: str | None) -> None:
    assert GATEWAY.rest_of(url) == rest


def test_a_base_must_be_an_address() -> None:
    with pytest.raises(BadOption, match="https://gateway"):
        Base.of("https://a b/")


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        ("data:image/png;base64,AAECAw==", b"\0\1\2\3"),
        ("data:image/png;base64,AAECAw", b"\0\1\2\3"),
        ("DATA:;base64,AAEC%0AAw%3D%3D", b"\0\1\2\3"),
        ("data:image/png;charset=x;BASE64,-_8=", b"\xfb\xff"),
        ("data:,a%20b", b"a b"),
        ("data:text/plain,", b""),
    ],
)
def test_data_uris(uri: str, data: bytes) -> None:
    assert decode_data_uri(uri, 4) == data


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/png;base64",
        "data:image/png;base64,A",
        "data:image/png;base64,AA!!",
        "data:image/png;base64,ää",
        "data:image/png;base64," + base64.b64encode(bytes(5)).decode(),
        "data:,12345",
        "data:," + "x" * 1000,
    ],
)
def test_damaged_or_large_data_uris(uri: str) -> None:
    with pytest.raises(Unreachable, match="data URI"):
        decode_data_uri(uri, 4)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_proxies_by_the_usual_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = URL("https://queue.fal.run/x")
    assert proxy_for(outside) is None
    monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
    found = proxy_for(outside)
    assert found is not None
    assert str(found.url) == "http://all.example:1"
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    found = proxy_for(outside)
    assert found is not None
    assert str(found.url) == "http://proxy.example:3128"
    assert not found.headers
    for inside in ("http://127.0.0.1:1/", "http://localhost/", "http://[::1]:8/"):
        assert proxy_for(URL(inside)) is None
    monkeypatch.setenv("NO_PROXY", "example.com,.fal.run")
    assert proxy_for(outside) is None
    assert proxy_for(URL("https://api.replicate.com/")) is not None


def test_the_account_of_a_proxy_goes_into_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://us%40er:p%3Aw@proxy.example:3128")
    found = proxy_for(URL("https://queue.fal.run/x"))
    assert found is not None
    assert str(found.url) == "http://proxy.example:3128"
    token = found.headers["Proxy-Authorization"].removeprefix("Basic ")
    assert base64.b64decode(token) == b"us@er:p:w"
    assert token not in repr(found)


@pytest.mark.parametrize("text", ["socks5://127.0.0.1:1080", "http://", "http://[x"])
def test_a_proxy_that_cannot_be_used_is_said(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", text)
    with pytest.raises(OSError, match="HTTPS_PROXY or ALL_PROXY"):
        proxy_for(URL("https://queue.fal.run/x"))
