"""Results: fetched from public addresses only, without the key, and no more than expected."""

# Pins the inside of backends.hosted.http.retry
# Pins the inside of backends.hosted.http.runtime
# Pins the inside of backends.hosted.http.wire

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterator

import pytest

from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.runtime import Runtime
from rmbg_nodes.backends.hosted.http.wire import Call, Unreachable
from rmbg_nodes.tests.support.clients import (
    SENTINEL,
    Client,
    close,
    drip,
    lookup,
    reset,
    script,
    silence,
    text_of,
)
from rmbg_nodes.tests.support.loopback import Line, Loopback, Script, http


@pytest.fixture(autouse=True)
def _surroundings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    caplog.set_level(logging.DEBUG)
    yield
    assert SENTINEL not in caplog.text
    assert "sig=" not in caplog.text


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    made = Runtime(lookup)
    yield made
    made.close()


def test_a_file_comes_as_it_is_and_without_the_key(runtime: Runtime) -> None:
    body = bytes(range(256)) * 3
    target = "/a%2Fb.png?sig=x%2Fy%2B+z&e=%7E'"
    with Loopback(script(http(200, body, {"Content-Encoding": "gzip"}))) as server:
        assert Client(runtime, server.url).download(server.url + target) == body
    (heard,) = server.heard
    assert heard.target == target
    assert heard.headers["accept-encoding"] == "identity"
    assert SENTINEL not in str(heard.headers)
    assert heard.headers["user-agent"].startswith("rmbg-nodes/")


def test_a_body_without_a_length_ends_with_the_connection(runtime: Runtime) -> None:
    async def answer(line: Line) -> None:
        await line.send(http(200, b"abc", length=None))

    with Loopback(answer) as server:
        assert Client(runtime, server.url).download(f"{server.url}/x") == b"abc"


@pytest.mark.parametrize(
    "trouble",
    [
        http(500),
        http(503, b"", {"Retry-After": "0.02"}),
        http(408),
        http(429),
        http(200, b"abc", length=50),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"nonsense\r\n\r\n",
        reset,
        close,
    ],
)
def test_a_broken_file_is_fetched_again(runtime: Runtime, trouble: Script | bytes) -> None:
    async def first(line: Line) -> None:
        if isinstance(trouble, bytes):
            await line.send(trouble)
        else:
            await trouble(line)

    with Loopback(script(first, first, first, http(200, b"whole"))) as server:
        assert Client(runtime, server.url).download(f"{server.url}/x") == b"whole"
    assert len(server.heard) >= 4  # aiohttp itself asks once more when a kept connection breaks


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 403, 404, 410, 451])
def test_other_statuses_are_final(runtime: Runtime, status: int) -> None:
    body = b"" if status in (204, 304) else SENTINEL.encode()
    with (
        Loopback(script(http(status, body))) as server,
        pytest.raises(Unreachable, match=f"answered {status}") as caught,
    ):
        Client(runtime, server.url).download(f"{server.url}/x?sig={SENTINEL}")
    assert caught.value.status == status
    assert len(server.heard) == 1
    assert SENTINEL not in text_of(caught.value)


def test_it_gives_up_after_five_failures(runtime: Runtime) -> None:
    with (
        Loopback(script(http(502))) as server,
        pytest.raises(Unreachable, match="502 Bad Gateway") as caught,
    ):
        Client(runtime, server.url).download(f"{server.url}/x")
    assert caught.value.status == 502
    assert len(server.heard) == 5


async def endless(line: Line) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await line.send(b"8000\r\n" + bytes(0x8000) + b"\r\n")


async def with_a_lie(line: Line) -> None:
    await line.send(http(200, b"x" * 200, length=None))


@pytest.mark.parametrize(
    "large", [http(200, b"x" * 101), http(200, b"x", length=10**12), endless, with_a_lie]
)
def test_no_more_than_expected_is_read(runtime: Runtime, large: Script | bytes) -> None:
    with Loopback(script(large)) as server:
        with pytest.raises(Unreachable, match="larger than the 100 bytes expected"):
            Client(runtime, server.url).download(f"{server.url}/x", 100)
        assert len(server.heard) == 1
        if isinstance(large, bytes) and len(large) > 200:
            assert Client(runtime, server.url).download(f"{server.url}/x", 101) == b"x" * 101


