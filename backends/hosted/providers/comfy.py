"""Comfy Router: Bria's own models under a Comfy account, by its queue or by a call that is held.

Contract: docs.comfy.org/development/comfy-router (api, errors, headers, queue) and the reference of
its routes, read on 2026-11-29. A submit carries an idempotency key, which the wire adds: the same
request with the same key is one job for 24 hours, whatever became of the answers. The queue is
opened for workspaces one by one; where it is not, the held call does the same work.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from urllib.parse import quote

from ....config.hosted import hosting_of
from ....core.errors import AccountRefused, MayBeBilled, PictureError, UnusableResult
from ....core.specs import BackendSpec, OptionValue
from ....core.types import Ticket
from ..http.wire import (
    Answer,
    AnswerLost,
    Call,
    JsonObject,
    KeySpent,
    NotKnown,
    Ready,
    Wire,
    Working,
)
from ..job_ids import PICTURE, check_named, id_in, own_url
from .answers import Answers, id_at, instruction_of, moderated, said, text_at, urls_at

_NAME = "Comfy"
_ID = "request_id"
_MODERATION = (
    "Bria's content moderation is switched by `moderate_input` and `moderate_output`. Comfy does "
    "not say whether such a refusal is charged."
)
_MODERATION_FIELDS = {
    "moderate_input": "visual_input_content_moderation",
    "moderate_output": "visual_output_content_moderation",
}
_ERROR_TYPE = "x-comfy-error-type"
_CALL_ID = "x-comfy-request-id"
_REPLAYED = "idempotent-replayed"
_QUEUE = "has a queue"
# Comfy holds a call for ten minutes, and then answers with its own words and its own id.
_HELD_SECONDS = 660.0
# What a 429 is about: calls, or money that is committed to those still running.
_SPEND = ("x-committed-spend-limit", "x-committed-spend-current", "x-committed-spend-remaining")
# Refusals of what the request says, in Comfy's own words: the same would have been said before.
_OF_THE_REQUEST = frozenset({400, 413, 415, 422})
_FAILED = frozenset({"ERROR", "FAILED"})


class Comfy:
    """Comfy Router's words; implements wire.Provider."""

    result_field = "image_url"
    """Where an answer's `result` has the address of the file."""

    def __init__(
        self, spec: BackendSpec, bases: Mapping[str, str], options: Mapping[str, OptionValue]
    ) -> None:
        self._spec = spec
        self._answers = Answers(spec, _NAME, _ID, _MODERATION)
        self._model = f"{bases['api']}/v2/models/{hosting_of(spec).endpoint}"
        self._settings: JsonObject = {
            field: True for option, field in _MODERATION_FIELDS.items() if options.get(option)
        }
        self._settings |= instruction_of(spec, options)

    def headers(self, key: str) -> Mapping[str, str]:
        """A key has a header of its own; the token of somebody who is signed in is a bearer's."""
        is_token = key.count(".") == 2 and not key.startswith("comfyui-")
        return {"Authorization": f"Bearer {key}"} if is_token else {"X-API-Key": key}

    async def hand_over(self, wire: Wire, png: bytes) -> str:
        """Raw base64, as Bria takes it; behind the settings of its request, where it has some: a
        lost answer is asked for with the very same request, by whoever asks."""
        image = base64.b64encode(png).decode("ascii")
        return f"{json.dumps(self._settings)}\n{image}" if self._settings else image

    async def submit(self, wire: Wire, image: str) -> Ticket:
        """See wire.Provider. Where it was sent before it is asked for first."""
        data = self._body(image)
        queue = f"{self._model}/requests"
        earlier = wire.sent_to and wire.rebase("api", wire.sent_to)
        if wire.sent_to and earlier not in (queue, self._model):
            raise AnswerLost(f"it was sent to {wire.sent_to}, which is not the address of now")
        if earlier != self._model:
            async with wire.account.deciding(_QUEUE):
                if earlier or wire.account.says(_QUEUE) is not False:
                    call = Call("POST", queue, data=data, telling_headers=_SPEND)
                    answer = await wire.submit(call)
                    if not _is_not_enabled(answer):
                        wire.account.note(_QUEUE, True)
                        return self._queued(answer)
                    wire.account.note(_QUEUE, False)
        call = Call(
            "POST",
            self._model,
            data=data,
            answer_seconds=_HELD_SECONDS,
            telling_headers=_SPEND,
        )
        return self._finished(await wire.submit(call))

    async def poll(self, wire: Wire, ticket: Ticket) -> Working | Ready:
        """See wire.Provider. COMPLETED covers failures too. Raises MayBeBilled for a job that was
        cancelled, because it may have begun."""
        picture = ticket.urls.get(PICTURE)
        if picture is not None:
            return Ready(picture)
        answer = await wire.ask(Call("GET", self._url(wire, ticket, "status")))
        self._answers.check_poll(answer)
        check_status(ticket, answer)
        data = answer.data() or {}
        word = (text_at(data, "status") or "").upper()
        if word in ("IN_QUEUE", "IN_PROGRESS"):
            return Working(queued=word == "IN_QUEUE")
        if word != "COMPLETED":
            raise self._answers.unknown_state(answer)
        if text_at(data, "error_type"):
            raise self._failure(ticket, data)
        return await self._result(wire, ticket)

    async def cancel(self, wire: Wire, ticket: Ticket) -> bool:
        """Not asked: Comfy's cancel is a request, of which nothing says whether the job had begun
        and is billed. A job that is left alone can be fetched."""
        return False

    def _body(self, image: str) -> JsonObject:
        settings, _, base64_png = image.rpartition("\n")
        return {"image": base64_png, **json.loads(settings or "{}")}

    def _result_in(self, data: JsonObject) -> str | None:
        return text_at(data, "result", self.result_field) or text_at(data, self.result_field)

    def _queued(self, answer: Answer) -> Ticket:
        self._check_submit(answer)
        urls = urls_at(answer.data(), status="status_url", result="response_url")
        return Ticket(self._spec.id, self._answers.accepted_id(answer), urls)

    def _finished(self, answer: Answer) -> Ticket:
        """Return the ticket of a held call, which has the result with it."""
        self._check_submit(answer)
        if not 200 <= answer.status < 300:
            self._answers.accepted_id(answer)
        data = answer.data() or {}
        url = self._result_in(data)
        if url is not None:
            # Bria's own id, or that of the call: a job has no other name here.
            own = id_at(data, _ID) or answer.headers.get(_CALL_ID) or str(uuid.uuid4())
            return Ticket(self._spec.id, own, {PICTURE: url})
        if (text_at(data, "status") or "").upper() in _FAILED or data.get("error"):
            raise self._answers.refusal(None, said(data))
        raise AnswerLost(f"{_NAME} answered {answer.status} without a result")

    def _check_submit(self, answer: Answer) -> None:
        """Raise for an answer with which the key has another meaning than without it."""
        status, kind = answer.status, _error_type(answer)
        if 200 <= status < 300:
            return
        if status == 409:
            running = kind == "concurrency_limit_exceeded"
            lost = AnswerLost if running or kind != "invalid_input" else KeySpent
            raise lost(f"{_NAME} answered 409: {said(answer)}")
        replayed = answer.headers.get(_REPLAYED, "").lower() == "true"
        if replayed or (kind and status in _OF_THE_REQUEST):
            self._answers.check_account(answer)
            raise self._answers.refusal(status, said(answer))
        if kind == "insufficient_credits" and not answer.uncertain:
            raise AccountRefused(
                f"{_NAME} does not serve this account ({status}: {said(answer)}). Buy credits: "
                f"{hosting_of(self._spec).jobs_page}."
            )

    async def _result(self, wire: Wire, ticket: Ticket) -> Ready:
        answer = await wire.ask(Call("GET", self._url(wire, ticket, "result")))
        self._answers.check_account(answer)
        data = answer.data() or {}
        if answer.status in (404, 410):
            raise NotKnown(f"{_NAME} answered {answer.status}: {said(answer)}")
        if answer.status >= 300:
            error = self._answers.refusal(answer.status, said(answer))
            # The status did not say that it failed: one answer alone does not show it.
            raise error if moderated(str(error)) else UnusableResult(str(error))
        if text_at(data, "error_type") and text_at(data, "status") == "COMPLETED":
            raise self._failure(ticket, data)
        url = self._result_in(data)
        if url is None:
            raise self._answers.unknown(f"COMPLETED without result.{self.result_field}")
        return Ready(url)

    def _failure(self, ticket: Ticket, data: JsonObject) -> PictureError:
        if text_at(data, "error_type") in ("cancelled", "canceled"):
            return MayBeBilled(
                f"The job {ticket.request_id} was cancelled at {_NAME}, and may have been charged "
                f"if it had begun. Look at {hosting_of(self._spec).jobs_page}, then run it with "
                "resubmit."
            )
        return self._answers.refusal(None, said(_without_state(data)))

    def _url(self, wire: Wire, ticket: Ticket, role: str) -> str:
        ours = own_url(wire, "api", ticket, role, "requests")
        job = f"{self._model}/requests/{quote(str(ticket.request_id), safe='')}"
        return ours or (job if role == "result" else f"{job}/{role}")


def check_status(ticket: Ticket, answer: Answer) -> None:
    """Raise UnusableResult for an answer about another job. A result has only Bria's own id."""
    data = answer.data()
    urls = (id_in(text_at(data, key), "requests") for key in ("status_url", "response_url"))
    check_named(_NAME, ticket, [id_at(data, _ID), *urls])


def _error_type(answer: Answer) -> str:
    return answer.headers.get(_ERROR_TYPE) or text_at(answer.data(), "error_type") or ""


def _is_not_enabled(answer: Answer) -> bool:
    return answer.status == 403 and _error_type(answer) == "not_enabled"


def _without_state(data: JsonObject) -> JsonObject:
    return {key: data.get(key) for key in ("detail", "error", "error_type")}
