"""The door to the network, on real sockets: what is repeated, who gets the key, what is said."""

# Pins the inside of backends.hosted.http.rate_limits
# Pins the inside of backends.hosted.http.resolver
# Pins the inside of backends.hosted.http.retry
# Pins the inside of backends.hosted.http.runtime
# Pins the inside of backends.hosted.http.wire

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate

import pytest

from rmbg_nodes.backends.hosted.http.rate_limits import TokenBucket
from rmbg_nodes.backends.hosted.http.resolver import AddressInfo
from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.runtime import Runtime
from rmbg_nodes.backends.hosted.http.wire import (
    AnswerLost,
    Call,
    NotSent,
    SendState,
    Unreachable,
    Upload,
)
from rmbg_nodes.core.errors import Offline
from rmbg_nodes.tests.support.clients import (
    OFFICIAL,
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
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _no_key_in_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert SENTINEL not in caplog.text


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    made = Runtime(lookup)
    yield made
    made.close()


# Submits


def test_a_submit_carries_body_key_and_name(runtime: Runtime) -> None:
    with Loopback(script(http(202, b'{"request_id": "r1"}', {"X-Id": "7"}))) as server:
        departure = SendState()
        answer = Client(runtime, server.url).submit("ü" * 100, departure)
    assert (answer.status, answer.headers["x-id"]) == (202, "7")
    assert answer.data() == {"request_id": "r1"}
    (heard,) = server.heard
    assert (heard.method, heard.target) == ("POST", "/submit")
    assert heard.headers["authorization"] == f"Key {SENTINEL}"
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["user-agent"].startswith("rmbg-nodes/")
    assert "github.com/rmbg-nodes" in heard.headers["user-agent"]
    assert "transfer-encoding" not in heard.headers
    assert b"\\u00fc" in heard.body


def test_a_large_body_arrives_whole_and_without_a_thread(runtime: Runtime) -> None:
    with Loopback(script(http(200))) as server:
        Client(runtime, server.url).submit("x" * 5_000_000)
        names = {thread.name for thread in threading.enumerate()}
    assert len(server.heard[0].body) == 5_000_000 + len('{"image": ""}')
    assert not any(name.startswith("asyncio") for name in names)


def test_every_submit_has_a_connection_of_its_own(runtime: Runtime) -> None:
    with Loopback(script(http(200))) as server:
        client = Client(runtime, server.url)
        for _ in range(3):
            client.submit()
        assert [heard.connection for heard in server.heard] == [1, 2, 3]
        for _ in range(3):
            client.ask()
    assert [heard.connection for heard in server.heard[3:]] == [4, 4, 4]


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 402, 403, 408, 413, 422, 500, 503])
def test_a_submit_is_answered_once_whatever_the_status(runtime: Runtime, status: int) -> None:
    with Loopback(script(http(status, b'{"detail": "x"}', {"Location": "/other"}))) as server:
        answer = Client(runtime, server.url).submit()
    assert answer.status == status
    assert len(server.heard) == 1


