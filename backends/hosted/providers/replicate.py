"""Replicate's predictions of an official model, and its files for large pictures.

Contract: replicate.com/docs/reference/http and /topics/predictions. `Prefer: wait` is never sent:
a prediction that is created without it answers its id at once. There is no idempotency key.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import quote

from ....config.hosted import hosting_of
from ....core.errors import BackendFailed, MayBeBilled, UnusableResult
from ....core.specs import BackendSpec, OptionValue
from ....core.types import Ticket
from ..http.wire import Answer, AnswerLost, Call, JsonObject, Ready, Upload, Wire, Working
from ..job_ids import check_input, check_named, id_in, own_url, urls_of_input
from .answers import Answers, id_at, said, text_at, urls_at

_NAME = "Replicate"
_ID = "id"
_MODERATION = (
    "Its content moderation is switched by `content_moderation`; what Replicate refuses without it "
    "is refused by its terms."
)


class Replicate:
    """Replicate's words; implements wire.Provider."""

    def __init__(
        self, spec: BackendSpec, bases: Mapping[str, str], options: Mapping[str, OptionValue]
    ) -> None:
        self._spec = spec
        self._answers = Answers(spec, _NAME, _ID, _MODERATION)
        self._api = bases["api"]
        self._moderation: JsonObject = (
            {"content_moderation": True} if options.get("content_moderation") else {}
        )

    def headers(self, key: str) -> Mapping[str, str]:
        """See wire.Provider: `Bearer`."""
        return {"Authorization": f"Bearer {key}"}

    async def hand_over(self, wire: Wire, png: bytes) -> str:
        """A data URI; above the limit an uploaded file, which Replicate deletes after a day."""
        if len(png) <= hosting_of(self._spec).inline_bytes:
            return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        upload = Upload("content", "picture.png", "image/png", png)
        answer = await wire.ask(Call("POST", f"{self._api}/v1/files", upload=upload))
        self._answers.check_account(answer)
        url = text_at(answer.data(), "urls", "get")
        if answer.status >= 300 or url is None:
            raise self._answers.upload_failed(answer)
        return url

    async def submit(self, wire: Wire, image: str) -> Ticket:
        """See wire.Provider."""
        call = Call(
            "POST",
            f"{self._api}/v1/models/{hosting_of(self._spec).endpoint}/predictions",
            data={"input": {"image": image, **self._moderation}},
        )
        answer = await wire.submit(call)
        request_id = self._answers.accepted_id(answer)
        urls = urls_at((answer.data() or {}).get("urls"), status="get", cancel="cancel")
        ticket = Ticket(self._spec.id, request_id, {**urls, **urls_of_input(image)})
        check_accepted(ticket, answer)
        return ticket

    async def poll(self, wire: Wire, ticket: Ticket) -> Working | Ready:
        """See wire.Provider. Raises MayBeBilled for a job that was cancelled after it began."""
        answer = await wire.ask(Call("GET", self._url(wire, ticket, "status", "")))
        self._answers.check_poll(answer)
        check_job(ticket, answer)
        data = answer.data() or {}
        word = (text_at(data, "status") or "").lower()
        if word in ("starting", "processing"):
            return Working(queued=word == "starting")
        if word == "succeeded":
            # One text for this model; lists and objects are what other models answer.
            url = (
                text_at(data, "output")
                or text_at(data, "output", 0)
                or text_at(data, "output", "url")
            )
            if url is None:
                raise self._answers.unknown("succeeded without an output")
            return Ready(url)
        if word == "failed":
            raise self._answers.refusal(None, said(data.get("error")))
        if word == "canceled":
            raise MayBeBilled(
                f"The job {ticket.request_id} was cancelled at {_NAME} after it had begun, so it "
                f"may have been charged. Look at {hosting_of(self._spec).jobs_page}, then run it "
                "with resubmit."
            )
        if word == "aborted":
            raise BackendFailed(
                f"The job was cancelled at {_NAME} before it began, so it cost nothing. Run it "
                "again."
            )
        raise self._answers.unknown_state(answer)

    async def cancel(self, wire: Wire, ticket: Ticket) -> bool:
        """`aborted` never began and is free; a job that ends as `canceled` is charged."""
        answer = await wire.ask(Call("POST", self._url(wire, ticket, "cancel", "/cancel")))
        check_job(ticket, answer)
        return text_at(answer.data(), "status") == "aborted"

    def _url(self, wire: Wire, ticket: Ticket, role: str, ending: str) -> str:
        ours = own_url(wire, "api", ticket, role, "predictions")
        job = f"{self._api}/v1/predictions/{quote(str(ticket.request_id), safe='')}"
        return ours or job + ending


def check_accepted(ticket: Ticket, answer: Answer) -> None:
    """Raise AnswerLost for an answer to a submit that repeats another picture: the id in it is that
    of another job."""
    try:
        _check_picture(ticket, answer)
    except UnusableResult as foreign:
        raise AnswerLost(str(foreign)) from None


def check_job(ticket: Ticket, answer: Answer) -> None:
    """Raise UnusableResult for an answer about another job or another picture."""
    data = answer.data()
    urls = [text_at(data, "urls", key) for key in ("get", "cancel")]
    check_named(_NAME, ticket, [id_at(data, _ID), *(id_in(url, "predictions") for url in urls)])
    _check_picture(ticket, answer)


def _check_picture(ticket: Ticket, answer: Answer) -> None:
    check_input(_NAME, ticket, text_at(answer.data(), "input", "image"), "files")
