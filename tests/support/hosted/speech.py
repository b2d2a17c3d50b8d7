"""What the words of the three providers share: who may call, what is complained of."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from aiohttp import web

from .faults import Step
from .pictures import Levels, Unusable, strict_png
from .records import Books, Job

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True)
class Route:
    """One address of a provider. step: what a Fault calls it."""

    step: Step
    method: str
    path: str
    handler: Handler


class Place(Protocol):
    """What a provider's words know of the server that they are spoken on."""

    records: Books
    key: str
    official: bool
    video_answer: Callable[[bytes, str], bytes]

    @property
    def url(self) -> str: ...


class Refused(Exception):
    """A request that the provider answers with an error."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Speech:
    """One provider's words over a Place; the providers' files fill in the rest."""

    key_variable: ClassVar[str]

    def __init__(self, place: Place) -> None:
        self.place = place
        self.records = place.records

    def routes(self) -> list[Route]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The variables that point a client here."""
        raise NotImplementedError

    def error(self, status: int, words: str) -> web.Response:
        """An error in this provider's shape."""
        raise NotImplementedError

    def limited(self, words: str, headers: Mapping[str, str]) -> web.Response:
        """A 429."""
        answer = self.error(429, words)
        answer.headers.update(headers)
        return answer

    def moderated(self) -> web.Response:
        """A refusal of what the picture shows, at the submit."""
        return self.error(422, "The image was blocked by content moderation.")

    def admit(self, request: web.Request, header: str, prefix: str) -> str:
        """The account's key. Raises Refused."""
        given = request.headers.get(header)
        if given is None or not given.startswith(prefix):
            self.complain(request, f"no {header} header of the form {prefix!r}...")
            raise Refused(401, "Authentication credentials were not provided.")
        if given[len(prefix) :] != self.place.key:
            raise Refused(401, "Invalid credentials.")
        return given[len(prefix) :]

    def complain(self, request: web.Request, words: str) -> None:
        """Note a request that no honest client sends."""
        self.records.complaints.append(f"{request.method} {request.path}: {words}")

    def body(self, request: web.Request, data: bytes, allowed: set[str]) -> dict[str, Any]:
        """The JSON object of a request that has these fields only. Raises Refused."""
        if request.content_type != "application/json":
            self.complain(request, f"content type {request.content_type}")
            raise Refused(415, "Unsupported media type.")
        try:
            body = json.loads(data)
        except ValueError:
            body = None
        if not isinstance(body, dict) or set(body) - allowed:
            self.complain(request, "no JSON object with the known fields only")
            raise Refused(400, "Malformed body.")
        return body

    def prompt(self, request: web.Request, body: Mapping[str, Any]) -> str:
        """What a guided model is told. Providers take a request without it, and charge for a guided
        one what is the usual cut-out: no client of ours may send that. Raises Refused."""
        words = body.get("prompt")
        if not isinstance(words, str) or words != words.strip() or not words:
            self.complain(request, f"no words in prompt: {words!r}")
            raise Refused(422, "prompt must be a string.")
        return words

    def picture(self, request: web.Request, data: bytes) -> Levels:
        """The levels of a strict PNG. Raises Refused."""
        try:
            return strict_png(data)
        except Unusable as error:
            self.complain(request, str(error))
            raise Refused(422, "Could not load the image.") from error

    def job(self, request: web.Request) -> Job:
        """The job in the path. Raises Refused."""
        job = self.records.jobs.get(request.match_info["id"])
        if job is None:
            raise Refused(404, "Not found.")
        return job

    def result_url(self, job: Job) -> str:
        """Where the picture lies."""
        return f"{self.place.url}/files/{job.id}.png"
