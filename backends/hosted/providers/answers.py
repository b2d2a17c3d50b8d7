"""What a provider said, as a sentence and as one of our errors.

The answers of the three providers, and of the gateways in front of them, come in many shapes. Here
texts are pulled out of JSON of any shape, and an answer that is no success becomes the error that
names what the user can do about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ....config.hosted import hosting_of
from ....core.errors import AccountRefused, BackendFailed, BadPicture, KeyMissing, ResultWaiting
from ....core.report import JsonValue
from ....core.specs import BackendSpec, OptionValue
from ..http.wire import Answer, AnswerLost, JsonObject, NotKnown

_MOST = 200
# Where providers put what they have to say, in the order in which it makes a sentence.
_SPEAKING = ("title", "error", "message", "detail", "details", "msg", "description",
             "invalid_fields", "error_type", "code", "type")  # fmt: skip
# A gateway may echo what was sent to it: signed queries and whatever could be a key.
_QUERY = re.compile(r"(https?://[^\s?]*)\?\S*")
_SECRET = re.compile(r"(?i)\b(key|bearer|token|api_token)([ :=]+)\S+")
_LONG = re.compile(r"(?=[\w:+/=-]*\d)[\w:+/=-]{20,}")
# The providers' words for a picture that they will not work on, as far as they are documented.
_MODERATION = re.compile(r"(?i)moderat|content.?policy|nsfw|unsafe|flagged|inappropriate")


def text_at(data: JsonValue, *path: str | int) -> str | None:
    """Return the text at this place, stripped; None when there is none, or it is empty."""
    found = data
    for step in path:
        if isinstance(found, dict) and isinstance(step, str):
            found = found.get(step)
        elif isinstance(found, list) and isinstance(step, int) and step < len(found):
            found = found[step]
        else:
            return None
    return found.strip() or None if isinstance(found, str) else None


def id_at(data: JsonValue, key: str) -> str | None:
    """Return the id under this key, which may be a number; None when it cannot be an id."""
    found = data.get(key) if isinstance(data, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    text = text_at(data, key)
    usable = text and text.isprintable() and len(text) <= _MOST and text.strip(".")
    return text if usable else None


def urls_at(data: JsonValue, **keys: str) -> dict[str, str]:
    """Return role -> URL, of those roles whose key holds a text."""
    found = {role: text_at(data, key) for role, key in keys.items()}
    return {role: url for role, url in found.items() if url}


def instruction_of(spec: BackendSpec, options: Mapping[str, OptionValue]) -> JsonObject:
    """Return the field of a request for the words that the model works by; none where there are
    none. BRIA's is called as our option, and so it is at its resellers."""
    option = spec.instruction
    words = option and options.get(option.name)
    return {option.name: str(words)} if option and words else {}


def said(value: Answer | JsonValue) -> str:
    """What an answer or a part of its body says, in at most 200 characters, without anything that
    could be a key."""
    if isinstance(value, Answer):
        data = value.data()
        if data is None:
            start = value.body[: 4 * _MOST].decode("utf-8", "replace").strip()
            return "a web page" if start.startswith("<") else _quotable(start)
        value = data
    return _quotable("; ".join(dict.fromkeys(_texts(value, 4))))


def moderated(words: str) -> bool:
    """Say whether the provider means that it does not like what the picture shows."""
    return _MODERATION.search(words) is not None


