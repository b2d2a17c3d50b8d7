"""A transport under test, and what its servers answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from rmbg_nodes.backends.hosted.http.rate_limits import RateLimits
from rmbg_nodes.backends.hosted.http.redact import Redactor
from rmbg_nodes.backends.hosted.http.resolver import AddressInfo
from rmbg_nodes.backends.hosted.http.retry import Backoff
from rmbg_nodes.backends.hosted.http.runtime import Runtime
from rmbg_nodes.backends.hosted.http.transport import Transport
from rmbg_nodes.backends.hosted.http.wire import Answer, Call, SendState

from .loopback import Line, Script

SENTINEL = "sentinel-key-5up3r-s3cr3t"
KEY = {"Authorization": f"Key {SENTINEL}"}
OFFICIAL = "https://queue.provider.example"


def lookup(host: str, port: int, *, family: int, type: int) -> Sequence[AddressInfo]:
    """No test asks a real name server."""
    addresses = {
        "localhost": "127.0.0.1",
        "rebound.example.com": "10.0.0.1",
        "slow.example.com": "127.0.0.1",
    }
    if host == "slow.example.com":
        time.sleep(0.3)
    if host not in addresses:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[host], port))]


class Client:
    """A transport driven from the test's thread."""

    def __init__(self, runtime: Runtime, base: str, **more: object) -> None:
        self.runtime = runtime
        self.rate_limits = RateLimits(in_flight=8, requests_a_minute=60_000, pictures=8)
        settings: dict[str, object] = {"backoff": Backoff(0.01, 0.02), "read_seconds": 5.0, **more}
        self.transport = Transport(
            runtime,
            self.rate_limits,
            {"queue": base},
            {"queue": OFFICIAL},
            KEY,
            Redactor([SENTINEL]),
            **settings,  # type: ignore[arg-type]
        )
        self.base = base

    def submit(self, data: str = "x", departure: SendState | None = None) -> Answer:
        call = Call("POST", f"{self.base}/submit", data={"image": data})
        return self.runtime.start(self.transport.submit(call, departure)).result(20)

    def ask(self, path: str = "/status") -> Answer:
        call = Call("GET", f"{self.base}{path}")
        return self.runtime.start(self.transport.ask(call)).result(20)

    def download(self, url: str, most: int = 1000) -> bytes:
        return self.runtime.start(self.transport.download(url, most)).result(20)


def script(*answers: bytes | Script) -> Script:
    """These, one after another; the last for ever."""
    left = list(answers)

    async def answer(line: Line) -> bytes | None:
        current = left.pop(0) if len(left) > 1 else left[0]
        return current if isinstance(current, bytes) else await current(line)

    return answer


async def reset(line: Line) -> None:
    line.reset()


async def close(line: Line) -> None:
    return None


async def silence(line: Line) -> None:
    await line.silence()


def drip(data: bytes, seconds: float = 0.02) -> Script:
    async def answer(line: Line) -> None:
        await line.drip(data, seconds)

    return answer


def text_of(error: BaseException) -> str:
    """Everything that a traceback of this error would show."""
    seen: list[str] = []
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is not None:
            seen += [str(current), repr(current), repr(vars(current))]
            todo += [current.__cause__, current.__context__]
    return " ".join(seen)
