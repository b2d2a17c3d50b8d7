"""Bria's words: version 2 of its API, asynchronous and synchronous."""

from __future__ import annotations

import uuid
from typing import Any

from aiohttp import web

from .pictures import Unusable, from_base64
from .records import Job
from .speech import Refused, Route, Speech

_STILL = "/v2/image/edit/remove_background"
_FIELDS = {"image", "preserve_alpha", "sync", "webhook_url"}
_FLAGS = {"visual_input_content_moderation", "visual_output_content_moderation"}
_STATES = {"queued": "IN_PROGRESS", "working": "IN_PROGRESS", "done": "COMPLETED"}


class Bria(Speech):
    key_variable = "BRIA_API_TOKEN"

    def routes(self) -> list[Route]:
        return [
            Route("submit", "POST", _STILL, self._submit),
            Route("submit", "POST", f"{_STILL}/guided", self._submit),
            Route("status", "GET", "/v2/status/{id}", self._status),
        ]

    def environment(self) -> dict[str, str]:
        return {"RMBG_BRIA_URL": self.place.url, self.key_variable: self.place.key}

    def error(self, status: int, words: str) -> web.Response:
        # The code is a number in most documents and a word in some.
        code: int | str = "VALIDATION_ERROR" if status == 422 else status
        return web.json_response(
            {
                "error": {"code": code, "message": words, "details": {}},
                "request_id": uuid.uuid4().hex,
            },
            status=status,
        )

    async def _submit(self, request: web.Request) -> web.Response:
        key = self.admit(request, "api_token", "")
        guided = request.path.endswith("/guided")
        allowed = _FIELDS | _FLAGS | ({"prompt"} if guided else set())
        body = self.body(request, await request.read(), allowed)
        prompt = self.prompt(request, body) if guided else ""
        if guided and body.get("sync"):
            raise Refused(405, "This endpoint is asynchronous only.")
        image = body.get("image")
        try:
            data = from_base64(image if isinstance(image, str) else "")
        except Unusable as error:
            self.complain(request, f"image is no raw base64: {error}")
            raise Refused(400, "image must be a URL or base64.") from error
        flags = frozenset(name for name in _FLAGS if body.get(name) is True)
        job = self.records.accept(key, self.picture(request, data), flags, prompt)
        if body.get("sync"):
            result = {"image_url": self.result_url(job)}
            return web.json_response({"result": result, "request_id": job.id})
        return self._taken(job)

    def _taken(self, job: Job) -> web.Response:
        base = "https://engine.prod.bria-api.com" if self.place.official else self.place.url
        answer = {"request_id": job.id, "status_url": f"{base}/v2/status/{job.id}"}
        return web.json_response(answer, status=202)

    def _result(self, job: Job) -> dict[str, Any]:
        return {"image_url": self.result_url(job)}

    async def _status(self, request: web.Request) -> web.Response:
        self.admit(request, "api_token", "")
        job = self.records.jobs.get(request.match_info["id"])
        if job is None:
            return web.json_response({"status": "NOT_FOUND"}, status=404)
        return web.json_response(self._words(job))

    def _words(self, job: Job) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "status": _STATES.get(job.state, "ERROR"),
            "request_id": job.id,
        }
        if job.state == "done":
            answer["result"] = self._result(job)
        elif job.state == "moderated":
            answer["error"] = {
                "code": "VALIDATION_ERROR",
                "message": "The image was blocked by content moderation.",
            }
        elif job.state == "failed":
            answer["error"] = {"code": 500, "message": "Something went wrong.", "details": {}}
        return answer