def test_a_drip_is_given_up(runtime: Runtime) -> None:
    with Loopback(drip(http(200, b"x" * 500), 0.01)) as server:
        client = Client(runtime, server.url, read_seconds=0.2, again_seconds=0.1)
        started = time.monotonic()
        with pytest.raises(Unreachable, match="comes too slowly|in time"):
            client.download(f"{server.url}/x")
        assert time.monotonic() - started < 2.5


def test_silence_is_given_up(runtime: Runtime) -> None:
    with Loopback(silence) as server:
        client = Client(runtime, server.url, read_seconds=0.05, backoff=Backoff(0.01, 0.01))
        with pytest.raises(Unreachable, match="did not answer in time"):
            client.download(f"{server.url}/x")
    assert len(server.heard) == 5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_without_the_key(runtime: Runtime, status: int) -> None:
    steps = [http(status, b"", {"Location": to}) for to in ("b", "/y?sig=1")]
    with Loopback(script(*steps, http(200, b"there"))) as at:
        assert Client(runtime, at.url).download(f"{at.url}/a/x?sig=0") == b"there"
    assert [heard.target for heard in at.heard] == ["/a/x?sig=0", "/a/b", "/y?sig=1"]
    assert SENTINEL not in str(at.heard)


def test_another_port_of_the_gateways_machine_is_never_asked(runtime: Runtime) -> None:
    with Loopback(script(http(200, b"a database's answer"))) as other:
        with Loopback(script(http(302, b"", {"Location": f"{other.url}/_all_docs"}))) as gateway:
            client = Client(runtime, gateway.url)
            for url in (f"{other.url}/_all_docs", f"{gateway.url}/x"):
                with pytest.raises(Unreachable):
                    client.download(url)
            put = client.transport.put(Call("PUT", f"{other.url}/y", content=b"x"))
            with pytest.raises(Unreachable):
                runtime.start(put).result(20)
        assert other.heard == []
    assert len(gateway.heard) == 1


def test_five_redirects_are_enough(runtime: Runtime) -> None:
    on = http(302, b"", {"Location": "/on"})
    with Loopback(script(on, on, on, on, on, http(200, b"x"))) as server:
        assert Client(runtime, server.url).download(f"{server.url}/x") == b"x"
    with Loopback(script(on)) as server, pytest.raises(Unreachable, match="without end"):
        Client(runtime, server.url).download(f"{server.url}/x")
    assert len(server.heard) == 6


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "http://example.com/",
        "https://localhost/",
        "https://rebound.example.com/",
        "file:///etc/passwd",
        "//169.254.169.254/",
        "https://user:pass@example.com/",
        "https://[",
        "",
    ],
)
def test_redirects_lead_nowhere_inside(runtime: Runtime, location: str) -> None:
    headers = {"Location": location} if location else {}
    with Loopback(script(http(302, b"", headers))) as server, pytest.raises(Unreachable):
        Client(runtime, server.url).download(f"{server.url}/x")
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/x", "https://127.0.0.1/x", "https://10.0.0.1/x", "ftp://example.com/"],
)
def test_without_a_configured_loopback_none_is_asked(runtime: Runtime, url: str) -> None:
    with pytest.raises(Unreachable):
        Client(runtime, "https://queue.example.org").download(url)


def test_a_name_that_leads_inside_is_refused_at_once(runtime: Runtime) -> None:
    client = Client(runtime, "https://queue.example.org", backoff=Backoff(5, 5))
    started = time.monotonic()
    with pytest.raises(Unreachable, match="not on the public internet"):
        client.download("https://rebound.example.com/x")
    assert time.monotonic() - started < 1


def test_data_uris_need_no_network(runtime: Runtime) -> None:
    client = Client(runtime, "https://queue.example.org")
    uri = "data:image/png;base64," + base64.b64encode(bytes(90)).decode()
    assert client.download(uri, 90) == bytes(90)
    with pytest.raises(Unreachable, match="more than the 89 bytes"):
        client.download(uri, 89)
