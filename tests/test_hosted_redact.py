"""No key in any text."""

# Pins the inside of backends.hosted.http.redact

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from rmbg_nodes.backends.hosted.http.redact import Redactor

FAL = "0f6e1c7a-1b2c-4d3e:s3cr3t/+half=of~it"
HALF = FAL.partition(":")[2]


@pytest.mark.parametrize("secret", [FAL, HALF, FAL.partition(":")[0]])
@pytest.mark.parametrize(
    "spelled",
    [
        str,
        lambda s: quote(s, safe=""),
        quote,
        quote_plus,
        lambda s: json.dumps(s)[1:-1],
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    ],
)
def test_a_key_is_hidden_however_it_is_written(secret: str, spelled) -> None:
    text = f"<Authorization: Key {spelled(secret)}> was refused"
    cleaned = Redactor([FAL]).clean(text)
    assert spelled(secret).rstrip("=") not in cleaned
    assert "[key]" in cleaned
    assert cleaned.endswith("was refused")


def test_the_whole_key_is_replaced_once() -> None:
    assert Redactor([FAL]).clean(f"Key {FAL}.") == "Key [key]."


def test_a_short_secret_is_hidden_as_a_word_only() -> None:
    redactor = Redactor(["abc", ""])
    assert redactor.clean("abc, 'abc' and abcd in alphabc") == (
        "[key], '[key]' and abcd in alphabc"
    )


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("GET https://a.example/x?sig=1&e=2 failed", "GET https://a.example/x?... failed"),
        ("url='https://a.example/x?sig'", "url='https://a.example/x?...'"),
        ("GET /files/x.png?X-Amz-Signature=abc%2F HTTP/1.1", "GET /files/x.png?... HTTP/1.1"),
        ("https://user:pass@a.example/x", "https://a.example/x"),
        ("(https://a.example/?a=b)", "(https://a.example/?...)"),
        ("really? yes", "really? yes"),
        ("https://a.example/x", "https://a.example/x"),
    ],
)
def test_queries_are_cut(text: str, cleaned: str) -> None:
    assert Redactor([]).clean(text) == cleaned


def test_texts_are_kept_short_but_not_before_the_key_is_out() -> None:
    cleaned = Redactor([FAL]).clean("x" * 490 + FAL + "y" * 100)
    assert len(cleaned) == 500
    assert "0f6e" not in cleaned
    assert cleaned.endswith("...")


def test_it_shows_its_secrets_to_nobody() -> None:
    assert HALF not in repr(Redactor([FAL]))
