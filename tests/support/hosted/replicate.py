"""Replicate's words: predictions of an official model, cancel, files."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import Any

from aiohttp import web

from .pictures import Unusable, from_data_uri
from .records import Job
from .speech import Refused, Route, Speech

_STATES = {
    "queued": "starting",
    "working": "processing",
    "done": "succeeded",
    "moderated": "failed",
}
_ERRORS = {
    "failed": "Prediction failed: CUDA out of memory.",
    "moderated": "The input was flagged by content moderation (NSFW).",
}
_TITLES = {401: "Unauthenticated", 402: "Insufficient credit", 422: "Input validation failed"}


class Replicate(Speech):
    key_variable = "REPLICATE_API_TOKEN"

    def routes(self) -> list[Route]:
        return [
            Route("submit", "POST", "/v1/models/{owner}/{name}/predictions", self._submit),
            Route("status", "GET", "/v1/predictions/{id}", self._status),
            Route("cancel", "POST", "/v1/predictions/{id}/cancel", self._cancel),
            Route("upload", "POST", "/v1/files", self._upload),
            Route("account", "GET", "/v1/account", self._account),
        ]

    def environment(self) -> dict[str, str]:
        return {"RMBG_REPLICATE_URL": self.place.url, self.key_variable: self.place.key}

    def error(self, status: int, words: str) -> web.Response:
        body: dict[str, Any] = {"title": _TITLES.get(status, ""), "detail": words, "status": status}
        if status == 422:
            body["invalid_fields"] = [
                {"type": "value", "field": "input.image", "description": words}
            ]
        if status == 429:
            body["retry_after"] = 1
        return web.json_response(body, status=status, content_type="application/problem+json")

    async def _submit(self, request: web.Request) -> web.Response:
        key = self.admit(request, "Authorization", "Bearer ")
        body = self.body(request, await request.read(), {"input"})
        given = body.get("input")
        if not isinstance(given, dict) or set(given) - {"image", "content_moderation"}:
            self.complain(request, "input has unknown fields")
            raise Refused(422, "- input: unknown fields")
        if "Prefer" in request.headers:
            self.records.notes.append("Prefer was sent")
        flags = frozenset({"content_moderation"} if given.get("content_moderation") else ())
        levels = self.picture(request, self._image(request, given.get("image")))
        job = self.records.accept(key, levels, flags)
        return web.json_response(self._words(job), status=201)

    async def _status(self, request: web.Request) -> web.Response:
        self.admit(request, "Authorization", "Bearer ")
        return web.json_response(self._words(self.job(request)))

    async def _cancel(self, request: web.Request) -> web.Response:
        self.admit(request, "Authorization", "Bearer ")
        job = self.job(request)
        if job.unfinished:
            job.end_as("aborted" if job.state == "queued" else "canceled")
        return web.json_response(self._words(job))

    async def _account(self, request: web.Request) -> web.Response:
        self.admit(request, "Authorization", "Bearer ")
        return web.json_response({"type": "user", "username": "somebody", "name": "Somebody"})

    async def _upload(self, request: web.Request) -> web.Response:
        self.admit(request, "Authorization", "Bearer ")
        if request.content_type != "multipart/form-data":
            self.complain(request, "an upload that is no multipart form")
            raise Refused(415, "Unsupported media type.")
        head, data = _first_part(request.headers["Content-Type"], await request.read())
        if 'name="content"' not in head or 'filename="' not in head:
            self.complain(request, "an upload without the file field `content`")
            raise Refused(422, "content: required")
        name = uuid.uuid4().hex
        url = f"{self._base()}/v1/files/{name}"
        self.records.uploads[url] = data
        return web.json_response(
            {
                "id": name,
                "name": "file",
                "content_type": "image/png",
                "size": len(data),
                "etag": name,
                "checksums": {},
                "metadata": {},
                "created_at": _now(),
                "expires_at": None,
                "urls": {"get": url},
            },
            status=201,
        )

    def _image(self, request: web.Request, url: Any) -> bytes:
        if isinstance(url, str) and url in self.records.uploads:
            return self.records.uploads[url]
        try:
            return from_data_uri(url if isinstance(url, str) else "")
        except Unusable as error:
            self.complain(request, str(error))
            raise Refused(422, "- input.image: Does not match format 'uri'") from error

    def _base(self) -> str:
        return "https://api.replicate.com" if self.place.official else self.place.url

    def _words(self, job: Job) -> dict[str, Any]:
        url = f"{self._base()}/v1/predictions/{job.id}"
        return {
            "id": job.id,
            "model": "bria/remove-background",
            "version": "hidden",
            "input": {},
            "output": self.result_url(job) if job.state == "done" else None,
            "logs": "",
            "error": _ERRORS.get(job.state),
            "status": _STATES.get(job.state, job.state),
            "metrics": {},
            "created_at": _now(),
            "started_at": None,
            "completed_at": None,
            "urls": {"get": url, "cancel": f"{url}/cancel"},
        }


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()


def _first_part(content_type: str, body: bytes) -> tuple[str, bytes]:
    """The headers and the bytes of the first part of a multipart form."""
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    part = body.partition(b"--" + boundary + b"\r\n")[2].partition(b"\r\n--" + boundary)[0]
    head, _, data = part.partition(b"\r\n\r\n")
    return head.decode("latin-1"), data
