"""A raw HTTP server on this machine whose answers a test writes byte by byte, or never."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True)
class Heard:
    """One request. connection: the number of the connection it came on."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Line:
    """The server's end of one connection, for what an answer is not: reset, drip, silence."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: Heard

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def drip(self, data: bytes, seconds: float) -> None:
        for at in range(len(data)):
            await self.send(data[at : at + 1])
            await asyncio.sleep(seconds)

    async def silence(self) -> None:
        await asyncio.sleep(3600)

    def reset(self) -> None:
        """RST, as from a crashed gateway."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Script = Callable[[Line], Awaitable[bytes | None]]


def http(
    status: int, body: bytes = b"{}", headers: dict[str, str] | None = None, length: int | None = 0
) -> bytes:
    """An answer. length: what it announces, None nothing; 0 the truth."""
    lines = [f"HTTP/1.1 {status} Whatever"]
    announced = len(body) if length == 0 else length
    if announced is not None:
        lines.append(f"Content-Length: {announced}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Loopback:
    """script: given the connection, gives the answer's bytes, or None to close without one.
    greeting: what it says before it is asked, so that no TLS handshake succeeds. speaks: False
    never reads or answers, so that none ends."""

    def __init__(
        self,
        script: Script,
        *,
        port: int = 0,
        greeting: bytes = b"",
        speaks: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.heard: list[Heard] = []
        self.connections = 0
        self.port = port
        self._script = script
        self._greeting = greeting
        self._speaks = speaks
        self._tls = tls
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Loopback:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", self.port, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)  # for the transports to take leave

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            if not self._speaks:
                await asyncio.sleep(3600)
            writer.write(self._greeting)
            while True:
                heard = await self._hear(reader, number)
                self.heard.append(heard)
                answer = await self._script(Line(reader, writer, heard))
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, number: int) -> Heard:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Heard(method, target, headers, body, number)
