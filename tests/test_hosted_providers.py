"""Each provider's words: from every answer to a ticket, a state or an error, and against a loopback
server that follows its contract."""

# Pins the inside of backends.hosted.http.wire

from __future__ import annotations

import asyncio
import base64
import io
import json
from dataclasses import replace
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.backends.hosted.http.wire import (
    Account,
    Answer,
    AnswerLost,
    Call,
    NotKnown,
    Ready,
    Unreachable,
    Working,
)
from rmbg_nodes.catalogue.hosted_models import ROWS
from rmbg_nodes.config.hosted import hosting_of
from rmbg_nodes.core.errors import (
    AccountRefused,
    BackendFailed,
    BadPicture,
    KeyMissing,
    MayBeBilled,
    PictureError,
    ResultWaiting,
    UnusableResult,
)
from rmbg_nodes.core.specs import BackendSpec
from rmbg_nodes.core.types import Ticket
from rmbg_nodes.tests.support.hosted.faults import FORBIDDEN, Fault
from rmbg_nodes.tests.support.hosted.pictures import (
    HTML,
    expected_alpha,
    expected_alpha16,
    picture_digest,
    to_png,
)
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.hosted.sockets import Sockets, life_of, made, talk

FIRST = {spec.provider: spec for spec in reversed(ROWS)}
ALL = ("bria", "fal", "replicate")
LEVELS = np.random.default_rng(4).integers(0, 256, (24, 31, 3), dtype=np.uint8)
PNG = to_png(LEVELS)