@dataclass(frozen=True)
class Answers:
    """Judge what one provider answers: each method returns, or raises what became of the work."""

    spec: BackendSpec
    who: str
    """What messages call the provider."""
    id_key: str = ""
    """Where a job's id stands in its answers."""
    moderation: str = ""
    """The sentence on what to set when a picture is refused for what it shows."""

    def accepted_id(self, answer: Answer) -> str:
        """Return the job's id from the answer to a submit.

        Raises AnswerLost where none is found, for 408 and 5xx, because a gateway that gave up may
        have passed it on, and for a refusal of what may have been accepted before.
        """
        who, status, data = self.who, answer.status, answer.data()
        if answer.uncertain and not 200 <= status < 300:
            raise AnswerLost(f"{who} answered {status}: {said(answer)}")
        if 200 <= status < 300:
            if data is None:
                raise AnswerLost(f"{who} answered {status} with something that is no JSON object")
            found = id_at(data, self.id_key)
            if found is None:
                raise AnswerLost(f"{who} answered {status} without a request id")
            return found
        self.check_account(answer)
        if status == 408 or status >= 500:
            raise AnswerLost(f"{who} answered {status}: {said(answer)}", id_at(data, self.id_key))
        if status < 400:
            variables = " or ".join(name for name, _ in hosting_of(self.spec).bases.values())
            raise BackendFailed(
                f"{who} answered with a redirect ({status}), which is not followed because the "
                f"request carries a key. Nothing was accepted; set {variables} to the final "
                "address."
            )
        raise self.refusal(status, said(answer))

    def check_account(self, answer: Answer) -> None:
        """Raise KeyMissing or AccountRefused when it is the account that the provider refuses."""
        hosting = hosting_of(self.spec)
        if answer.status == 401:  # its words are not quoted: they may hold the key
            raise KeyMissing(
                f"{self.who} refused the key. Set {' or '.join(self.spec.key_variables)} to a "
                f"valid one; keys are made at {hosting.key_page}."
            )
        if answer.status in (402, 403):
            raise AccountRefused(
                f"{self.who} does not serve this account ({answer.status}: {said(answer)}). Top up "
                f"your balance, or have the model opened to your account: {hosting.jobs_page}."
            )

    def check_poll(self, answer: Answer) -> None:
        """Raise for what is no word about the job: the account, an unknown id, a redirect.

        Raises KeyMissing, AccountRefused, NotKnown or ResultWaiting.
        """
        self.check_account(answer)
        if answer.status in (404, 410):
            raise NotKnown(f"{self.who} answered {answer.status}: {said(answer)}")
        if 300 <= answer.status < 400:
            raise self.unknown(f"a redirect ({answer.status})")

    def refusal(self, status: int | None, words: str) -> BackendFailed | BadPicture:
        """Return the error for a picture that the provider will not or could not work on."""
        who, code = self.who, f"{status}: " if status else ""
        if moderated(words):
            return BackendFailed(
                f"{who} refused what the picture shows ({code}{words}). {self.moderation}"
            )
        if status == 413:
            return BadPicture(
                f"{who} says that the picture is too large ({code}{words}). Send it smaller: the "
                "`downscale` setting does so when a limit is known; or use another backend."
            )
        if status in (415, 422):
            return BadPicture(
                f"{who} cannot use the picture ({code}{words}). Convert it, or use another backend."
            )
        if status == 404:
            return BackendFailed(
                f"{who} does not offer this model to your account or at this address "
                f"({code}{words}). Look at your plan, or choose another backend."
            )
        return BackendFailed(
            f"{who} could not do the work ({code}{words}). Run it again, or choose another backend."
        )

    def upload_failed(self, answer: Answer) -> BackendFailed:
        """Return the error for a picture that could not be uploaded."""
        return BackendFailed(
            f"{self.who} did not take the upload of the picture ({answer.status}: "
            f"{said(answer)}). Nothing was billed; run it again."
        )

    def unknown(self, words: str) -> ResultWaiting:
        """Return the error for an answer about a job that this version cannot read."""
        return ResultWaiting(
            f"{self.who} answers about its job in words that this version does not know "
            f"({_quotable(words)}). The request id was kept: run it again later, or update this "
            "package; nothing is paid again."
        )

    def unknown_state(self, answer: Answer) -> ResultWaiting:
        """Return the error for a job in a state that this version does not know."""
        return self.unknown(text_at(answer.data(), "status") or f"{answer.status}: {said(answer)}")


def _texts(value: JsonValue, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        # An RFC 7807 problem names its type by an address, which says nothing to people.
        if value.strip() and not value.startswith(("http://", "https://", "about:")):
            yield " ".join(value.split())
    elif isinstance(value, list) and depth:
        for item in value[:5]:
            yield from _texts(item, depth - 1)
    elif isinstance(value, dict) and depth:
        for key in _SPEAKING:
            yield from _texts(value.get(key), depth - 1)


def _quotable(text: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text)
    plain = _SECRET.sub(r"\1\2[...]", _LONG.sub("[...]", _QUERY.sub(r"\1?...", plain)))
    plain = re.sub(r"(?<!\.)\.$", "", " ".join(plain.split()))
    if len(plain) > _MOST:
        plain = plain[: _MOST - 3].rstrip() + "..."
    return plain or "no explanation"
