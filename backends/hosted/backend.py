"""Hosted models as a Backend: many paid jobs at once on the process's one event loop.

What one job sends and what it makes is a picture here, and a video in `video_backend.py`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import cast

from ...config.account_mark import uses_signed_in
from ...config.hosted import bases_of, hosting_of, limits_of, priced
from ...config.keys import Key, checked_key, find_key
from ...core.errors import KeyMissing, Refusal
from ...core.specs import BackendSpec, OptionValue
from ...core.types import Backend, Claim, Frame, Host, Job, Matte, Outcome
from . import codec
from .http.redact import Redactor
from .http.runtime import runtime
from .http.transport import Transport
from .http.wire import Provider, Words
from .jobs.job_runner import JobRunner
from .jobs.run_context import BlockingPool, HostedRequest, Made, Packed, RunContext
from .jobs.schedule import PollSchedule
from .providers import PROVIDERS
from .running import Running

#: Settings that never reach the provider; the others are part of what a picture's result depends
#: on, and so of its identity.
_OURS = frozenset({"profile", "downscale", "resubmit", "client", "account", "address"})

_TICK = 0.1
# Beyond those at the provider, pictures that are packed or unpacked meanwhile.
_BESIDE = 4


class HostedJobs(ABC):
    """A provider's model. Nothing is looked up or connected before the first job of a run."""

    def __init__(self, spec: BackendSpec, options: Mapping[str, OptionValue]) -> None:
        self._options = options
        self._official = options.get("client") == "official"
        self._bases = bases_of(spec)
        self._limits = limits_of(spec)
        # By the limits in force: else a plan that allows more jobs at a time would not be used.
        self.spec = replace(priced(spec), window=self._limits.in_flight + _BESIDE)
        sent = {name: value for name, value in options.items() if name not in _OURS}
        #: What a result depends on beside what is sent, and so a part of its identity.
        self._parameters = json.dumps(sent, sort_keys=True)

    def resume(self, claims: Iterable[Claim], job: Job) -> Iterator[Outcome]:
        """Fetch what was paid for earlier, without what was sent. Raises KeyMissing,
        AccountRefused, Offline, OverBudget, Cancelled."""
        media = self.spec.media
        return self._carry((HostedRequest.of_claim(claim, media) for claim in claims), job)

    def close(self) -> None:  # noqa: B027  # of the contract; there is nothing to do
        """Nothing outlives a run but the process's loop thread."""

    def _carry(self, requests: Iterator[HostedRequest], job: Job) -> Iterator[Outcome]:
        job.check()
        first = next(requests, None)
        if first is None:
            return
        # An official client blocks a thread for every picture that it works on.
        pool = BlockingPool(self.spec.window + _BESIDE) if self._official else BlockingPool()
        run = Running(self._job_runner(job, pool), pool)
        try:
            run.start(first)
            yield from self._outcomes(run, requests, job)
        finally:
            run.stop()

    def _outcomes(
        self, run: Running, requests: Iterator[HostedRequest], job: Job
    ) -> Iterator[Outcome]:
        refusal: Refusal | None = None
        more = True
        while True:
            while more and refusal is None and run.open < self.spec.window:
                job.check()
                request = next(requests, None)
                if request is None:
                    more = False
                else:
                    run.start(request)
                # At least one for each that was handed out, or the provider idles meanwhile.
                if not run.idle():
                    break
            if not run.open:
                break
            job.check()
            result = run.next(_TICK)
            if isinstance(result, Refusal):
                refusal = refusal or result
                run.send_no_more()
            elif result is not None:
                job.step(1)
                yield result
        if refusal is not None:
            raise refusal

    def _key(self, job: Job) -> Key:
        """Return the key of this run. Raises KeyMissing."""
        if not uses_signed_in(self._options):
            return find_key(self.spec, str(self._options.get("profile", "")))
        credential = job.signed_in()
        if not credential:
            raise KeyMissing(
                f"{self.spec.label} is set to the account that is signed in (account: signed-in), "
                "and nobody is here. Sign in to ComfyUI (Settings, User) and run it with Remove "
                f"Background (RMBG), or set account to key; keys are made at {self.spec.key_page}."
            )
        return checked_key(self.spec, credential, "the account that is signed in")

    @abstractmethod
    def _provider(self, key: Key, pool: BlockingPool) -> Words:
        """Return the words of the provider."""

    @abstractmethod
    async def _fetch(
        self, context: RunContext, request: HostedRequest, url: str, size: tuple[int, int]
    ) -> Made:
        """See `RunContext.fetch`."""

    def _job_runner(self, job: Job, pool: BlockingPool) -> JobRunner:
        spec, limits = self.spec, self._limits
        key = self._key(job)
        provider = self._provider(key, pool)
        here = runtime()
        home = f"{spec.provider} {' '.join(sorted(self._bases.values()))}"
        rate_limits = here.rate_limits(
            home,
            in_flight=limits.in_flight,
            requests_a_minute=limits.requests_a_minute,
            pictures=spec.window,
        )
        transport = Transport(
            here,
            rate_limits,
            self._bases,
            {role: official for role, (_, official) in hosting_of(spec).bases.items()},
            provider.headers(key.reveal()),
            Redactor([key.reveal()]),
        )
        return JobRunner(
            RunContext(
                home=home,
                spec=spec,
                provider=provider,
                transport=transport,
                rate_limits=rate_limits,
                runtime=here,
                pool=pool,
                job=job,
                limits=limits,
                schedule=PollSchedule.of(
                    hosting_of(spec).seconds, limits.in_flight, limits.requests_a_minute
                ),
                mark=key.mark,
                resubmit=bool(self._options.get("resubmit", False)),
                fetch=self._fetch,
            )
        )