class Scripted:
    """A wire whose answers are given beforehand; it remembers the calls."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []
        self.account = Account()
        self.sent_to = ""

    async def submit(self, call: Call) -> Answer:
        self.calls.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    ask = put = submit

    def rebase(self, role: str, url: str) -> str | None:
        return None if "foreign" in url else url


def answer(status: int, data: Any = None, **headers: str) -> Answer:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, body)


def submitted(provider: str, given: Answer, **options: Any) -> Ticket:
    ticket: Ticket = asyncio.run(
        made(FIRST[provider], **options).submit(Scripted(given), "an image")
    )
    return ticket


def polled(provider: str, *given: Answer | Exception) -> Working | Ready:
    ticket = Ticket(FIRST[provider].id, "job-1")
    state: Working | Ready = asyncio.run(made(FIRST[provider]).poll(Scripted(*given), ticket))
    return state


# Answers to a submit ----------------------------------------------------------------------------

ACCEPTED = {
    "bria": answer(202, {"request_id": "r", "status_url": "https://x/v2/status/r"}),
    "fal": answer(
        200, {"request_id": "r", "status_url": "s", "response_url": "g", "cancel_url": "c"}
    ),
    "replicate": answer(201, {"id": "r", "urls": {"get": "g", "cancel": "c"}}),
    "comfy": answer(201, {"request_id": "r", "status_url": "s", "response_url": "g"}),
}
URLS = {
    "bria": {"status": "https://x/v2/status/r"},
    "fal": {"status": "s", "result": "g", "cancel": "c"},
    "replicate": {"status": "g", "cancel": "c"},
}


@pytest.mark.parametrize("provider", ALL)
def test_an_accepted_submit_is_a_ticket(provider: str) -> None:
    assert submitted(provider, ACCEPTED[provider]) == Ticket(
        FIRST[provider].id, "r", URLS[provider]
    )


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize("urls", [None, 7, [], {"get": None, "cancel": 3}])
def test_urls_of_any_shape_and_numbers_as_ids(provider: str, urls: Any) -> None:
    key = "id" if provider == "replicate" else "request_id"
    body = {key: 12345, "urls": urls, "status_url": urls, "response_url": 5, "cancel_url": ""}
    assert submitted(provider, answer(200, body)) == Ticket(FIRST[provider].id, "12345", {})


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize(
    "body",
    [HTML, b"", b"[1]", {}, {"request_id": None}, {"request_id": ""}, {"request_id": {}},
     {"request_id": True, "id": True}, {"request_id": "..", "id": ".."},
     {"request_id": "a\nb", "id": "a\nb"}, {"request_id": "x" * 300, "id": "x" * 300}],
)  # fmt: skip
def test_success_without_an_id_is_a_lost_answer(provider: str, body: Any) -> None:
    with pytest.raises(AnswerLost) as caught:
        submitted(provider, answer(200, body))
    assert caught.value.request_id is None


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 506])
def test_a_server_error_may_have_been_accepted(provider: str, status: int) -> None:
    with pytest.raises(AnswerLost) as caught:
        submitted(provider, answer(status, {"detail": "upstream", "request_id": "r", "id": "r"}))
    assert caught.value.request_id == "r"
    assert "upstream" in str(caught.value)
    with pytest.raises(AnswerLost) as caught:
        submitted(provider, answer(status, HTML))
    assert caught.value.request_id is None


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, KeyMissing, "refused the key"),
        (402, AccountRefused, "Top up"),
        (403, AccountRefused, "Exhausted balance"),
        (400, BackendFailed, "Exhausted balance"),
        (404, BackendFailed, "does not offer this model"),
        (413, BadPicture, "downscale"),
        (415, BadPicture, "Convert it"),
        (422, BadPicture, "cannot use the picture"),
        (460, BackendFailed, "could not do the work"),
        (302, BackendFailed, "_URL"),
        (307, BackendFailed, "redirect"),
    ],
)
def test_a_refused_submit_says_what_to_do(
    provider: str, status: int, error: type[Exception], words: str
) -> None:
    spec = FIRST[provider]
    with pytest.raises(error, match=words) as caught:
        submitted(provider, answer(status, {"detail": "Exhausted balance. " + "long " * 200}))
    text = str(caught.value)
    assert len(text) < 550
    if status == 401:
        assert hosting_of(spec).key_page in text
        assert all(variable in text for variable in spec.key_variables)
        assert "Exhausted" not in text
    if isinstance(caught.value, PictureError):
        assert caught.value.paid == "no"


MODERATED = {
    "bria": {"error": {"code": "VALIDATION_ERROR", "message": "Content moderation failed"}},
    "fal": {"detail": [{"loc": ["body"], "msg": "flag", "type": "content_policy_violation"}]},
    "replicate": {"title": "Failed", "detail": "NSFW content detected", "status": 422},
}
SETTING = {"bria": "moderate_input", "fal": "no setting", "replicate": "content_moderation"}


@pytest.mark.parametrize("provider", ALL)
def test_a_moderated_picture_names_the_setting(provider: str) -> None:
    with pytest.raises(BackendFailed, match=SETTING[provider]) as caught:
        submitted(provider, answer(422, MODERATED[provider]))
    assert "refused what the picture shows" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"code": 415, "message": "Bad mode", "details": "CMYK"}}, "Bad mode; CMYK"),
        ({"error": {"code": "VALIDATION_ERROR", "message": "Bad"}}, "Bad; VALIDATION_ERROR"),
        ({"error": "plain"}, "plain"),
        ({"detail": "User is locked."}, "User is locked"),
        ({"detail": [{"msg": "too big", "type": "image_too_large"}]}, "too big; image_too_large"),
        ({"title": "Input validation failed", "detail": "- input", "type": "about:blank",
          "invalid_fields": [{"field": "image", "description": "no"}]},
         "Input validation failed; - input; no"),
        ({"detail": {"detail": {"detail": {"detail": {"detail": "deep"}}}}}, "no explanation"),
        (HTML, "a web page"),
        (b"", "no explanation"),
        (b"upstream connect error\x1b[31m", r"upstream connect error \[31m"),
        (b"\xff\xfe", "no explanation|.{1,4}"),
        ({"detail": "see https://host/path?signature=abc&key=1"}, r"see https://host/path\?\.\.\."),
        ({"detail": "Key ab:cd is invalid"}, r"Key \[\.\.\.\] is invalid"),
        ({"detail": "token r8_AbCdEfGhIjKlMnOp0123456789"}, r"token \[\.\.\.\]"),
        ({"detail": "you sent AbCdEfGhIjKlMnOp0123456789"}, r"you sent \[\.\.\.\]"),
    ],
)  # fmt: skip
def test_every_shape_of_an_error_body_becomes_words(body: Any, words: str) -> None:
    with pytest.raises(BadPicture, match=rf"\(422: (?:{words})\)"):
        submitted("bria", answer(422, body))


# Answers to a poll ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "data", "state"),
    [
        ("bria", {"status": "IN_PROGRESS"}, Working(queued=False)),
        ("bria", {"status": "COMPLETED", "result": {"image_url": "https://r"}}, Ready("https://r")),
        ("fal", {"status": "IN_QUEUE", "queue_position": 3}, Working(queued=True)),
        ("fal", {"status": "IN_PROGRESS", "logs": None}, Working(queued=False)),
        ("replicate", {"status": "starting"}, Working(queued=True)),
        ("replicate", {"status": "processing"}, Working(queued=False)),
        ("replicate", {"status": "succeeded", "output": "https://r"}, Ready("https://r")),
        ("replicate", {"status": "succeeded", "output": ["https://r"]}, Ready("https://r")),
        ("replicate", {"status": "succeeded", "output": {"url": "https://r"}}, Ready("https://r")),
    ],
)
def test_known_states(provider: str, data: Any, state: Working | Ready) -> None:
    assert polled(provider, answer(200, data)) == state


@pytest.mark.parametrize(
    ("provider", "data", "error", "words"),
    [
        ("bria", {"status": "ERROR", "error": {"code": 500, "message": "broke"}}, BackendFailed,
         "broke"),
        ("bria", {"status": "FAILED"}, BackendFailed, "could not do the work"),
        ("bria", {"status": "ERROR", "error": "Content moderation failed"}, BackendFailed,
         "moderate_input"),
        ("bria", {"status": "UNKNOWN"}, ResultWaiting, "UNKNOWN"),
        ("bria", {"status": "PONDERING"}, ResultWaiting, "PONDERING"),
        ("bria", {"status": 3}, ResultWaiting, "200"),
        ("bria", {"status": "COMPLETED"}, ResultWaiting, "image_url"),
        ("bria", {"status": "COMPLETED", "result": [1]}, ResultWaiting, "image_url"),
        ("bria", {"status": "NOT_FOUND"}, NotKnown, "NOT_FOUND"),
        ("fal", {"status": "PONDERING"}, ResultWaiting, "PONDERING"),
        ("fal", {"status": "COMPLETED", "error": "gone", "error_type": "runner_disconnected"},
         BackendFailed, "runner_disconnected"),
        ("replicate", {"status": "PONDERING"}, ResultWaiting, "PONDERING"),
        ("replicate", {"status": "succeeded", "output": None}, ResultWaiting, "output"),
        ("replicate", {"status": "succeeded", "output": [[]]}, ResultWaiting, "output"),
        ("replicate", {"status": "failed", "error": "CUDA"}, BackendFailed, "CUDA"),
        ("replicate", {"status": "failed", "error": None}, BackendFailed, "no explanation"),
        ("replicate", {"status": "failed", "error": "NSFW"}, BackendFailed, "content_moderation"),
        ("replicate", {"status": "canceled"}, MayBeBilled, "may have been charged"),
        ("replicate", {"status": "aborted"}, BackendFailed, "cost nothing"),
    ],
)  # fmt: skip
def test_ends_and_unknown_words(
    provider: str, data: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        polled(provider, answer(200, data))


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize(
    ("status", "error"),
    [(401, KeyMissing), (402, AccountRefused), (403, AccountRefused), (404, NotKnown),
     (410, NotKnown), (302, ResultWaiting), (400, ResultWaiting), (418, ResultWaiting)],
)  # fmt: skip
def test_polls_that_say_nothing_of_the_job(
    provider: str, status: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        polled(provider, answer(status, {"detail": "words", "error": "words"}))


def test_bria_may_tell_a_refusal_by_the_status_code_of_the_poll() -> None:
    with pytest.raises(BackendFailed, match="moderate_output"):
        polled("bria", answer(422, MODERATED["bria"]))
    with pytest.raises(UnusableResult, match="cannot|could not"):
        polled("bria", answer(422, {"error": {"code": 422, "message": "of a gateway"}}))
    with pytest.raises(ResultWaiting):
        polled("bria", answer(422, {"words": "of a gateway"}))


DONE = answer(200, {"status": "COMPLETED", "logs": None, "metrics": {}})
FAILED = answer(200, {"status": "COMPLETED", "error": "Invalid status code: 422"})


def test_fal_result() -> None:
    assert polled("fal", DONE, answer(200, {"image": {"url": "https://r"}})) == Ready("https://r")
    assert polled("fal", FAILED, answer(200, {"image": {"url": "data:x"}})) == Ready("data:x")


@pytest.mark.parametrize(
    ("status", "result", "error", "words"),
    [
        (FAILED, answer(422, MODERATED["fal"]), BackendFailed, "content_policy_violation"),
        (FAILED, answer(422, {"detail": [{"msg": "bad"}]}), BadPicture, "may charge for it"),
        # The job's status says nothing of a failure: what may be paid for is kept.
        (DONE, answer(422, {"detail": [{"msg": "bad"}]}), UnusableResult, "may charge for it"),
        (DONE, answer(400, {"detail": "no"}), UnusableResult, "no"),
        (DONE, answer(404, {"detail": "no"}), NotKnown, "no"),
        (DONE, answer(401, {"detail": "no"}), KeyMissing, "FAL_KEY"),
        (DONE, answer(200, {"images": []}), ResultWaiting, "image.url"),
        (
            FAILED,
            answer(503, {"detail": "lost"}, x_fal_error_type="runner_"),
            BackendFailed,
            "lost",
        ),
        (DONE, answer(503, {"detail": "lost"}, x_fal_error_type="runner_"), UnusableResult, "lost"),
        (DONE, Unreachable("503", 503), Unreachable, "503"),
        (FAILED, Unreachable("503", 503), BackendFailed, "Invalid status code"),
    ],
)
def test_fal_failures_that_hide_in_the_result(
    status: Answer, result: Answer | Exception, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        polled("fal", status, result)


# What is sent -----------------------------------------------------------------------------------


def calls_of(spec: BackendSpec, ticket: Ticket, **options: Any) -> list[Call]:
    """A submit, a poll of a finished job and a cancel."""
    finished = {"bria": {"status": "COMPLETED", "result": {"image_url": "u"}},
                "fal": {"status": "COMPLETED"}, "comfy": {"status": "COMPLETED"},
                "replicate": {"status": "aborted"}}  # fmt: skip
    wire = Scripted(
        ACCEPTED[spec.provider],
        answer(200, finished[spec.provider]),
        answer(200, {"image": {"url": "u"}, "result": {"image_url": "u"}}),
        answer(200, {"status": "aborted"}),
    )
    provider = made(spec, **options)

    async def talk() -> None:
        await provider.submit(wire, "IMAGE")
        try:
            await provider.poll(wire, ticket)
        except BackendFailed:
            wire.answers.pop(0)
        await provider.cancel(wire, ticket)

    asyncio.run(talk())
    return wire.calls


@pytest.mark.parametrize("spec", ROWS, ids=lambda spec: spec.id)
def test_addresses_that_were_not_given_are_built(spec: BackendSpec) -> None:
    foreign = dict.fromkeys(("status", "result", "cancel"), "https://foreign/x")
    for ticket in (Ticket(spec.id, "a/b?c"), Ticket(spec.id, "a/b?c", foreign)):
        urls = [call.url for call in calls_of(spec, ticket)[1:]]
        expected = {
            "bria/rmbg-2.0": ["https://engine.prod.bria-api.com/v2/status/a%2Fb%3Fc"],
            "bria/rmbg-guided": ["https://engine.prod.bria-api.com/v2/status/a%2Fb%3Fc"],
            "fal/rmbg-guided": [
                f"https://queue.fal.run/bria/guided-remove-background/requests/a%2Fb%3Fc{end}"
                for end in ("/status", "", "/cancel")
            ],
            "fal/rmbg-2.0": [
                f"https://queue.fal.run/fal-ai/bria/requests/a%2Fb%3Fc{end}"
                for end in ("/status", "", "/cancel")
            ],
            "fal/rmbg-3.0": [
                f"https://queue.fal.run/bria/rmbg-3/requests/a%2Fb%3Fc{end}"
                for end in ("/status", "", "/cancel")
            ],
            "replicate/rmbg-2.0": [
                f"https://api.replicate.com/v1/predictions/a%2Fb%3Fc{end}"
                for end in ("", "/cancel")
            ],
            "comfy/rmbg-2.0": [
                "https://api.comfy.org/v2/models/bria/image-edit-remove-background/requests/"
                f"a%2Fb%3Fc{end}"
                for end in ("/status", "")
            ],
            "comfy/rmbg-guided": [
                "https://api.comfy.org/v2/models/bria/image-edit-remove-background-guided/requests/"
                f"a%2Fb%3Fc{end}"
                for end in ("/status", "")
            ],
        }
        assert urls == expected[spec.id]


def test_given_addresses_are_used() -> None:
    urls = {"status": "https://ours/s", "result": "https://ours/r", "cancel": "https://ours/c"}
    calls = calls_of(FIRST["fal"], Ticket("fal/rmbg-2.0", "r", urls))
    assert [call.url for call in calls[1:]] == list(urls.values())
    assert [call.method for call in calls] == ["POST", "GET", "GET", "PUT"]


def test_moderation_is_sent_only_when_it_is_on() -> None:
    ticket = Ticket("x", "r")
    assert calls_of(FIRST["bria"], ticket, moderate_input=False)[0].data == {"image": "IMAGE"}
    assert calls_of(FIRST["bria"], ticket, moderate_input=True, moderate_output=True)[0].data == {
        "image": "IMAGE",
        "visual_input_content_moderation": True,
        "visual_output_content_moderation": True,
    }
    assert calls_of(FIRST["replicate"], ticket)[0].data == {"input": {"image": "IMAGE"}}
    assert calls_of(FIRST["replicate"], ticket, content_moderation=True)[0].data == {
        "input": {"image": "IMAGE", "content_moderation": True}
    }


def test_bria_never_asks_to_cancel() -> None:
    assert len(calls_of(FIRST["bria"], Ticket("bria/rmbg-2.0", "r"))) == 2


@pytest.mark.parametrize(
    ("provider", "given", "free"),
    [
        ("fal", answer(200, {"status": "CANCELLED"}), True),
        ("fal", answer(202, {"status": "CANCELLATION_REQUESTED"}), False),
        ("fal", answer(400, {"status": "ALREADY_COMPLETED"}), False),
        ("fal", answer(404, {"status": "NOT_FOUND"}), False),
        ("replicate", answer(200, {"status": "aborted"}), True),
        ("replicate", answer(200, {"status": "canceled"}), False),
        ("replicate", answer(200, {"status": "succeeded"}), False),
        ("replicate", answer(404, {"detail": "no"}), False),
    ],
)
def test_a_cancel_is_free_only_when_the_provider_says_so(
    provider: str, given: Answer, free: bool
) -> None:
    ticket = Ticket(FIRST[provider].id, "r")
    assert asyncio.run(made(FIRST[provider]).cancel(Scripted(given), ticket)) is free


@pytest.mark.parametrize("provider", ["fal", "replicate"])
@pytest.mark.parametrize(
    ("given", "error"),
    [(answer(401, {}), KeyMissing), (answer(403, {}), AccountRefused),
     (answer(400, {}), BackendFailed), (answer(200, {"urls": 3}), BackendFailed)],
)  # fmt: skip
def test_a_refused_upload(provider: str, given: Answer, error: type[Exception]) -> None:
    with pytest.raises(error):
        asyncio.run(made(small_inline(FIRST[provider])).hand_over(Scripted(given), PNG))


def small_inline(spec: BackendSpec) -> BackendSpec:
    """The row with nothing travelling inside the request."""
    return replace(spec, hosting=replace(hosting_of(spec), inline_bytes=10))


# On real sockets --------------------------------------------------------------------------------


whole_life = life_of(PNG)


@pytest.mark.parametrize("spec", ROWS, ids=lambda spec: spec.id)
@pytest.mark.parametrize("official", [False, True], ids=["own-urls", "official-urls"])
@pytest.mark.parametrize("inline", [True, False], ids=["inline", "upload"])
def test_a_picture_goes_there_and_its_alpha_comes_back(
    spec: BackendSpec, official: bool, inline: bool
) -> None:
    given = spec if inline or spec.provider in ("bria", "comfy") else small_inline(spec)
    with HostedServer(spec.provider, seconds=0.03, official=official) as server:
        result = talk(given, server, whole_life)
        assert (server.complaints, server.notes, server.bills) == ([], [], 1)
        assert [job.digest for job in server.jobs.values()] == [picture_digest(LEVELS)]
        assert bool(server.records.uploads) is (given is not spec)
    alpha = np.asarray(Image.open(io.BytesIO(result)))[..., 3]
    np.testing.assert_array_equal(alpha, expected_alpha(LEVELS))


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize(
    ("fault", "error", "jobs", "bills"),
    [
        (Fault("submit", "reset before work"), AnswerLost, 0, 0),
        (Fault("submit", "reset after work"), AnswerLost, 1, 1),
        (Fault("submit", "truncate"), AnswerLost, 1, 1),
        (Fault("submit", "not json"), AnswerLost, 1, 1),
        (Fault("submit", "empty"), AnswerLost, 1, 1),
        (Fault("submit", "no id"), AnswerLost, 1, 1),
        (Fault("submit", "500 after work"), AnswerLost, 1, 1),
        (Fault("submit", 503), AnswerLost, 0, 0),
        (Fault("submit", "moderation"), BackendFailed, 0, 0),
        (Fault("submit", "redirect"), BackendFailed, 0, 0),
        (Fault("submit", 401), KeyMissing, 0, 0),
        (Fault("submit", 402), AccountRefused, 0, 0),
        (Fault("submit", 413), BadPicture, 0, 0),
        (Fault("submit", "failed"), BackendFailed, 1, 0),
        (Fault("status", "failed"), BackendFailed, 1, 0),
        (Fault("status", "moderation"), BackendFailed, 1, 0),
        (Fault("status", "unknown state"), ResultWaiting, 1, 1),
        (Fault("status", "gone"), NotKnown, 1, 1),
        (Fault("status", "reset before work", times=9), Unreachable, 1, 1),
        (Fault("status", "not json", times=3), Unreachable, 1, 1),
        (Fault("download", "expired"), aiohttp.ClientResponseError, 1, 1),
        (Fault("download", "truncate"), aiohttp.ClientPayloadError, 1, 1),
    ],
    ids=lambda value: f"{value.step}-{value.kind}" if isinstance(value, Fault) else None,
)
def test_faults(provider: str, fault: Fault, error: type[Exception], jobs: int, bills: int) -> None:
    with HostedServer(provider) as server:
        server.plan(fault)
        with pytest.raises(error) as caught:
            talk(FIRST[provider], server, whole_life)
        assert (len(server.jobs), server.bills, server.complaints) == (jobs, bills, [])
        if fault.kind == "500 after work":
            assert isinstance(caught.value, AnswerLost)
            assert caught.value.request_id in server.jobs
        assert server.key not in str(caught.value)
        assert FORBIDDEN not in str(caught.value)


@pytest.mark.parametrize("provider", ALL)
def test_polls_outlive_a_bad_moment(provider: str) -> None:
    with HostedServer(provider) as server:
        server.plan(Fault("status", 502), Fault("status", "truncate"))
        assert talk(FIRST[provider], server, whole_life)


@pytest.mark.parametrize("provider", ["fal", "replicate"])
@pytest.mark.parametrize("queued", [True, False])
def test_cancel(provider: str, queued: bool) -> None:
    async def cancelled(speaker: Any, wire: Sockets) -> bool:
        ticket = await speaker.submit(wire, await speaker.hand_over(wire, PNG))
        assert await speaker.poll(wire, ticket) == Working(queued=queued)
        return bool(await speaker.cancel(wire, ticket))

    with HostedServer(provider, seconds=9, queue_seconds=9 if queued else 0) as server:
        assert talk(FIRST[provider], server, cancelled) is queued
        assert server.bills == (0 if queued else 1)


# The servers themselves -------------------------------------------------------------------------


def test_every_kind_of_answer_holds_the_same_alpha() -> None:
    files = {}
    for variant in ("rgba", "la", "l", "palette", "rgba16", "la16", "wrong size", "opaque"):
        with HostedServer("bria", variant=variant) as server:
            files[variant] = talk(FIRST["bria"], server, whole_life)
    expected = expected_alpha(LEVELS)
    for variant in ("rgba", "la", "palette"):
        image = Image.open(io.BytesIO(files[variant]))
        np.testing.assert_array_equal(np.asarray(image.convert("RGBA"))[..., 3], expected)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(files["l"]))), expected)
    for variant in ("rgba16", "la16"):
        assert files[variant][24] == 16
        alpha = np.asarray(Image.open(io.BytesIO(files[variant])).convert("RGBA"))[..., 3]
        assert np.abs(alpha.astype(int) - expected_alpha16(LEVELS) // 257).max() <= 1
    assert Image.open(io.BytesIO(files["wrong size"])).size == (31, 12)
    assert np.asarray(Image.open(io.BytesIO(files["opaque"])))[..., 3].min() == 255


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize("bad", ["rgba", "metadata", "jpeg", "text"])
def test_a_sloppy_picture_is_complained_of(provider: str, bad: str) -> None:
    target = io.BytesIO()
    if bad == "rgba":
        Image.new("RGBA", (4, 4)).save(target, "PNG")
    elif bad == "metadata":
        Image.new("RGB", (4, 4)).save(target, "PNG", dpi=(72, 72))
    elif bad == "jpeg":
        Image.new("RGB", (4, 4)).save(target, "JPEG")
    else:
        target.write(b"hello")

    async def sent(speaker: Any, wire: Sockets) -> Ticket:
        image = base64.b64encode(target.getvalue()).decode()
        return await speaker.submit(
            wire, image if provider == "bria" else f"data:image/png;base64,{image}"
        )

    with HostedServer(provider) as server:
        with pytest.raises(BadPicture):
            talk(FIRST[provider], server, sent)
        assert len(server.complaints) == 1
        assert server.bills == 0


def test_a_key_at_a_files_address_is_complained_of() -> None:
    async def leak(server: HostedServer) -> None:
        headers = {"Authorization": "Key x"}
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{server.url}/files/x.png", headers=headers) as given:
                assert given.status == 404
            async with session.get(f"{server.url}/_records") as given:
                records = await given.json()
        assert records["complaints"] == server.complaints
        assert server.key not in json.dumps(records)

    with HostedServer("fal") as server:
        asyncio.run(leak(server))
        assert "key" in server.complaints[0]


@pytest.mark.parametrize("kind", ["int", "float", "date", "skewed date", "none"])
def test_limits_are_told_in_every_form(kind: Any) -> None:
    async def limited(speaker: Any, wire: Sockets) -> Answer:
        return await wire.submit(Call("POST", server.url + "/v1/models/a/b/predictions", data={}))

    with HostedServer("replicate") as server:
        server.plan(Fault("submit", 429, retry_after=kind, seconds=3))
        given = talk(FIRST["replicate"], server, limited)
    assert given.status == 429
    assert ("retry-after" in given.headers) is (kind != "none")
    assert server.jobs == {}
