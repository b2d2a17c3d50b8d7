"""fal.ai's words: the queue, the two-step upload, and the failures that hide in the result."""

from __future__ import annotations

import json
import uuid
from typing import Any

from aiohttp import web

from .pictures import Unusable, from_data_uri
from .records import Job
from .speech import Refused, Route, Speech

_LIFE = "X-Fal-Object-Lifecycle-Preference"
_JOB = "/queue/{owner}/{alias}/requests/{id}"


class Fal(Speech):
    key_variable = "FAL_KEY"
    #: Of what is uploaded.
    media_type = "image/png"

    def routes(self) -> list[Route]:
        return [
            Route("upload", "POST", "/rest/storage/upload/initiate", self._initiate),
            Route("upload", "PUT", "/cdn/put/{name}", self._put),
            Route("status", "GET", _JOB + "/status", self._status),
            Route("result", "GET", _JOB, self._result),
            Route("cancel", "PUT", _JOB + "/cancel", self._cancel),
            Route("submit", "POST", "/queue/{endpoint:.+}", self._submit),
            Route("prices", "GET", "/api/v1/models/pricing", self._prices),
        ]

    def environment(self) -> dict[str, str]:
        return {
            "RMBG_FAL_QUEUE_URL": f"{self.place.url}/queue",
            "RMBG_FAL_REST_URL": f"{self.place.url}/rest",
            "RMBG_FAL_API_URL": f"{self.place.url}/api",
            self.key_variable: self.place.key,
        }

    def error(self, status: int, words: str) -> web.Response:
        body: dict[str, Any] = {"detail": words}
        headers = {}
        if status == 422:
            body["detail"] = [{"loc": ["body", "image_url"], "msg": words, "type": "value_error"}]
        if status in (503, 504):
            body["error_type"] = headers["X-Fal-Error-Type"] = "runner_scheduling_failure"
        return web.json_response(body, status=status, headers=headers)

    async def _submit(self, request: web.Request) -> web.Response:
        key = self.admit(request, "Authorization", "Key ")
        endpoint = request.match_info["endpoint"]
        if len(endpoint.split("/")) < 2:
            raise Refused(404, "Application not found.")
        self._check_life(request)
        job = await self._accepted(request, key)
        # Only owner and alias stay in the addresses of a job.
        base = "https://queue.fal.run" if self.place.official else f"{self.place.url}/queue"
        url = f"{base}/{'/'.join(endpoint.split('/')[:2])}/requests/{job.id}"
        return web.json_response(
            {
                "status": "IN_QUEUE",
                "request_id": job.id,
                "response_url": url,
                "status_url": f"{url}/status",
                "cancel_url": f"{url}/cancel",
                "queue_position": 0,
            },
            headers={"x-fal-request-id": job.id},
        )

    async def _accepted(self, request: web.Request, key: str) -> Job:
        guided = request.match_info["endpoint"].endswith("guided-remove-background")
        allowed = {"image_url", "sync_mode"} | ({"prompt"} if guided else set())
        body = self.body(request, await request.read(), allowed)
        prompt = self.prompt(request, body) if guided else ""
        levels = self.picture(request, self._image(request, body))
        return self.records.accept(key, levels, prompt=prompt)

    async def _status(self, request: web.Request) -> web.Response:
        self.admit(request, "Authorization", "Key ")
        job = self.job(request)
        if job.state == "queued":
            answer = {"status": "IN_QUEUE", "request_id": job.id, "queue_position": 0}
            return web.json_response(answer, status=202)
        if job.state == "working":
            answer = {"status": "IN_PROGRESS", "request_id": job.id, "logs": None}
            return web.json_response(answer, status=202)
        answer = {"status": "COMPLETED", "request_id": job.id, "logs": None, "metrics": {}}
        if job.state == "failed":
            answer |= {"error": "The runner went away.", "error_type": "runner_disconnected"}
        elif job.state == "moderated":
            answer |= {"error": "Invalid status code: 422"}
        return web.json_response(answer)

    async def _result(self, request: web.Request) -> web.Response:
        self.admit(request, "Authorization", "Key ")
        job = self.job(request)
        if job.unfinished:
            raise Refused(400, "Request is still in progress.")
        if job.state == "failed":
            return self.error(503, "The runner went away.")
        if job.state == "moderated":
            detail = [
                {
                    "loc": ["body", "image_url"],
                    "msg": "The content could not be processed because it was flagged.",
                    "type": "content_policy_violation",
                }
            ]
            return web.json_response({"detail": detail}, status=422)
        if job.state != "done":
            raise Refused(404, "Not found.")
        return web.json_response(self._output(job))

    def _output(self, job: Job) -> dict[str, Any]:
        return {"image": self._image_object(job)}

    async def _cancel(self, request: web.Request) -> web.Response:
        self.admit(request, "Authorization", "Key ")
        job = self.job(request)
        if job.state == "queued":
            job.end_as("aborted")
            return web.json_response({"status": "CANCELLED"})
        if job.state == "working":
            return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)
        return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)

    async def _prices(self, request: web.Request) -> web.Response:
        self.admit(request, "Authorization", "Key ")
        asked = ",".join(request.query.getall("endpoint_id", [])).split(",")
        lines = [
            {"endpoint_id": name, "unit_price": 0.0175, "unit": "images", "currency": "USD"}
            for name in filter(None, asked)
        ]
        return web.json_response({"prices": lines, "next_cursor": None, "has_more": False})

    async def _initiate(self, request: web.Request) -> web.Response:
        self.admit(request, "Authorization", "Key ")
        body = self.body(request, await request.read(), {"file_name", "content_type"})
        if body.get("content_type") != self.media_type or "storage_type" not in request.query:
            self.complain(request, f"no {self.media_type}, or no storage_type")
            raise Refused(422, "Malformed upload.")
        self._check_life(request)
        name = f"{uuid.uuid4().hex}.png"
        upload_url = f"{self.place.url}/cdn/put/{name}?signature=abc"
        file_url = f"{self.place.url}/cdn/{name}"
        return web.json_response({"upload_url": upload_url, "file_url": file_url})

    async def _put(self, request: web.Request) -> web.Response:
        if request.headers.get("Content-Type") != self.media_type:
            self.complain(request, f"the upload's content type is not {self.media_type}")
        name = request.match_info["name"]
        self.records.uploads[f"{self.place.url}/cdn/{name}"] = await request.read()
        return web.Response()

    def _image(self, request: web.Request, body: dict[str, Any]) -> bytes:
        url = body.get("image_url")
        if isinstance(url, str) and url in self.records.uploads:
            return self.records.uploads[url]
        try:
            return from_data_uri(url if isinstance(url, str) else "")
        except Unusable as error:
            self.complain(request, str(error))
            raise Refused(422, "Failed to download the file.") from error

    def _check_life(self, request: web.Request) -> None:
        """Media at fal are public by URL; ours must not outlive a day."""
        try:
            seconds = json.loads(request.headers[_LIFE])["expiration_duration_seconds"]
        except (KeyError, TypeError, ValueError):
            seconds = None
        if seconds is None or not 0 < seconds <= 86_400:
            self.records.notes.append(f"{request.path}: the media live for ever")

    def _image_object(self, job: Job) -> dict[str, Any]:
        height, width = job.levels.shape[:2]
        return {
            "url": self.result_url(job),
            "content_type": "image/png",
            "file_name": f"{job.id}.png",
            "file_size": 1,
            "width": width,
            "height": height,
        }
