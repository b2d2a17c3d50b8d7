"""Bria's own API, version 2: `POST /v2/image/edit/remove_background`, also with `/guided` behind
it, and `GET /v2/status/{id}`.

The asynchronous form: a job of the synchronous one has no id to resume when its answer is lost.
Contract: docs.bria.ai, "Async requests", "Rate limits and errors", "Working with images". There is
no idempotency key, no cancel and no mask-only output.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import quote

from ....config.hosted import hosting_of
from ....core.errors import UnusableResult
from ....core.specs import BackendSpec, OptionValue
from ....core.types import Ticket
from ..http.wire import Answer, Call, JsonObject, NotKnown, Ready, Wire, Working
from ..job_ids import check_named, id_in, own_url
from .answers import Answers, id_at, instruction_of, moderated, said, text_at, urls_at

_NAME = "Bria"
_ID = "request_id"
# Our setting -> Bria's field. Both are off by default, at Bria too.
_MODERATION_FIELDS = {
    "moderate_input": "visual_input_content_moderation",
    "moderate_output": "visual_output_content_moderation",
}
_MODERATION = (
    "Its content moderation is switched by `moderate_input` and `moderate_output`; what Bria "
    "refuses without them is refused by its terms."
)
# FAILED stands in Bria's own examples, ERROR in its reference.
_FAILED = frozenset({"ERROR", "FAILED"})
# A job that failed because of its picture may be told by the status code of the poll as well.
_REFUSED = frozenset({413, 415, 422, 460})


class Bria:
    """Bria's words; implements wire.Provider."""

    result_field = "image_url"
    """Where an answer's `result` has the address of the file."""

    def __init__(
        self, spec: BackendSpec, bases: Mapping[str, str], options: Mapping[str, OptionValue]
    ) -> None:
        self._spec = spec
        self._answers = Answers(spec, _NAME, _ID, _MODERATION)
        self._api = bases["api"]
        self._settings: JsonObject = {
            field: True for option, field in _MODERATION_FIELDS.items() if options.get(option)
        }
        self._settings |= instruction_of(spec, options)

    def headers(self, key: str) -> Mapping[str, str]:
        """Bria's own header; `Authorization` is not read."""
        return {"api_token": key}

    async def hand_over(self, wire: Wire, png: bytes) -> str:
        """Raw base64, without a `data:` prefix; Bria takes no upload of stills."""
        return base64.b64encode(png).decode("ascii")

    async def submit(self, wire: Wire, image: str) -> Ticket:
        """See wire.Provider. The picture is upright sRGB without alpha, so `preserve_alpha` has
        nothing to act on and is not sent."""
        call = Call(
            "POST",
            self._api + hosting_of(self._spec).endpoint,
            data=self._body(image),
        )
        answer = await wire.submit(call)
        request_id = self._answers.accepted_id(answer)
        return Ticket(self._spec.id, request_id, urls_at(answer.data(), status="status_url"))

    async def poll(self, wire: Wire, ticket: Ticket) -> Working | Ready:
        """See wire.Provider."""
        answer = await wire.ask(Call("GET", self._status_url(wire, ticket)))
        self._answers.check_poll(answer)
        check_job(ticket, answer)
        data = answer.data() or {}
        # Documented: IN_PROGRESS, COMPLETED, ERROR, UNKNOWN; NOT_FOUND beside a 404.
        word = (text_at(data, "status") or "").upper()
        if word == "IN_PROGRESS":
            return Working(queued=False)
        if word == "COMPLETED":
            # result_url is the field of version 1; it is read in case a gateway still uses it.
            url = text_at(data, "result", self.result_field) or text_at(data, "result_url")
            if url is None:
                raise self._answers.unknown(f"COMPLETED without result.{self.result_field}")
            return Ready(url)
        if word in _FAILED or (answer.status in _REFUSED and "error" in data):
            # The code may be a number or a word such as VALIDATION_ERROR here.
            words = said(data)
            error = self._answers.refusal(None, words)
            if word in _FAILED or moderated(words):
                raise error
            # A gateway answers so too: it does not show that the job, which is paid for, failed.
            raise UnusableResult(str(error))
        if word == "NOT_FOUND":
            raise NotKnown(f"{_NAME} answered NOT_FOUND")
        raise self._answers.unknown_state(answer)

    async def cancel(self, wire: Wire, ticket: Ticket) -> bool:
        """Bria documents no cancel, so nothing is asked."""
        return False

    def _body(self, image: str) -> JsonObject:
        return {"image": image, **self._settings}

    def _status_url(self, wire: Wire, ticket: Ticket) -> str:
        ours = own_url(wire, "api", ticket, "status", "status")
        return ours or f"{self._api}/v2/status/{quote(str(ticket.request_id), safe='')}"


def check_job(ticket: Ticket, answer: Answer) -> None:
    """Raise UnusableResult for an answer about another job. The id in the body of an error is that
    of the call, not of the job."""
    if answer.status < 400:
        data = answer.data()
        check_named(_NAME, ticket, [id_at(data, _ID), id_in(text_at(data, "status_url"), "status")])
