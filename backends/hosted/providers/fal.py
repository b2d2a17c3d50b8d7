"""fal.ai's queue: submit, status, result, cancel; and its storage for large pictures.

Contract: fal.ai/docs, "Queue" and "Request errors"; the upload as in fal-client 1.0.3's fallback.
The queue's own repetitions (503, 504, lost connections) stay on: they are billed once. There is no
idempotency key. Files at fal are public by URL, so each is given the shortest useful life.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote

from ....config.hosted import hosting_of
from ....core.errors import PictureError, UnusableResult
from ....core.specs import BackendSpec, OptionValue
from ....core.types import Ticket
from ..http.wire import Answer, Call, JsonObject, Pieces, Ready, Unreachable, Wire, Working
from ..job_ids import check_named, id_in, own_url
from .answers import Answers, id_at, instruction_of, moderated, said, text_at, urls_at

_NAME = "fal.ai"
_ID = "request_id"
_MODERATION = "fal.ai has no setting for this endpoint that changes it; use another backend."
_CHARGED = "fal.ai may charge for it if a machine had begun to work on it."
_LIFE = "X-Fal-Object-Lifecycle-Preference"
_ERROR_TYPE = "x-fal-error-type"
_JOB_HEADER = "x-fal-request-id"
_JOB_URLS = ("status_url", "response_url", "cancel_url")
# Seconds that fal keeps a picture that was uploaded, and a result: what was interrupted can be
# resumed for a day.
UPLOAD_LIFE = 3600
RESULT_LIFE = 24 * 3600
# Failures of fal's machines: never billed, and the result answers with 503 or 504 for ever.
_MACHINES = ("request_timeout", "startup_timeout", "runner_", "internal_")


class Fal:
    """fal.ai's words; implements wire.Provider."""

    _result_key = "image"

    def __init__(
        self, spec: BackendSpec, bases: Mapping[str, str], options: Mapping[str, OptionValue]
    ) -> None:
        self._spec = spec
        self._answers = Answers(spec, _NAME, _ID, _MODERATION)
        self._queue = bases["queue"]
        self._rest = bases["rest"]
        self._endpoint = hosting_of(spec).endpoint
        #: What a request says besides its picture.
        self.settings = instruction_of(spec, options)

    def headers(self, key: str) -> Mapping[str, str]:
        """See wire.Provider: `Key`, not `Bearer`."""
        return {"Authorization": f"Key {key}"}

    async def hand_over(self, wire: Wire, png: bytes) -> str:
        """A data URI, which leaves no file behind; above the limit an upload that lives an hour."""
        if len(png) <= hosting_of(self._spec).inline_bytes:
            return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        return await self._stored(wire, "picture.png", "image/png", png)

    async def _stored(
        self, wire: Wire, name: str, content_type: str, content: bytes | Pieces
    ) -> str:
        """Upload a file; return its address."""
        begin = Call(
            "POST",
            f"{self._rest}/storage/upload/initiate?storage_type=gcs",
            data={"file_name": name, "content_type": content_type},
            headers=life(UPLOAD_LIFE),
        )
        answer = await wire.ask(begin)
        self._answers.check_account(answer)
        upload_url = text_at(answer.data(), "upload_url")
        file_url = text_at(answer.data(), "file_url")
        if answer.status >= 300 or upload_url is None or file_url is None:
            raise self._answers.upload_failed(answer)
        put = Call("PUT", upload_url, content=content, headers={"Content-Type": content_type})
        stored = await wire.put(put)
        if stored.status >= 300:
            raise self._answers.upload_failed(stored)
        return file_url

    async def submit(self, wire: Wire, image: str) -> Ticket:
        """See wire.Provider."""
        call = Call(
            "POST",
            f"{self._queue}/{self._endpoint}",
            data=self._body(image),
            headers=life(RESULT_LIFE),
        )
        answer = await wire.submit(call)
        request_id = self._answers.accepted_id(answer)
        urls = urls_at(
            answer.data(), status="status_url", result="response_url", cancel="cancel_url"
        )
        return Ticket(self._spec.id, request_id, urls)

    async def poll(self, wire: Wire, ticket: Ticket) -> Working | Ready:
        """See wire.Provider. COMPLETED covers failures too: the result tells."""
        answer = await wire.ask(Call("GET", self.url(wire, ticket, "status")))
        self._answers.check_poll(answer)
        check_job(ticket, answer)
        data = answer.data() or {}
        word = (text_at(data, "status") or "").upper()
        if word == "IN_QUEUE":
            return Working(queued=True)
        if word == "IN_PROGRESS":
            return Working(queued=False)
        if word == "COMPLETED":
            return await self._result(wire, ticket, data)
        raise self._answers.unknown_state(answer)

    async def cancel(self, wire: Wire, ticket: Ticket) -> bool:
        """200: it was taken out of the queue. 202 says only that it will be tried."""
        answer = await wire.ask(Call("PUT", self.url(wire, ticket, "cancel")))
        check_job(ticket, answer)
        return answer.status == 200

    async def _result(self, wire: Wire, ticket: Ticket, status: JsonObject) -> Ready:
        failed = bool(status.get("error") or status.get("error_type"))
        if (text_at(status, "error_type") or "").startswith(_MACHINES):
            raise self._answers.refusal(None, said(_without_state(status)))
        try:
            asked = Call("GET", self.url(wire, ticket, "result"), final_header=_ERROR_TYPE)
            answer = await wire.ask(asked)
            check_job(ticket, answer)
        except Unreachable:
            if not failed:
                raise
            raise self._answers.refusal(None, said(_without_state(status))) from None
        if answer.status >= 500 and _ERROR_TYPE in answer.headers:
            raise self._verdict(answer, failed)
        self._answers.check_poll(answer)
        if answer.status >= 400:
            error = self._verdict(answer, failed)
            raise type(error)(f"{error} {_CHARGED}")
        data = answer.data()
        url = text_at(data, self._result_key, "url") or text_at(data, self._result_key)
        if url is None:
            raise self._answers.unknown(f"COMPLETED without {self._result_key}.url")
        return Ready(url)

    def _body(self, image: str) -> JsonObject:
        return {"image_url": image, **self.settings}

    def _verdict(self, answer: Answer, failed: bool) -> PictureError:
        """Return the error. failed: the job's status says so too. Where it does not, one answer
        alone does not show that the job, which is paid for, failed: its id is kept."""
        words = said(answer)
        error = self._answers.refusal(answer.status, words)
        return error if failed or moderated(words) else UnusableResult(str(error))

    def url(self, wire: Wire, ticket: Ticket, role: str) -> str:
        """Return the URL that fal gave; when it is missing, foreign or another job's, the
        documented form, which has only the first two parts of the endpoint:
        /fal-ai/bria/requests/{id}."""
        ours = own_url(wire, "queue", ticket, role, "requests")
        owner, alias = self._endpoint.split("/")[:2]
        job = f"{self._queue}/{owner}/{alias}/requests/{quote(str(ticket.request_id), safe='')}"
        return ours or (job if role == "result" else f"{job}/{role}")


def check_job(ticket: Ticket, answer: Answer) -> None:
    """Raise UnusableResult for an answer about another job. A result has its id in its header
    alone; in other answers the body has the word, because fal's own repetitions may change the
    header."""
    data = answer.data()
    named = [id_at(data, _ID), *(id_in(text_at(data, key), "requests") for key in _JOB_URLS)]
    check_named(_NAME, ticket, named if any(named) else [answer.headers.get(_JOB_HEADER)])


def life(seconds: int) -> dict[str, str]:
    """Return the header that says how long fal keeps the files of a request."""
    return {_LIFE: json.dumps({"expiration_duration_seconds": seconds})}


def _without_state(status: JsonObject) -> JsonObject:
    return {key: status.get(key) for key in ("error", "error_type")}
