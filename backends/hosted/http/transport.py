"""The only door to the network.

It carries a provider's calls: in the account's pace, with the key where the key belongs and nowhere
else, repeated where that is safe, and it says in plain words what went wrong. Nothing secret leaves
it in a text: no cause is chained to what it raises, and what it raises is redacted.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urljoin

from ....config.settings import read_settings
from ....core.errors import Offline
from .addresses import Barred, Base, check_url, origin_of, parse_url
from .bodies import length_of, packed
from .data_uri import decode_data_uri
from .exchange import SLOWEST, Attempt, Request, exchange
from .rate_limits import RateLimits
from .redact import Redactor
from .retry import Accept, Again, Backoff, Operation, decide
from .runtime import Runtime
from .sessions import SessionName, proxy_for
from .wire import Account, Answer, AnswerLost, Call, NotSent, SendState, Sink, Unreachable

_log = logging.getLogger("rmbg_nodes.hosted")

_MOST_OF_A_SUBMIT = 8_000_000
# A result may stand in a poll's answer as a data URI.
_MOST_OF_AN_ANSWER = 64_000_000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_USUAL = Backoff()


class Transport:
    """See wire.Wire. One run's way to one provider; its methods run on the runtime's loop."""

    def __init__(
        self,
        runtime: Runtime,
        rate_limits: RateLimits,
        bases: Mapping[str, str],
        official: Mapping[str, str],
        key_headers: Mapping[str, str],
        redactor: Redactor,
        *,
        submit_seconds: float = 120.0,
        connect_seconds: float = 15.0,
        read_seconds: float = 60.0,
        again_seconds: float = 600.0,
        backoff: Backoff = _USUAL,
        plain_http: bool = False,
    ) -> None:
        """bases, official: role -> scheme, host and path prefix, as configured and as documented.
        key_headers: what identifies the account. submit_seconds: for one attempt of a submit,
        beside the time its bytes take. again_seconds: how long one request is repeated at most.
        plain_http: downloads may be of http. Raises BadOption for a base that is no address."""
        self._runtime = runtime
        self._rate_limits = rate_limits
        self._bases = {role: Base.of(text) for role, text in bases.items()}
        self._official = {role: Base.of(text) for role, text in official.items()}
        self._key_headers = key_headers
        self._redactor = redactor
        self._submit_seconds = submit_seconds
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._again_seconds = again_seconds
        self._backoff = backoff
        self._plain_http = plain_http
        told = json.dumps([sorted(bases.items()), sorted(key_headers.items())])
        self._account = runtime.account(hashlib.sha256(told.encode()).hexdigest())
        # A gateway's own files may lie on it; what the provider documents is on the internet.
        documented = {base.origin for base in self._official.values()}
        self._gateways = frozenset(base.origin for base in self._bases.values()) - documented

    @property
    def account(self) -> Account:
        """See wire.Wire."""
        return self._account

    @property
    def sent_to(self) -> str:
        """See wire.Wire: here every submit is a new one."""
        return ""

    async def submit(self, call: Call, departure: SendState | None = None) -> Answer:
        """See wire.Wire. departure: learns when bytes may have left; while it says no, cancelling
        means that nothing was sent. Raises NotSent, AnswerLost or Offline."""
        leaving = departure or SendState()
        if not self._is_ours(call.url):
            raise NotSent("its address is not on the provider's servers")
        seconds = call.answer_seconds or self._submit_seconds
        request = self._request(call, _MOST_OF_A_SUBMIT, self._key_headers)
        total = seconds + length_of(request.body) / SLOWEST
        request = replace(
            request, read_seconds=seconds, total_seconds=total, wants_json=call.repeatable
        )
        earlier = False

        async def once(number: int) -> Attempt:
            nonlocal earlier
            earlier = leaving.under_way
            await self._rate_limits.pace.turn()
            attempt = await self._exchange(request, "submit", number, leaving)
            if attempt.seen.status == 429:
                leaving.under_way = earlier and call.repeatable
            return attempt

        last, answer = await self._repeat("keyed" if call.repeatable else "submit", once)
        if answer is not None:
            return replace(self._quotable(answer), uncertain=call.repeatable and earlier)
        reason = self._redactor.clean(_told(last, call.telling_headers))
        if last.seen.bytes_left and (last.seen.status != 429 or leaving.under_way):
            raise AnswerLost(reason)
        raise NotSent(reason)

    async def ask(self, call: Call) -> Answer:
        """See wire.Wire. Raises Unreachable or Offline."""
        if not self._is_ours(call.url):
            raise Unreachable("its address is not on the provider's servers")
        request = self._request(call, _MOST_OF_AN_ANSWER, self._key_headers)
        return await self._asked(
            replace(request, wants_json=True), "api", final_header=call.final_header
        )

    async def put(self, call: Call) -> Answer:
        """See wire.Wire. Raises Unreachable or Offline."""
        check_url(call.url, self._gateways)
        request = self._request(call, _MOST_OF_AN_ANSWER, {})
        return await self._asked(request, "public", paced=self._is_ours(call.url))

    async def download(self, url: str, most_bytes: int) -> bytes:
        """Return the file at this address, https or a data URI. Redirects are followed to public
        hosts; the key is never sent. Raises Unreachable or Offline."""
        if url[:5].lower() == "data:":
            return decode_data_uri(url, most_bytes)
        return (await self._downloaded(url, most_bytes)).body

    async def download_into(self, sink: Sink, url: str, most_bytes: int) -> None:
        """Give the file at this address to a sink, as it comes; otherwise like `download`."""
        if url[:5].lower() == "data:":
            raise Unreachable("its address is a data URI, which no video comes in")
        await self._downloaded(url, most_bytes, sink)

    async def _downloaded(self, url: str, most_bytes: int, sink: Sink | None = None) -> Answer:
        last, answer = await self._repeat(
            "download", lambda number: self._followed(url, most_bytes, number, sink)
        )
        if answer is None:
            raise Unreachable(self._redactor.clean(str(last)), last.seen.status)
        return answer

    def rebase(self, role: str, url: str) -> str | None:
        """See wire.Wire."""
        if self._bases[role].rest_of(url) is not None:
            return url
        rest = self._official[role].rest_of(url)
        return None if rest is None else self._bases[role].text + rest

    async def _asked(
        self, request: Request, session: SessionName, final_header: str = "", *, paced: bool = True
    ) -> Answer:
        async def once(number: int) -> Attempt:
            if paced:
                await self._rate_limits.pace.turn()
            return await self._exchange(request, session, number, SendState())

        last, answer = await self._repeat("ask", once, final_header)
        if answer is None:
            raise Unreachable(self._redactor.clean(str(last)), last.seen.status)
        return self._quotable(answer)

    def _quotable(self, answer: Answer) -> Answer:
        return replace(answer, body=self._redactor.hide(answer.body))

    async def _followed(self, url: str, most_bytes: int, number: int, sink: Sink | None) -> Attempt:
        """Return the answer at the end of the redirects, each judged like the first address."""
        for _ in range(_MOST_REDIRECTS + 1):
            check_url(url, self._gateways, plain_http=self._plain_http)
            request = replace(self._request(Call("GET", url), most_bytes, {}), sink=sink)
            attempt = await self._exchange(request, "public", number, SendState())
            if attempt.answer is None or attempt.seen.status not in _REDIRECTS:
                return attempt
            try:
                url = urljoin(url, attempt.answer.headers["location"])
            except (KeyError, ValueError):
                return attempt
        raise Unreachable(f"{attempt.host} sends from one address to the next, without end")

    async def _repeat(
        self,
        operation: Operation,
        once: Callable[[int], Awaitable[Attempt]],
        final_header: str = "",
    ) -> tuple[Attempt, Answer | None]:
        """Return the last attempt, and its answer if that counts."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._again_seconds
        number, streak, was_throttled = 0, 0, False
        while True:
            number += 1
            attempt = await once(number)
            if attempt.answer is not None and final_header in attempt.answer.headers:
                return attempt, attempt.answer
            throttled = attempt.seen.status == 429
            streak = streak + 1 if throttled == was_throttled else 1
            was_throttled = throttled
            jitter = random.uniform(0.5, 1.0)
            verdict = decide(operation, streak, attempt.seen, jitter, self._backoff)
            if (
                not isinstance(verdict, Again)
                or attempt.barred
                or clock() + verdict.seconds > until
            ):
                return attempt, attempt.answer if isinstance(verdict, Accept) else None
            await asyncio.sleep(verdict.seconds)

    async def _exchange(
        self, request: Request, session: SessionName, number: int, departure: SendState
    ) -> Attempt:
        host = request.url.host or ""
        if read_settings().offline:
            raise Offline(
                f"RMBG_OFFLINE is on, so nothing is sent to {host}. Turn it off, or use a backend "
                "on this machine."
            )
        try:
            proxy = proxy_for(request.url)
            # A proxy looks names up itself, and its own name may well be private.
            if session == "public" and (proxy or origin_of(request.url) in self._gateways):
                session = "unfiltered"
            attempt = await exchange(self._runtime.sessions.get(session), request, proxy, departure)
        except Barred as barred:
            return Attempt.never_made(host, barred)
        if _log.isEnabledFor(logging.DEBUG):
            path = self._redactor.clean(request.url.raw_path)
            outcome = self._redactor.clean(str(attempt))
            _log.debug("%s %s%s, attempt %d: %s", request.method, host, path, number, outcome)
        return attempt

    def _request(self, call: Call, most_bytes: int, key_headers: Mapping[str, str]) -> Request:
        headers, body = packed(call, key_headers)
        volume = length_of(body) + most_bytes
        return Request(
            call.method,
            parse_url(call.url),
            headers,
            body,
            most_bytes,
            connect_seconds=self._connect_seconds,
            read_seconds=self._read_seconds,
            total_seconds=self._connect_seconds + self._read_seconds + volume / SLOWEST,
        )

    def _is_ours(self, url: str) -> bool:
        return any(base.rest_of(url) is not None for base in self._bases.values())


def _told(last: Attempt, headers: Sequence[str]) -> str:
    """Return what came of the last attempt, with what these headers of a 429 say about it."""
    given = last.answer.headers if last.answer and last.seen.status == 429 else {}
    found = [f"{name}: {given[name]}" for name in headers if name in given]
    return f"{last} ({', '.join(found)})" if found else str(last)
