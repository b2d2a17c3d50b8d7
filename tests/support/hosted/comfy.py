"""Comfy Router's words: a queue and a held call, with idempotency keys that live for a day."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from .pictures import HTML, Unusable, from_base64
from .records import Job
from .speech import Place, Refused, Route, Speech

MODEL = "/v2/models/bria/image-edit-remove-background"
GUIDED = f"{MODEL}-guided"
DAY = 24 * 3600.0

_FIELDS = {"image", "preserve_alpha", "sync"}
_FLAGS = {"visual_input_content_moderation", "visual_output_content_moderation"}
_STATES = {"queued": "IN_QUEUE", "working": "IN_PROGRESS"}
_FAILURES = {"failed": "provider_error", "moderated": "content_policy_violation"}
_TYPES = {
    400: "invalid_input",
    401: "unauthorized",
    402: "insufficient_credits",
    403: "forbidden",
    404: "model_not_found",
    409: "invalid_input",
    413: "invalid_input",
    415: "invalid_input",
    422: "invalid_input",
    429: "rate_limited",
    500: "internal_error",
    502: "provider_error",
    503: "service_unavailable",
    504: "deadline_exceeded",
}


@dataclass
class Entry:
    """What is remembered under one key of one account."""

    created: float
    request: str
    job: Job | None = None
    busy: bool = False
    spent: bool = False


class Told(Exception):
    """An answer with headers of its own."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__()
        self.answer = answer


