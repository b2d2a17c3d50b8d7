"""What is sent again, and when."""

# Pins the inside of backends.hosted.http.retry

from __future__ import annotations

from email.utils import formatdate

import pytest

from rmbg_nodes.backends.hosted.http.retry import (
    ATTEMPTS,
    Again,
    Backoff,
    Operation,
    Seen,
    decide,
    parse_retry_after,
)

NOW = 1_770_000_000.0
DATE = formatdate(NOW, usegmt=True)


def seen(
    status: int | None,
    *,
    retry_after: str | None = None,
    date: str | None = DATE,
    left: bool = True,
    json_ok: bool = True,
    broken: bool = False,
) -> Seen:
    return Seen(status, retry_after, date, left, json_ok, broken or status is None)


def kind(operation: Operation, what: Seen, attempt: int = 1) -> str:
    return type(decide(operation, attempt, what, 1.0)).__name__


@pytest.mark.parametrize(
    ("what", "submit", "ask", "download"),
    [
        (seen(200), "Accept", "Accept", "Accept"),
        (seen(200, json_ok=False), "Accept", "Again", "Accept"),
        (seen(201, json_ok=False), "Accept", "Accept", "GiveUp"),
        (seen(202), "Accept", "Accept", "GiveUp"),
        (seen(302), "Accept", "Accept", "GiveUp"),
        (seen(400), "Accept", "Accept", "GiveUp"),
        (seen(401), "Accept", "Accept", "GiveUp"),
        (seen(402), "Accept", "Accept", "GiveUp"),
        (seen(403), "Accept", "Accept", "GiveUp"),
        (seen(404), "Accept", "Accept", "GiveUp"),
        (seen(410), "Accept", "Accept", "GiveUp"),
        (seen(422), "Accept", "Accept", "GiveUp"),
        (seen(408), "Accept", "Again", "Again"),
        (seen(425), "Accept", "Again", "Again"),
        (seen(429), "Again", "Again", "Again"),
        (seen(500), "Accept", "Again", "Again"),
        (seen(502), "Accept", "Again", "Again"),
        (seen(503), "Accept", "Again", "Again"),
        (seen(504), "Accept", "Again", "Again"),
        (seen(506), "Accept", "Again", "Again"),
        (seen(None, left=False), "Again", "Again", "Again"),
        (seen(None, left=True), "GiveUp", "Again", "Again"),
        (seen(200, broken=True), "GiveUp", "Again", "Again"),
        (seen(422, broken=True), "GiveUp", "Again", "Again"),
        (seen(429, broken=True), "Again", "Again", "Again"),
    ],
)
def test_the_table(what: Seen, submit: str, ask: str, download: str) -> None:
    assert kind("submit", what) == submit
    assert kind("ask", what) == ask
    assert kind("download", what) == download


@pytest.mark.parametrize("operation", ["submit", "ask", "download"])
def test_it_gives_up_after_so_many_failures(operation: Operation) -> None:
    refused = seen(None, left=False)
    last = ATTEMPTS[operation]
    assert kind(operation, refused, last - 1) == "Again"
    assert kind(operation, refused, last) == "GiveUp"


def test_a_throttled_account_waits_for_as_long_as_the_caller_does() -> None:
    assert kind("submit", seen(429), 1000) == "Again"
    assert kind("ask", seen(429), 1000) == "Again"
    assert kind("download", seen(429), 5) == "GiveUp"


def test_back_off_doubles_and_ends() -> None:
    pauses = [decide("ask", n, seen(503), 1.0) for n in range(1, 8)]
    assert pauses == [Again(s) for s in (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0)]
    assert decide("ask", 3, seen(503), 0.5) == Again(1.0)
    assert decide("submit", 10_000, seen(429), 0.75) == Again(11.25)
    assert decide("ask", 2, seen(503), 1.0, Backoff(0.01, 0.015)) == Again(0.015)


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("7", DATE, 7.0),
        (" 7 ", DATE, 7.0),
        ("2.5", None, 2.5),
        ("0", DATE, 0.0),
        (formatdate(NOW + 9, usegmt=True), DATE, 9.0),
        # The server's clock is an hour behind ours, or a year ahead: only its own counts.
        (formatdate(NOW - 3590, usegmt=True), formatdate(NOW - 3600, usegmt=True), 10.0),
        (formatdate(3 * NOW + 4, usegmt=True), formatdate(3 * NOW, usegmt=True), 4.0),
        ("Sunday, 06-Nov-94 08:49:47 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", 10.0),
        (formatdate(NOW - 1, usegmt=True), DATE, None),
        (formatdate(NOW + 9, usegmt=True), None, None),
        (formatdate(NOW + 9, usegmt=True), "yesterday", None),
        ("-1", DATE, None),
        ("nan", DATE, None),
        ("inf", DATE, None),
        ("9" * 400, DATE, None),
        ("1e3", DATE, None),
        ("5 s", DATE, None),
        ("soon", DATE, None),
        ("", DATE, None),
        (None, DATE, None),
        ("Mon, 99 Foo 2026 00:00:00 GMT", DATE, None),
    ],
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, date) == seconds


@pytest.mark.parametrize("operation", ["submit", "ask", "download"])
def test_what_the_server_asks_for_is_waited_within_reason(operation: Operation) -> None:
    assert decide(operation, 1, seen(429, retry_after="7"), 0.5) == Again(7.0)
    assert decide(operation, 1, seen(429, retry_after="86400"), 0.5) == Again(60.0)
    assert decide(operation, 1, seen(429, retry_after="0"), 0.5) == Again(0.25)
    assert decide(operation, 2, seen(429, retry_after="soon"), 1.0) == Again(1.0)
    assert decide(operation, 2, seen(429, retry_after="-3"), 1.0) == Again(1.0)