class HostedBackend(HostedJobs):
    """A provider's model for pictures."""

    def work(self, frame: Frame) -> str | None:
        """See `Backend.work`: the pixels as they are sent, the model, and the provider's settings.

        Neither gateway nor client: the same picture through another door is the same work.
        """
        pixels = codec.identity(codec.levels_of(frame))
        digest = hashlib.sha256(f"{pixels} {self._parameters}".encode()).hexdigest()
        return f"{self.spec.id}:{digest}"

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        """See `Backend.run`. Raises KeyMissing, AccountRefused, Offline, OverBudget, Cancelled."""
        return self._carry(map(self._request, frames), job)

    def _request(self, frame: Frame) -> HostedRequest:
        height, width, _ = frame.pixels.shape
        work = self.work(frame)
        assert work is not None
        return HostedRequest(frame.index, frame.name, work, (width, height), self._pack_of(frame))

    def _pack_of(self, frame: Frame) -> Callable[[RunContext], Awaitable[Packed]]:
        downscale = bool(self._options.get("downscale", False))
        return partial(_pack, frame, downscale)

    def _provider(self, key: Key, pool: BlockingPool) -> Provider:
        """Return the words of the provider: this package's, or those of its official client."""
        if self._official:
            from .providers.official import OFFICIAL

            official = OFFICIAL[self.spec.provider]
            return official(self.spec, self._bases, self._options, key.reveal(), pool.run)
        return PROVIDERS[self.spec.provider](self.spec, self._bases, self._options)

    async def _fetch(
        self, context: RunContext, request: HostedRequest, url: str, size: tuple[int, int]
    ) -> Made:
        data = await context.transport.download(url, codec.most_bytes(size))
        values = await context.pool.run(codec.decode_alpha, data, size)
        original = data if hosting_of(context.spec).marks else None
        return lambda facts: Matte(values, "alpha", facts, original)


async def _pack(frame: Frame, downscale: bool, context: RunContext) -> Packed:
    """Make the PNG of a picture beside the loop. Raises BadPicture for one that is too large."""
    most = hosting_of(context.spec).most_bytes

    def pack() -> codec.Sent:
        stopped = context.pool.stopping.is_set
        return codec.fit_png(codec.levels_of(frame), most, downscale, stopped)

    sent = await context.pool.run(pack)
    provider = cast("Provider", context.provider)
    hand_over = partial(provider.hand_over, context.transport, sent.png)
    return Packed((sent.width, sent.height), hand_over, sent.note)


def open_hosted(spec: BackendSpec, host: Host, **options: OptionValue) -> Backend:
    """Open the model of any provider."""
    del host  # a provider's machine computes, not this one
    return HostedBackend(spec, options)
