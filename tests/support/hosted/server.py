"""A provider on this machine: its HTTP contract, jobs and bills, and what goes wrong on request.

    with HostedServer("fal", seconds=0.1) as server:
        server.plan(Fault("submit", "reset after work"))
        ... a client with server.environment() ...
        assert server.bills == 1

It runs in its own thread with its own loop; or as a process that outlives its clients:

    python -m rmbg_nodes.tests.support.hosted.server fal --port 0 --seconds 0.05

which prints its address, shows its books as JSON at GET /_records and takes faults, a JSON list of
the fields of Fault, at POST /_plan.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any

from aiohttp import web

from .bria import Bria
from .comfy import Comfy
from .fal import Fal
from .faults import WAY, Fault, Plan, Step
from .pictures import Variant, answer_file
from .records import Books, Job, Request
from .replicate import Replicate
from .speech import Handler, Speech
from .striking import Striker, answer_of
from .videos import VideoAnswer, VideoBria, VideoComfy, VideoFal, cut_out

#: The words of each provider: a new one is a file beside this one and a row here.
SPEECHES: dict[str, type[Speech]] = {
    "bria": Bria,
    "fal": Fal,
    "replicate": Replicate,
    "comfy": Comfy,
}
#: The same, of those whose models take whole videos.
VIDEO_SPEECHES: dict[str, type[Speech]] = {
    "bria": VideoBria,
    "fal": VideoFal,
    "comfy": VideoComfy,
}
_MOST = 256 * 2**20
Twist = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
#: What a twisted answer has under this name is its header.
JOB_HEADER = "x-fal-request-id"
# Larger bodies are counted, not kept.
_KEPT_BODY = 262_144


class HostedServer:
    """seconds, queue_seconds: of a job; may be changed while it runs. variant: what the result file
    is like. per_minute: more requests in any `window` seconds get a 429. official: URLs in answers
    name the provider's own hosts, as behind a gateway. port 0: any free one. videos: its models
    take videos, not pictures."""

    def __init__(
        self,
        provider: str,
        *,
        seconds: float = 0.0,
        queue_seconds: float = 0.0,
        variant: Variant = "rgba",
        key: str = "loopback-key-0123456789",
        per_minute: int | None = None,
        window: float = 60.0,
        official: bool = False,
        port: int = 0,
        videos: bool = False,
    ) -> None:
        self.provider = provider
        self.variant = variant
        self.key = key
        self.per_minute = per_minute
        self.window = window
        self.official = official
        self.records = Books(seconds, queue_seconds)
        #: Given the step and the JSON of an honest answer: what is answered instead.
        self.twist: Twist | None = None
        self._port = port
        self._plan = Plan()
        self._striker: Striker
        #: Given a video and the codec that was asked for: what is made of it. Blocks.
        self.video_answer: VideoAnswer = cut_out
        self._speech = (VIDEO_SPEECHES if videos else SPEECHES)[provider](self)
        self._recent: list[float] = []
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> HostedServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; returns when requests can come."""
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(),), name="hosted-server", daemon=True
        )
        self._thread.start()
        self._ready.wait(10)
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        """End every connection, those that hang too."""
        if self._loop and self._stopping and self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def steps(self) -> tuple[Step, ...]:
        """What can go wrong on the way of one picture here, in order."""
        served = {"download", *(route.step for route in self._speech.routes())}
        return tuple(step for step in WAY if step in served)

    @property
    def speech(self) -> Speech:
        """The provider's words, with what can be switched about them."""
        return self._speech

    def environment(self) -> dict[str, str]:
        """The addresses and the key, as environment variables of this package."""
        return self._speech.environment()

    def plan(self, *faults: Fault) -> None:
        """Let these go wrong from now on."""
        self._plan.add(faults)

    def mend(self) -> None:
        """From now on nothing goes wrong."""
        self._plan = Plan()

    @property
    def seconds(self) -> float:
        return self.records.seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self.records.seconds = seconds

    @property
    def requests(self) -> list[Request]:
        """Every request so far, downloads and uploads among them."""
        return self.records.requests

    @property
    def jobs(self) -> dict[str, Job]:
        return self.records.jobs

    @property
    def kept(self) -> dict[str, list[str]]:
        """Key -> ids of its jobs."""
        return self.records.kept

    @property
    def bills(self) -> int:
        return self.records.bills

    @property
    def complaints(self) -> list[str]:
        """What no honest client sends."""
        return self.records.complaints

    @property
    def notes(self) -> list[str]:
        """What is allowed, and what our own client does not do."""
        return self.records.notes

    @property
    def in_flight_peak(self) -> int:
        return self.records.in_flight_peak

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._striker = Striker(self._speech, self._stopping)
        app = web.Application(client_max_size=_MOST)
        for route in self._speech.routes():
            app.router.add_route(route.method, route.path, partial(self._api, route))
        app.router.add_get("/files/{id}.{suffix}", self._file)
        app.router.add_get("/_records", self._show)
        app.router.add_post("/_plan", self._take_plan)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._port))
            self._port = listener.getsockname()[1]
            await web.SockSite(runner, listener).start()
        except OSError as error:
            self._failure = error
            self._stopping.set()
        self._ready.set()
        await self._stopping.wait()
        await runner.cleanup()
        listener.close()

    async def _api(self, route: Any, request: web.Request) -> web.StreamResponse:
        await self._note(request, route.step)
        if self._over_limit():
            left = self.window - (time.monotonic() - self._recent[0])
            return self._speech.limited(
                "Request was throttled.", {"Retry-After": str(int(left) + 1)}
            )
        if route.method == "PUT" and route.step == "upload":
            self._expect_no_key(request)
        return await self._with_fault(route.step, route.handler, request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        await self._note(request, "download")
        self._expect_no_key(request)
        return await self._with_fault("download", self._result_file, request)

    async def _result_file(self, request: web.Request) -> web.Response:
        job = self.records.jobs.get(request.match_info["id"])
        if job is None or job.state != "done":
            return web.Response(status=404, text="<Error>NoSuchKey</Error>")
        if job.file is None:
            job.file = answer_file(job.levels, self.variant)
        return web.Response(body=job.file[0], content_type=job.file[1])

    async def _with_fault(
        self, step: str, handler: Handler, request: web.Request
    ) -> web.StreamResponse:
        fault = self._plan.next(step)
        if fault is not None:
            return await self._striker.strike(fault, handler, request)
        answer = await answer_of(self._speech, handler, request)
        if self.twist is not None and answer.content_type == "application/json":
            assert isinstance(answer.body, bytes)
            said = await self.twist(step, json.loads(answer.body))
            headers = {} if JOB_HEADER not in said else {JOB_HEADER: said.pop(JOB_HEADER)}
            return web.json_response(said, status=answer.status, headers=headers)
        return answer

    async def _note(self, request: web.Request, step: Step) -> None:
        body = await request.read()
        headers = dict(request.headers)
        self.records.requests.append(
            Request(
                time.time(),
                request.method,
                request.raw_path,
                headers,
                len(body),
                body if len(body) <= _KEPT_BODY else b"",
                step,
            )
        )

    def _expect_no_key(self, request: web.Request) -> None:
        named = {name.lower() for name in request.headers}
        if named & {"authorization", "api_token", "x-api-key"} or self.key in str(request.headers):
            self._speech.complain(request, "the key was sent to a file's address")

    def _over_limit(self) -> bool:
        if self.per_minute is None:
            return False
        now = time.monotonic()
        self._recent = [at for at in self._recent if now - at < self.window]
        if len(self._recent) >= self.per_minute:
            return True
        self._recent.append(now)
        return False

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(self.records.summary())

    async def _take_plan(self, request: web.Request) -> web.Response:
        self.plan(*(Fault(**fields) for fields in await request.json()))
        return web.Response()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("provider", choices=sorted(SPEECHES))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--queue-seconds", type=float, default=0.0)
    parser.add_argument("--key", default="loopback-key-0123456789")
    given = parser.parse_args()
    server = HostedServer(
        given.provider,
        seconds=given.seconds,
        queue_seconds=given.queue_seconds,
        key=given.key,
        port=given.port,
    )
    server.start()
    sys.stdout.write(f"{server.url}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
