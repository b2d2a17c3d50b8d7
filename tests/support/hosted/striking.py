"""How a fault is made: on the wire, after or before the work."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time

from aiohttp import web

from .faults import FORBIDDEN, Fault, limit_headers
from .pictures import HTML
from .records import State
from .speech import Handler, Refused, Speech

_IDS = {"request_id", "id", "status_url", "response_url", "cancel_url", "urls"}
_DRIP = 0.05
_LINGER_NONE = struct.pack("ii", 1, 0)


async def answer_of(speech: Speech, handler: Handler, request: web.Request) -> web.Response:
    """What the provider says when nothing goes wrong."""
    try:
        return await handler(request)
    except Refused as refused:
        return speech.error(refused.status, refused.words)


class Striker:
    """stopping: set when the server ends, so that nothing hangs for ever."""

    def __init__(self, speech: Speech, stopping: asyncio.Event) -> None:
        self._speech = speech
        self._stopping = stopping

    async def strike(
        self, fault: Fault, handler: Handler, request: web.Request
    ) -> web.StreamResponse:
        """Answer, or not, as the fault says."""
        kind = fault.kind
        if kind == 429:
            headers = limit_headers(fault.retry_after, fault.seconds, time.time())
            return self._speech.limited("Request was throttled.", headers)
        if isinstance(kind, int):
            return self._speech.error(kind, f"The server was told to answer {kind}.")
        if kind == "reset before work":
            return _reset(request)
        if kind == "hang before":
            return await self._hang()
        if kind in ("expired", "expired 404"):
            status = 404 if kind.endswith("404") else 403
            return web.Response(status=status, text="<Error>Request has expired</Error>")
        if kind == "gone":
            return self._speech.error(404, "Not found.")
        if kind == "redirect":
            return web.Response(status=302, headers={"Location": FORBIDDEN})
        if kind == "huge":
            return await self._huge(request)
        if kind in ("failed", "moderation"):
            return await self._doomed(fault, handler, request)
        if kind == "late":
            answer = await answer_of(self._speech, handler, request)
            await self._stopped_within(fault.seconds)
            return answer
        return await self._spoilt(kind, await answer_of(self._speech, handler, request), request)

    async def _doomed(
        self, fault: Fault, handler: Handler, request: web.Request
    ) -> web.StreamResponse:
        """The job of this request, or the one it makes, has a bad end."""
        if fault.kind == "moderation" and fault.step == "submit":
            return self._speech.moderated()
        before = set(self._speech.records.jobs)
        if fault.step == "submit":
            answer = await answer_of(self._speech, handler, request)
        for job_id in (set(self._speech.records.jobs) - before) or {
            request.match_info.get("id", "")
        }:
            if job_id in self._speech.records.jobs:
                fate: State = "failed" if fault.kind == "failed" else "moderated"
                self._speech.records.jobs[job_id].end_as(fate)
        return answer if fault.step == "submit" else await answer_of(self._speech, handler, request)

    async def _spoilt(
        self, kind: str, answer: web.Response, request: web.Request
    ) -> web.StreamResponse:
        """The work is done; this is what becomes of its answer."""
        body = answer.body if isinstance(answer.body, bytes) else b""
        if kind == "reset after work":
            return _reset(request)
        if kind == "hang after":
            return await self._hang()
        if kind == "not json":
            return web.Response(body=HTML, content_type="text/html")
        if kind == "empty":
            return web.Response()
        if kind in ("truncate", "drip"):
            return await self._slowly(kind, answer.status, body, answer.content_type, request)
        data = json.loads(body)
        if kind == "no id":
            data = {name: value for name, value in data.items() if name not in _IDS}
            return web.json_response(data, status=answer.status)
        if kind == "unknown state":
            return web.json_response({**data, "status": "PONDERING"}, status=answer.status)
        ids = {name: data[name] for name in ("request_id", "id") if name in data}
        return web.json_response({"detail": "internal error", **ids}, status=500)

    async def _slowly(
        self, kind: str, status: int, body: bytes, content_type: str, request: web.Request
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": content_type})
        response.content_length = len(body)
        await response.prepare(request)
        try:
            if kind == "truncate":
                await response.write(body[: len(body) // 2])
                if request.transport:
                    request.transport.close()
                return response
            for at in range(len(body)):
                await response.write(body[at : at + 1])
                if await self._stopped_within(_DRIP):
                    return _reset(request)
        except ConnectionError:
            pass
        return response

    async def _huge(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        try:
            while not await self._stopped_within(0):
                await response.write(bytes(65536))
        except ConnectionError:
            pass
        return response

    async def _hang(self) -> web.Response:
        await self._stopping.wait()
        return web.Response(status=503)

    async def _stopped_within(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return self._stopping.is_set()


def _reset(request: web.Request) -> web.Response:
    """End the connection with RST: what a crashed gateway looks like."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        transport.abort()
    return web.Response()
