"""What a provider's file is written in: calls, answers, and how far a job has come.

Plain data and protocols. A provider's file turns a picture into calls and answers into progress; it
knows nothing of sockets, retries, keys or limits. The transport carries the calls and knows nothing
of the provider.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from ....core.report import JsonValue
from ....core.types import Ticket

JsonObject: TypeAlias = "dict[str, JsonValue]"


class Pieces(Protocol):
    """A body that is read while it is sent, from its beginning each time it is iterated."""

    @property
    def length(self) -> int:
        """Return its size in bytes."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Sink(Protocol):
    """Where the body of an answer goes that is too large for memory."""

    async def begin(self) -> None:
        """Forget what came before: an answer begins. Raises OSError."""

    async def write(self, piece: bytes) -> None:
        """Take the next piece. Raises OSError."""


@dataclass(frozen=True)
class Upload:
    """A file as a multipart form field."""

    field: str
    file_name: str
    content_type: str
    content: bytes | Pieces
    before: tuple[tuple[str, str], ...] = ()
    """Fields of text that come before the file: (name, text)."""


@dataclass(frozen=True)
class Call:
    """One HTTP request; at most one of data, content and upload is given.

    The transport adds the account's key, and only where the URL is on a configured server.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    url: str
    data: JsonObject | None = None
    """Sent as JSON."""
    content: bytes | Pieces | None = None
    """Sent as it is."""
    upload: Upload | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    final_header: str = ""
    """A response header with which even a 5xx is the last word, and not worth a repetition."""
    repeatable: bool = False
    """A submit that has an idempotency key, so that it is repeated like what is free. The wire says
    so, not the provider's file."""
    answer_seconds: float = 0.0
    """How long the answer to a submit may take to begin; 0: as long as others."""
    telling_headers: tuple[str, ...] = ()
    """Response headers that say why a 429 came, for the message."""


@dataclass(frozen=True)
class Answer:
    """One HTTP response, read to its end. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    uncertain: bool = False
    """To a submit with an idempotency key: the same was sent before, and may have been accepted.
    So an answer that is no success does not say that nothing is owed."""

    def data(self) -> JsonObject | None:
        """Return the body as a JSON object; None when it is none."""
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return parsed if isinstance(parsed, dict) else None


@dataclass
class SendState:
    """How far one submit has come. A 429 has nothing under way: nothing was accepted."""

    under_way: bool = False
    """Bytes may have left, and the answer is not in yet."""
    home: str = ""
    """The server that it goes to: one id can only come twice from there."""


class NotSent(Exception):
    """A submit of which no byte has left: nothing can have been billed. The text says why."""


class AnswerLost(Exception):
    """A submit that may have arrived and whose answer is not known. The text says why.

    request_id: the job's id, when even a broken answer named it.
    """

    def __init__(self, reason: str, request_id: str | None = None) -> None:
        super().__init__(reason)
        self.request_id = request_id


class KeySpent(AnswerLost):
    """A submit whose idempotency key the host knows and gives no answer for (any more): it is lost
    for good, and may have been billed."""


class Unreachable(Exception):
    """A repeatable request that went wrong for good. The text says why.

    status: the last HTTP status, None when no answer came.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class NotKnown(Exception):
    """The provider has no job of this id (any more)."""


class Account:
    """What this process has found out about one account at one server. On the loop."""

    def __init__(self) -> None:
        self._found: dict[str, bool] = {}
        self._line = asyncio.Lock()

    def says(self, what: str) -> bool | None:
        """Return what was found out; None for nothing yet."""
        return self._found.get(what)

    def note(self, what: str, is_so: bool) -> None:
        """Remember it as long as the process lives."""
        self._found[what] = is_so

    @asynccontextmanager
    async def deciding(self, what: str) -> AsyncIterator[None]:
        """Let one at a time in until it is found out, and everybody from then on."""
        if what not in self._found:
            async with self._line:
                if what not in self._found:
                    yield
                    return
        yield


class Wire(Protocol):
    """What the transport offers to a provider's file. Every wait can be cancelled at once."""

    @property
    def account(self) -> Account:
        """Return what is known of the account whose key is sent."""

    @property
    def sent_to(self) -> str:
        """Return the address that this submit was sent to earlier, with the same idempotency key;
        empty for one that is new."""

    async def submit(self, call: Call) -> Answer:
        """Send what starts paid work: repeated only after a 429 or while no byte has left.

        Returns any answer but a 429, whatever its status. Raises NotSent or AnswerLost. Where the
        row says that the host takes idempotency keys, one is added, and the call is repeated on
        everything that says nothing of what became of it; then also a 409 and a 504 with
        Retry-After are waited for.
        """

    async def ask(self, call: Call) -> Answer:
        """Send what is free to repeat: a poll, an upload, a cancel.

        Repeats with back-off on transport errors, 408, 429, 5xx and on a 200 that is no JSON
        object. Returns every other answer. Raises Unreachable when it gives up.
        """

    async def put(self, call: Call) -> Answer:
        """Send a file to an address that the provider named, without the key and without reading
        the answer as JSON; repeated like `ask`."""

    def rebase(self, role: str, url: str) -> str | None:
        """Return a URL of the provider's, on the configured server of this role (a gateway
        stands in for the official address); None when it belongs to neither, for then the key
        must not go there."""


@dataclass(frozen=True)
class Working:
    """Not finished. queued: it has not begun, as far as the provider says."""

    queued: bool


@dataclass(frozen=True)
class Ready:
    """Finished: the picture lies at this URL (https, or a data URI)."""

    url: str


class Words(Protocol):
    """One provider's words about jobs, whatever they work on.

    Every method may raise KeyMissing (the key is refused), AccountRefused (no credit, no
    entitlement), BackendFailed or BadPicture (the picture is refused, nothing to fetch), and what
    the wire raises.
    """

    def headers(self, key: str) -> Mapping[str, str]:
        """Return the headers that identify the account."""

    async def submit(self, wire: Wire, image: str) -> Ticket:
        """Start the paid work on what this stands for. Raises NotSent, or AnswerLost when the
        answer is no ticket; at a host that takes idempotency keys this is asked for again then, and
        KeySpent ends that."""

    async def poll(self, wire: Wire, ticket: Ticket) -> Working | Ready:
        """Ask how far it is. Raises NotKnown when there is no such job, ResultWaiting when the
        answer is in words that this version does not know, BackendFailed when the job failed."""

    async def cancel(self, wire: Wire, ticket: Ticket) -> bool:
        """Ask the provider to drop a job that has not begun. True only when the provider said that
        it never will begin, so that it costs nothing."""


class Provider(Words, Protocol):
    """The words for pictures."""

    async def hand_over(self, wire: Wire, png: bytes) -> str:
        """Return what stands for the picture in the request: its bytes as text, or an upload's
        URL."""


@dataclass(frozen=True)
class VideoFile:
    """A video on its way to a provider. Its name stays here."""

    content: Pieces
    content_type: str
    suffix: str
    """With its dot, as the container is usually named."""


class VideoProvider(Words, Protocol):
    """The words for videos, which travel as addresses."""

    async def upload(self, wire: Wire, video: VideoFile) -> str:
        """Return the address at which the provider keeps the video for a while."""

    def named(self, address: str) -> str:
        """Return what stands in the request for the video at this address."""
