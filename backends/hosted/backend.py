"""Hosted models as a Backend: many pictures at once on the process's one event loop."""

from __future__ import annotations

import hashlib
import json
import queue
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace

from ...config.account_mark import uses_signed_in
from ...config.hosted import bases_of, hosting_of, limits_of, priced
from ...config.keys import Key, checked_key, find_key
from ...core.errors import KeyMissing, Refusal
from ...core.specs import BackendSpec, OptionValue
from ...core.types import Backend, Claim, Frame, Host, Job, Outcome
from . import codec
from .http.redact import Redactor
from .http.runtime import runtime
from .http.transport import Transport
from .http.wire import Provider
from .jobs.job_runner import JobRunner
from .jobs.run_context import BlockingPool, HostedRequest, RunContext
from .jobs.schedule import PollSchedule
from .providers import PROVIDERS

#: Settings that never reach the provider; the others are part of what a picture's result depends
#: on, and so of its identity.
_OURS = frozenset({"profile", "downscale", "resubmit", "client", "account"})

_TICK = 0.1
# Cancel returns within half a second: what may be waited for after it is asked.
_PATIENCE = 0.2
_JOINING = 0.15
# Beyond those at the provider, pictures that are packed or unpacked meanwhile.
_BESIDE = 4


class HostedBackend:
    """A provider's model. Nothing is looked up or connected before the first picture of a run."""

    def __init__(self, spec: BackendSpec, options: Mapping[str, OptionValue]) -> None:
        self._options = options
        self._official = options.get("client") == "official"
        self._bases = bases_of(spec)
        self._limits = limits_of(spec)
        # By the limits in force: else a plan that allows more jobs at a time would not be used.
        self.spec = replace(priced(spec), window=self._limits.in_flight + _BESIDE)
        sent = {name: value for name, value in options.items() if name not in _OURS}
        self._parameters = json.dumps(sent, sort_keys=True)

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

    def resume(self, claims: Iterable[Claim], job: Job) -> Iterator[Outcome]:
        """Fetch what was paid for earlier, without the pictures. Raises like `run`."""
        return self._carry(map(HostedRequest.of_claim, claims), job)

    def close(self) -> None:
        """Nothing outlives a run but the process's loop thread."""

    def _request(self, frame: Frame) -> HostedRequest:
        height, width, _ = frame.pixels.shape
        work = self.work(frame)
        assert work is not None
        return HostedRequest(frame.index, frame.name, work, (width, height), frame)

    def _carry(self, requests: Iterator[HostedRequest], job: Job) -> Iterator[Outcome]:
        job.check()
        first = next(requests, None)
        if first is None:
            return
        # An official client blocks a thread for every picture that it works on.
        pool = BlockingPool(self.spec.window + _BESIDE) if self._official else BlockingPool()
        run = _Run(self._job_runner(job, pool), pool)
        try:
            run.start(first)
            yield from self._outcomes(run, requests, job)
        finally:
            run.stop()

    def _outcomes(
        self, run: _Run, requests: Iterator[HostedRequest], job: Job
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

    def _provider(self, key: Key, pool: BlockingPool) -> Provider:
        """Return the words of the provider: this package's, or those of its official client."""
        if self._official:
            from .providers.official import OFFICIAL

            official = OFFICIAL[self.spec.provider]
            return official(self.spec, self._bases, self._options, key.reveal(), pool.run)
        return PROVIDERS[self.spec.provider](self.spec, self._bases, self._options)

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
                downscale=bool(self._options.get("downscale", False)),
            )
        )


class _Run:
    """The coroutines of one run, seen from the caller's thread."""

    def __init__(self, job_runner: JobRunner, pool: BlockingPool) -> None:
        self._job_runner = job_runner
        self._pool = pool
        self._runtime = runtime()
        self._ended: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        self.open = 0

    def start(self, request: HostedRequest) -> None:
        self.open += 1
        self._runtime.start(self._job_runner.carry(request)).add_done_callback(self._ended.put)

    def idle(self) -> bool:
        """Say whether nothing waits to be handed out, so that more pictures can be pulled."""
        return self._ended.empty()

    def next(self, seconds: float) -> Outcome | Refusal | None:
        """Return the next outcome, a refusal instead of one, or None when nothing came in time.

        Anything else that a request raised is a fault of ours and is raised.
        """
        try:
            ended = self._ended.get(timeout=seconds)
        except queue.Empty:
            return None
        self.open -= 1
        if ended.cancelled():
            return None
        error = ended.exception()
        if isinstance(error, Refusal):
            return error
        return ended.result()

    def send_no_more(self) -> None:
        """End the requests of which nothing was sent, without an outcome; the others go on."""
        self._runtime.start(self._job_runner.send_no_more())

    def stop(self) -> None:
        """End everything that is still under way; at once when nothing is."""
        self._pool.stop()
        self._runtime.start(self._job_runner.stop(_PATIENCE)).result()
        self._pool.join(_JOINING)


def open_hosted(spec: BackendSpec, host: Host, **options: OptionValue) -> Backend:
    """Open the model of any provider."""
    del host  # a provider's machine computes, not this one
    return HostedBackend(spec, options)