class Comfy(Speech):
    """queue: the workspace has one. hold: seconds that a call is held at most. collects: what was
    cut off can be collected with its key. retry_after: of every answer that asks to wait.
    spend_limit: USD cents that may be committed to jobs under way. html: errors come as a proxy's
    web page. tokens: whose bearers are admitted, and what account they are of. clock: by which
    keys grow old."""

    key_variable = "COMFY_API_KEY"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.queue = True
        self.hold = 600.0
        self.collects = True
        self.retry_after = "0"
        self.spend_limit: int | None = None
        self.html = False
        self.tokens: dict[str, str] = {}
        self.clock: Callable[[], float] = time.time
        self.entries: dict[tuple[str, str], Entry] = {}

    def routes(self) -> list[Route]:
        model = "/v2/models/{owner}/{name}"
        job = model + "/requests/{id}"
        return [
            Route("submit", "POST", model + "/requests", self._submit),
            Route("submit", "POST", model, self._run),
            Route("status", "GET", job + "/status", self._status),
            Route("result", "GET", job, self._result),
            Route("cancel", "PUT", job + "/cancel", self._cancel),
        ]

    def environment(self) -> dict[str, str]:
        return {"RMBG_COMFY_URL": self.place.url, self.key_variable: self.place.key}

    def error(self, status: int, words: str, kind: str = "") -> web.Response:
        if self.html:
            return web.Response(status=status, body=HTML, content_type="text/html")
        kind = kind or _TYPES.get(status, "")
        if status == 422:
            detail = [{"loc": ["body", "image"], "msg": words, "type": "value_error"}]
            body: dict[str, Any] = {"detail": detail}
        else:
            body = {"detail": words, **({"error_type": kind} if kind else {})}
        headers = {"X-Comfy-Error-Type": kind} if kind else {}
        return web.json_response(body, status=status, headers=headers)

    def moderated(self) -> web.Response:
        return self.error(
            422, "The image was blocked by content moderation.", "content_policy_violation"
        )

    async def _submit(self, request: web.Request) -> web.Response:
        account = self._account(request)
        if not self.queue:
            return self.error(403, "Queued delivery is not enabled for you.", "not_enabled")
        try:
            entry, known = self._entry(request, account, await request.read())
            job = await self._job_of(request, entry, account)
        except Told as told:
            return told.answer
        headers = {"Idempotent-Replayed": "true"} if known else {}
        return web.json_response(self._words(job), status=201, headers=headers)

    async def _run(self, request: web.Request) -> web.Response:
        account = self._account(request)
        try:
            entry, known = self._entry(request, account, await request.read())
            job = await self._job_of(request, entry, account)
        except Told as told:
            return told.answer
        entry.busy = True
        try:
            until = time.monotonic() + self.hold
            while job.unfinished and time.monotonic() < until:
                await asyncio.sleep(0.005)
        finally:
            entry.busy = False
        if job.unfinished:
            entry.spent = not self.collects
            answer = self.error(504, "Comfy stopped holding the connection.")
            if self.collects:
                answer.headers["Retry-After"] = self.retry_after
            return answer
        if job.state in _FAILURES:
            kind = _FAILURES[job.state]
            return self.error(422 if job.state == "moderated" else 502, kind, kind)
        headers = {"Idempotent-Replayed": "true"} if known else {}
        return web.json_response(self._output(job), headers=headers)

    def _account(self, request: web.Request) -> str:
        """Whose workspace it is. Raises Refused."""
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if bearer in self.tokens:
            return self.tokens[bearer]
        if "Authorization" in request.headers and "X-API-Key" not in request.headers:
            return self.admit(request, "Authorization", "Bearer ")
        return self.admit(request, "X-API-Key", "")

    def _entry(self, request: web.Request, account: str, body: bytes) -> tuple[Entry, bool]:
        """What is known of this key, and whether that has a job. Raises Told."""
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            self.complain(request, "no Idempotency-Key")
        asked = f"{request.method} {request.raw_path} {hashlib.sha256(body).hexdigest()}"
        entry = self.entries.get((account, key))
        if entry is None or self.clock() - entry.created > DAY:
            entry = self.entries[account, key] = Entry(self.clock(), asked)
        elif entry.request != asked or entry.spent:
            raise Told(self.error(409, "The Idempotency-Key cannot serve this request."))
        elif entry.busy:
            running = self.error(409, "It is still running.", "concurrency_limit_exceeded")
            running.headers["Retry-After"] = self.retry_after
            raise Told(running)
        return entry, entry.job is not None

    async def _job_of(self, request: web.Request, entry: Entry, account: str) -> Job:
        """The job under this key, begun where there is none. Raises Refused and Told; a refusal
        releases the key."""
        if entry.job is not None:
            return entry.job
        try:
            self._check_spending()
            entry.job = await self._accepted(request, account)
        finally:
            if entry.job is None:
                self.entries = {k: e for k, e in self.entries.items() if e is not entry}
        return entry.job

    async def _accepted(self, request: web.Request, account: str) -> Job:
        model = request.path.removesuffix("/requests")
        guided = model == GUIDED
        allowed = _FIELDS | _FLAGS | ({"prompt"} if guided else set())
        body = self.body(request, await request.read(), allowed)
        prompt = self.prompt(request, body) if guided else ""
        image = body.get("image")
        try:
            data = from_base64(image if isinstance(image, str) else "")
        except Unusable as error:
            self.complain(request, f"image is no raw base64: {error}")
            raise Refused(422, "image must be a URL or base64.") from error
        flags = frozenset(name for name in _FLAGS if body.get(name) is True)
        levels = self.picture(request, data)
        return self.records.accept(account, levels, flags, prompt, model)

    def _check_spending(self) -> None:
        if self.spend_limit is None:
            return
        current = 2 * sum(job.unfinished for job in list(self.records.jobs.values()))
        if current + 2 > self.spend_limit:
            answer = self.error(429, "Committed spend is reached.", "concurrency_limit_exceeded")
            answer.headers["X-Committed-Spend-Limit"] = str(self.spend_limit)
            answer.headers["X-Committed-Spend-Current"] = str(current)
            answer.headers["X-Committed-Spend-Remaining"] = str(self.spend_limit - current)
            raise Told(answer)

    async def _status(self, request: web.Request) -> web.Response:
        self._account(request)
        return web.json_response(self._words(self.job(request)))

    async def _result(self, request: web.Request) -> web.Response:
        self._account(request)
        job = self.job(request)
        if job.state != "done":
            return self.error(409, "There is no result.", _FAILURES.get(job.state, "cancelled"))
        return web.json_response(self._output(job))

    async def _cancel(self, request: web.Request) -> web.Response:
        self._account(request)
        job = self.job(request)
        if not job.unfinished:
            return web.json_response({"status": "ALREADY_COMPLETED"}, status=409)
        job.end_as("aborted" if job.state == "queued" else "canceled")
        return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)

    def _words(self, job: Job) -> dict[str, Any]:
        base = "https://api.comfy.org" if self.place.official else self.place.url
        url = f"{base}{job.model}/requests/{job.id}"
        answer = {
            "request_id": job.id,
            "status": _STATES.get(job.state, "COMPLETED"),
            "status_url": f"{url}/status",
            "response_url": url,
            "cancel_url": f"{url}/cancel",
        }
        if job.state not in _STATES and job.state != "done":
            answer["error_type"] = _FAILURES.get(job.state, "cancelled")
            answer["detail"] = "It did not succeed."
        return answer

    def _output(self, job: Job) -> dict[str, Any]:
        """Bria's own words, which Comfy passes on."""
        return {
            "request_id": job.id,
            "status": "COMPLETED",
            "result": {"image_url": self.result_url(job)},
        }
