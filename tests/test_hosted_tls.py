"""TLS, with a certificate made for the test: whom the transport believes, and through a proxy."""

# Pins the inside of backends.hosted.http.retry
# Pins the inside of backends.hosted.http.runtime
# Pins the inside of backends.hosted.http.wire

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.runtime import Runtime
from rmbg_nodes.backends.hosted.http.wire import NotSent
from rmbg_nodes.tests.support.clients import SENTINEL, Client, lookup, script
from rmbg_nodes.tests.support.loopback import Line, Loopback, http

pytestmark = [pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl program")]
if sys.version_info < (3, 11):  # the server's side of asyncio's TLS is never quite closed there
    pytestmark.append(
        pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning")
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For localhost and queue.example.org, signed by itself; its key lies beside it."""
    place = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem "
        "-out cert.pem -addext subjectAltName=DNS:localhost,DNS:queue.example.org"
    )
    subprocess.run(command.split(), cwd=place, check=True, capture_output=True)
    return place / "cert.pem"


@pytest.fixture
def server(certificate: Path) -> Iterator[Loopback]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with Loopback(script(http(200, b'{"a": 1}')), tls=context) as running:
        yield running


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime(lookup)
    yield made
    made.close()


def test_a_stranger_gets_neither_picture_nor_key(runtime: Runtime, server: Loopback) -> None:
    client = Client(runtime, f"https://localhost:{server.port}", backoff=Backoff(0.001, 0.001))
    with pytest.raises(NotSent, match="certificate is not trusted .*SSL_CERT_FILE") as caught:
        client.submit()
    assert server.heard == []
    assert "self" in str(caught.value)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_users_own_certificates_are_believed(
    runtime: Runtime,
    server: Loopback,
    certificate: Path,
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, str(certificate))
    assert Client(runtime, f"https://localhost:{server.port}").ask().data() == {"a": 1}
    with pytest.raises(NotSent, match="not trusted"):  # it is not in the certificate
        Client(runtime, f"https://127.0.0.1:{server.port}", again_seconds=0.05).submit()


def test_the_key_goes_through_the_proxy_and_not_to_it(
    runtime: Runtime, server: Loopback, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def relay(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            target.write(piece)
            await target.drain()
        target.close()

    async def tunnel(line: Line) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await line.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(relay(line.reader, writer), relay(reader, line.writer))
        finally:
            writer.close()

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Loopback(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = Client(runtime, "https://queue.example.org")
        assert client.submit("x" * 300_000).data() == {"a": 1}
        assert client.ask().data() == {"a": 1}
    assert [heard.headers["authorization"] for heard in server.heard] == [f"Key {SENTINEL}"] * 2
    assert len(server.heard[0].body) > 300_000
    assert {heard.target for heard in proxy.heard} == {"queue.example.org:443"}
    assert SENTINEL not in str(proxy.heard)