BROKEN: dict[str, Script | bytes] = {
    "reset": reset,
    "closed": close,
    "silent": silence,
    "half a head": b"HTTP/1.1 20",
    "half a body": http(200, b'{"request_id": "r', length=100),
    "dripping": drip(http(200, b" " * 200), 0.1),
    "no http": b"220 mail.example ESMTP\r\n\r\n",
    "too large": http(200, b"x", length=9_000_000),
    "bad gzip": http(200, b"nonsense", {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_submit_whose_answer_is_lost_is_never_repeated(runtime: Runtime, kind: str) -> None:
    async def answer_and_close(line: Line) -> None:
        broken = BROKEN[kind]
        if isinstance(broken, bytes):
            await line.send(broken)
        else:
            await broken(line)

    with Loopback(answer_and_close) as server:
        client = Client(runtime, server.url, submit_seconds=0.5, connect_seconds=0.5)
        started = time.monotonic()
        with pytest.raises(AnswerLost) as caught:
            client.submit()
        assert time.monotonic() - started < 1.5
        time.sleep(0.05)
    assert len(server.heard) == 1
    assert server.connections == 1
    assert SENTINEL not in text_of(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    ("retry_after", "least"),
    [
        ("0.3", 0.3),
        ("1", 1.0),
        ("skewed date", 1.0),
        ("soon", 0.0),
        ("-5", 0.0),
        (None, 0.0),
    ],
)
def test_a_throttled_submit_is_sent_again_when_the_server_says(
    runtime: Runtime, retry_after: str | None, least: float
) -> None:
    now = 1_770_000_000
    headers = {"Date": formatdate(now, usegmt=True)}
    if retry_after is not None:
        skewed = retry_after == "skewed date"
        headers["Retry-After"] = formatdate(now + 1, usegmt=True) if skewed else retry_after
    departure = SendState()
    with Loopback(script(http(429, b"{}", headers), http(200))) as server:
        started = time.monotonic()
        assert Client(runtime, server.url).submit(departure=departure).status == 200
        took = time.monotonic() - started
    assert least <= took < least + 0.5
    assert len(server.heard) == 2


def test_a_submit_that_is_throttled_for_ever_was_not_sent(runtime: Runtime) -> None:
    with Loopback(script(http(429, b'{"key": "' + SENTINEL.encode() + b'"}'))) as server:
        client = Client(runtime, server.url, again_seconds=0.4)
        departure = SendState()
        with pytest.raises(NotSent, match=r"127\.0\.0\.1 answered 429 Too Many Requests") as caught:
            client.submit(departure=departure)
    assert len(server.heard) > 5
    assert not departure.under_way
    assert SENTINEL not in text_of(caught.value)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_submit_waits_for_a_port_that_opens_later(runtime: Runtime) -> None:
    port = free_port()
    client = Client(runtime, f"http://127.0.0.1:{port}", backoff=Backoff(0.2, 0.2))
    call = Call("POST", f"{client.base}/submit", data={})
    future = runtime.start(client.transport.submit(call))
    time.sleep(0.15)
    with Loopback(script(http(200)), port=port) as server:
        assert future.result(5).status == 200
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("http://127.0.0.1:1", r"127\.0\.0\.1: no connection could be made \(refused\)"),
        ("https://nowhere.example", r"its name cannot be resolved \(Name or service not known\)"),
        ("https://127.0.0.1:PORT", "no TLS connection could be made"),
    ],
)
def test_what_cannot_be_connected_was_not_sent(runtime: Runtime, base: str, reason: str) -> None:
    with Loopback(script(close), greeting=b"220 mail.example ESMTP\r\n") as server:
        client = Client(runtime, base.replace("PORT", str(server.port)))
        departure = SendState()
        with pytest.raises(NotSent, match=reason) as caught:
            client.submit(departure=departure)
    assert not departure.under_way
    assert not server.heard
    assert SENTINEL not in text_of(caught.value)


def test_reasons_are_redacted() -> None:
    def leak(host: str, port: int, *, family: int, type: int) -> Sequence[AddressInfo]:
        raise socket.gaierror(-2, f"no name for {SENTINEL}")

    leaking = Runtime(leak)
    client = Client(leaking, "https://queue.example.org", backoff=Backoff(0.001, 0.001))
    for request, kind in ((client.submit, NotSent), (client.ask, Unreachable)):
        with pytest.raises(kind, match=r"no name for \[key\]") as caught:
            request()
        assert SENTINEL not in text_of(caught.value)
    leaking.close()


def test_a_handshake_that_never_ends_was_not_sent(runtime: Runtime) -> None:
    with Loopback(script(close), speaks=False) as server:
        base = f"https://127.0.0.1:{server.port}"
        client = Client(runtime, base, connect_seconds=0.1, again_seconds=0.3)
        with pytest.raises(NotSent, match="did not accept a connection in time"):
            client.submit()


def test_a_departure_says_when_cancelling_is_free(runtime: Runtime) -> None:
    """While a throttled submit waits nothing is under way; while its answer is awaited, it is."""
    throttled = http(429, b"{}", {"Retry-After": "0.3"})
    with Loopback(script(throttled, silence)) as server:
        client, departure = Client(runtime, server.url), SendState()
        call = Call("POST", f"{client.base}/submit", data={})
        future = runtime.start(client.transport.submit(call, departure))
        wait_for(lambda: len(server.heard) == 1)
        time.sleep(0.1)
        assert not departure.under_way
        wait_for(lambda: len(server.heard) == 2)
        assert departure.under_way
        future.cancel()
        time.sleep(0.05)
        assert departure.under_way


def test_nothing_is_submitted_or_asked_elsewhere(runtime: Runtime) -> None:
    with Loopback(script(http(200))) as server:
        client = Client(runtime, f"{server.url}/prefix")
        for url in (f"{server.url}/other", f"{server.url}/prefix/../other", "https://8.8.8.8/x"):
            with pytest.raises(NotSent, match="not on the provider's servers"):
                runtime.start(client.transport.submit(Call("POST", url))).result(5)
            with pytest.raises(Unreachable, match="not on the provider's servers"):
                runtime.start(client.transport.ask(Call("GET", url))).result(5)
        assert client.ask().status == 200
    assert [heard.target for heard in server.heard] == ["/prefix/status"]


# Asking


@pytest.mark.parametrize(
    "trouble",
    [
        http(500),
        http(503, b"<html>"),
        http(408),
        http(429),
        http(200, b"<html>OK</html>"),
        http(200, b""),
        http(200, b"[1]"),
        http(200, b'{"a', length=50),
        b"nonsense\r\n\r\n",
        reset,
        close,
    ],
)
def test_a_poll_is_repeated_until_it_makes_sense(runtime: Runtime, trouble: Script | bytes) -> None:
    async def first(line: Line) -> None:
        if isinstance(trouble, bytes):
            await line.send(trouble)
        else:
            await trouble(line)

    with Loopback(script(first, first, first, http(200, b'{"status": "done"}'))) as server:
        assert Client(runtime, server.url).ask().data() == {"status": "done"}
    assert len(server.heard) == 4


@pytest.mark.parametrize("status", [202, 204, 301, 400, 401, 404, 410, 422])
def test_other_answers_are_answers(runtime: Runtime, status: int) -> None:
    body = b"" if status == 204 else b"not json"
    with Loopback(script(http(status, body, {"Location": "http://127.0.0.1:1/"}))) as server:
        answer = Client(runtime, server.url).ask()
    assert (answer.status, answer.body) == (status, body)
    assert len(server.heard) == 1


def test_a_poll_gives_up_after_eight_failures(runtime: Runtime) -> None:
    with (
        Loopback(script(http(503, SENTINEL.encode()))) as server,
        pytest.raises(Unreachable, match=r"answered 503 Service Unavailable") as caught,
    ):
        Client(runtime, server.url).ask()
    assert caught.value.status == 503
    assert len(server.heard) == 8
    assert SENTINEL not in text_of(caught.value)


def test_a_silent_poll_is_asked_again(runtime: Runtime) -> None:
    with Loopback(script(silence, http(200, b'{"a": 1}'))) as server:
        assert Client(runtime, server.url, read_seconds=0.2).ask().data() == {"a": 1}
    assert len(server.heard) == 2


def test_a_compressed_answer_is_understood(runtime: Runtime) -> None:
    import gzip

    packed = gzip.compress(b'{"a": 1}')
    with Loopback(script(http(200, packed, {"Content-Encoding": "gzip"}))) as server:
        assert Client(runtime, server.url).ask().data() == {"a": 1}
    assert server.heard[0].headers["accept-encoding"] == "identity"


def test_cookies_are_not_kept(runtime: Runtime) -> None:
    with Loopback(script(http(200, b"{}", {"Set-Cookie": "a=b"}))) as server:
        client = Client(runtime, server.url)
        client.ask()
        client.ask()
    assert "cookie" not in server.heard[1].headers


def test_every_call_takes_a_turn_and_a_file_does_not(runtime: Runtime) -> None:
    with Loopback(script(http(503), http(200))) as server:
        client = Client(runtime, f"{server.url}/queue")
        turns = 0
        turn = client.rate_limits.pace.turn

        async def counted() -> None:
            nonlocal turns
            turns += 1
            await turn()

        client.rate_limits.pace.turn = counted  # type: ignore[method-assign]
        client.ask()
        assert turns == 2
        client.submit()
        assert turns == 3
        put = Call("PUT", f"{client.base}/upload", content=b"x")
        runtime.start(client.transport.put(put)).result(5)
        assert turns == 4
        client.download(f"{server.url}/file")
        assert turns == 4
        put = Call("PUT", f"{server.url}/storage", content=b"x")
        runtime.start(client.transport.put(put)).result(5)
        assert turns == 4


# Uploads


def test_a_form_holds_the_file(runtime: Runtime) -> None:
    content = bytes(range(256)) * 10
    upload = Upload("content", "picture.png", "image/png", content)
    with Loopback(script(http(201))) as server:
        client = Client(runtime, server.url)
        call = Call("POST", f"{server.url}/v1/files", upload=upload)
        assert runtime.start(client.transport.ask(call)).result(5).status == 201
    (heard,) = server.heard
    boundary = heard.headers["content-type"].partition("boundary=")[2].encode()
    part = heard.body.split(b"--" + boundary)[1]
    head, _, rest = part.partition(b"\r\n\r\n")
    assert b'form-data; name="content"; filename="picture.png"' in head
    assert b"Content-Type: image/png" in head
    assert rest == content + b"\r\n"
    assert heard.body.endswith(b"--" + boundary + b"--\r\n")


def test_a_put_brings_the_file_without_the_key_and_is_repeated_whole(runtime: Runtime) -> None:
    content = bytes(200_000)
    with Loopback(script(http(200), reset, http(500), http(200, b"<ok/>"))) as server:
        client = Client(runtime, server.url)
        call = Call(
            "PUT", f"{server.url}/up?sig=1", content=content, headers={"content-type": "image/png"}
        )
        assert runtime.start(client.transport.put(call)).result(5).status == 200
        assert runtime.start(client.transport.put(call)).result(5).body == b"<ok/>"
    assert [heard.body == content for heard in server.heard] == [True] * 4
    for heard in server.heard:
        assert heard.headers["content-type"] == "image/png"
        assert "authorization" not in heard.headers
        assert heard.target == "/up?sig=1"


def test_a_put_goes_to_public_addresses_only(runtime: Runtime) -> None:
    client = Client(runtime, "https://queue.example.org")
    with Loopback(script(http(200))) as server:
        for url in (
            f"{server.url}/up",
            f"http://localhost:{server.port}/up",
            "https://10.0.0.1/up",
            "https://rebound.example.com/up",
        ):
            call = Call("PUT", url, content=b"x")
            with pytest.raises(Unreachable, match="https|public internet"):
                runtime.start(client.transport.put(call)).result(5)
    assert server.connections == 0


# Addresses, keys, offline


def test_rebase(runtime: Runtime) -> None:
    transport = Client(runtime, "http://127.0.0.1:8080/fal").transport
    assert transport.rebase("queue", "http://127.0.0.1:8080/fal/a?b") == (
        "http://127.0.0.1:8080/fal/a?b"
    )
    assert transport.rebase("queue", f"{OFFICIAL}/a/b?c=d") == "http://127.0.0.1:8080/fal/a/b?c=d"
    assert transport.rebase("queue", f"{OFFICIAL}:443/a") == "http://127.0.0.1:8080/fal/a"
    for foreign in (
        "http://127.0.0.1:8080/falx/a",
        "http://127.0.0.1:8081/fal/a",
        "https://queue.provider.example.evil/a",
        "https://queue.provider.example@evil.example/a",
        f"{OFFICIAL}/../a",
        "nonsense",
    ):
        assert transport.rebase("queue", foreign) is None


def test_offline_opens_no_socket(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMBG_OFFLINE", "1")
    with Loopback(script(http(200))) as server:
        client = Client(runtime, server.url)
        put = Call("PUT", f"{server.url}/x", content=b"x")
        for attempt in (
            client.submit,
            client.ask,
            lambda: client.download(f"{server.url}/x"),
            lambda: runtime.start(client.transport.put(put)).result(5),
        ):
            with pytest.raises(Offline, match="RMBG_OFFLINE"):
                attempt()
        assert client.download("data:,abc") == b"abc"
    assert server.connections == 0


@pytest.mark.parametrize(
    ("variable", "name"), [("https_proxy", "localhost"), ("ALL_PROXY", "127.0.0.1")]
)
def test_a_proxy_is_asked_to_connect_and_sees_no_key(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    async def refuse(line: Line) -> bytes:
        return http(403, b"")

    with Loopback(refuse) as proxy:
        monkeypatch.setenv(variable, f"http://me:{SENTINEL}@{name}:{proxy.port}")
        client = Client(runtime, "https://queue.example.org", again_seconds=0.05)
        with pytest.raises(NotSent, match="the proxy refused to connect to it") as caught:
            client.submit()
        with pytest.raises(Unreachable, match="403 Forbidden"):
            client.ask()
        with pytest.raises(Unreachable, match="the proxy refused"):
            client.download("https://files.example.org/x.png")
        proxied = len(proxy.heard)
    assert {heard.method for heard in proxy.heard} == {"CONNECT"}
    assert {heard.target for heard in proxy.heard} == {
        "queue.example.org:443",
        "files.example.org:443",
    }
    assert all("authorization" not in heard.headers for heard in proxy.heard)
    assert all(heard.headers["proxy-authorization"].startswith("Basic ") for heard in proxy.heard)
    assert SENTINEL not in text_of(caught.value)
    with Loopback(script(http(200))) as server:
        assert Client(runtime, server.url).ask().status == 200
    assert len(proxy.heard) == proxied


def test_certificates_that_cannot_be_read_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    fresh = Runtime(lookup)
    with pytest.raises(NotSent, match="REQUESTS_CA_BUNDLE names no readable certificates"):
        Client(fresh, "https://queue.example.org").submit()
    fresh.close()


def test_the_log_names_requests_and_no_secrets(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    with Loopback(script(http(503), http(200))) as server:
        Client(runtime, server.url).ask(f"/a/{SENTINEL}/b?token={SENTINEL}")
    lines = [record.getMessage() for record in caplog.records if "hosted" in record.name]
    assert lines == [
        "GET 127.0.0.1/a/[key]/b, attempt 1: 127.0.0.1 answered 503 Service Unavailable",
        "GET 127.0.0.1/a/[key]/b, attempt 2: 127.0.0.1 answered 200 OK",
    ]


# Cancel


def wait_for(condition: Callable[[], bool], seconds: float = 2.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


PHASES = ("pace", "lookup", "handshake", "silence", "headers", "body", "back-off", "download")


@pytest.mark.parametrize("phase", PHASES)
def test_every_wait_is_cancelled_at_once(runtime: Runtime, phase: str) -> None:
    scripts: dict[str, Script] = {
        "headers": drip(http(200, b"{}", {"X": "y" * 500})),
        "body": drip(http(200, b" " * 500)),
        "back-off": script(http(503, b"", {"Retry-After": "30"})),
        "download": drip(http(200, b" " * 500)),
    }
    before = {thread.ident for thread in threading.enumerate()}
    with Loopback(scripts.get(phase, silence), speaks=phase != "handshake") as server:
        bases = {
            "lookup": "https://slow.example.com",
            "handshake": f"https://127.0.0.1:{server.port}",
        }
        client = Client(runtime, bases.get(phase, server.url))
        if phase == "pace":
            client.rate_limits.pace = TokenBucket(1)
            client.rate_limits.pace._tokens = 0.0
        wait = (
            client.transport.download(f"{server.url}/x", 1000)
            if phase == "download"
            else client.transport.ask(Call("GET", f"{client.base}/status"))
        )

        async def cancel() -> float:
            clock = asyncio.get_running_loop().time
            task = asyncio.ensure_future(wait)
            await asyncio.sleep(0.1)
            assert not task.done()
            started = clock()
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            return clock() - started

        assert runtime.start(cancel()).result(5) < 0.1
    # A name server cannot be called off: that thread ends with its answer.
    wait_for(lambda: not {thread.ident for thread in threading.enumerate()} - before)
