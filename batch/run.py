"""A batch from beginning to end: look through the source, do what is not done, say what became of
it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from ..backends.hosted.fetching import Fetcher
from ..catalogue.backends import find
from ..config.settings import Settings, read_settings
from ..core.errors import BadOption
from ..core.inspect import DOUBTFUL
from ..core.money import CURRENCY, added
from ..core.specs import BackendSpec
from ..pictures.web import Web
from ..pipeline.context import open_user_records
from ..pipeline.estimate import Estimate, estimate
from ..pipeline.executor import usual_workers
from ..pipeline.gate import allow_unopened, check_key, check_ready
from ..pipeline.inputs import Input
from .produce import noted
from .ray.ray_engine import ActorPool, on_ray
from .recipe.model import Recipe
from .recipe.naming import Naming
from .result import Doubtful, Landed, PassedOver, attempts
from .session import Opener, open_for
from .sources.items import Item, find_items
from .state.progress import State
from .state.survey import Survey
from .summary import Summary
from .worker import Worker

Engine = Literal["local", "ray"]

# Of what is passed over; a folder may hold a million results.
_MOST_NAMED = 100
# The table has a line for each; `rmbg review` shows more of them.
_MOST_DOUBTFUL = 5


class Watch:
    """What the caller wants to hear of a batch; every method does nothing by default. Called by the
    thread that called `run`."""

    def passed_over(self, count: int, pictures: Sequence[PassedOver]) -> None:
        """So many pictures of the sources are results of this package, and are not cut out again.
        pictures: the first hundred of them."""

    def begun(self, total: int, waiting: int, expected: Estimate | None) -> None:
        """total: pictures of the source. waiting: those that this run works on. expected: what they
        cost at most; None where nothing costs anything."""

    def landed(self, picture: Landed, final: bool) -> None:
        """One picture has ended. final: it is not tried again in this run."""

    def ended(self, summary: Summary) -> None:
        """The run is over, also where something is going to be raised."""


def run(
    sources: str | Path | Sequence[str | Path],
    dest: str | Path,
    recipe: Recipe | None = None,
    *,
    backend: Opener | None = None,
    engine: Engine = "local",
    workers: int | None = None,
    pool: ActorPool | None = None,
    force: bool = False,
    retry: bool = False,
    encoding: str | None = None,
    fetch: bool = False,
    settings: Settings | None = None,
    watch: Watch | None = None,
) -> Summary:
    """Cut out every picture of the sources into `dest`; what is done and unchanged is left alone.

    sources: folders (with the folders in them), files, patterns, or one CSV or JSONL manifest.
    recipe: what becomes of each picture; by default a transparent PNG. backend: what opens one,
    instead of the recipe's. engine: "ray" needs the extra `ray`, and takes `pool`. workers: threads
    beside the model, by default one for each core, at most 8. force: do again what is done. retry:
    try again what is quarantined. encoding: of a manifest without a byte order mark (by default
    UTF-8), such as "cp1252". fetch: http(s) addresses among the sources and in the manifest are
    fetched, each when its turn comes (the local engine only); without it they are refused.

    Interrupted at any moment, it is taken up again by the same call. A picture that fails is listed
    in DEST/.rmbg/quarantine.jsonl and never ends the run of the others. Raises LicenceRefused,
    Offline, KeyMissing, OverBudget, BadOption and the other Refusals; what was done until then is
    kept.
    """
    if engine not in get_args(Engine):
        raise BadOption(f"There is no engine {engine!r}; choose local or ray.")
    if workers is not None and workers < 1:
        raise BadOption(f"{workers} workers can do nothing; give 1 or more.")
    if fetch and engine == "ray":
        raise BadOption("Addresses are fetched by the local engine only; leave --engine ray out.")
    current = settings or read_settings()
    wanted = pinned(recipe or Recipe(), current)
    if backend is None:
        allow_unopened(wanted.backend, wanted.options, wanted.usage, current)
    home = Path(dest)
    fetcher = Fetcher(current) if fetch else None
    web = Web(fetcher) if fetcher else None
    ready = (lambda: None) if backend else partial(check_recipe, wanted, current, engine)
    items = find_all(sources, home, wanted, ready, encoding, web)  # refuses before all is made
    with State(home, kept=wanted.picture) as state:
        digest = wanted.digest()  # once: a background picture may be gone when the run ends
        survey = state.survey(items, digest, retry=retry, force=force)
        # Else what is kept may be all that is asked for.
        if backend is None and survey.waiting and open_user_records(current).cache.empty:
            check_key(wanted.backend, wanted.options, current)
        whole = _BatchRun(state, survey, wanted, digest, home, current, backend, watch or Watch())
        if count := survey.passed_over:
            whole.watch.passed_over(count, state.passed_over(_MOST_NAMED))
        try:
            if engine == "ray":
                whole.on_ray(pool)
            else:
                whole.here(workers or usual_workers(), fetcher, web)
        finally:
            summary = whole.summary()
            whole.watch.ended(summary)
            summary.save(home)
    return summary


def pinned(recipe: Recipe, settings: Settings) -> Recipe:
    """The recipe with the backend that RMBG_BACKEND may name in place of its own; options of
    another provider are then left aside, as `open_backend` does."""
    if not settings.backend:
        return recipe
    spec = find(settings.backend)
    same = spec.provider == find(recipe.backend).provider
    return replace(recipe, backend=spec.id, options=recipe.options if same else {})


def check_recipe(recipe: Recipe, settings: Settings, engine: Engine) -> None:
    """Raise what would keep a run from beginning; see `gate.check_ready`. Weights may lie on the
    machines of a Ray, and not on this one."""
    asked = recipe.backend, recipe.options, recipe.usage, settings
    if engine == "ray" and find(recipe.backend).location == "local":
        allow_unopened(*asked)
    else:
        check_ready(*asked)


def find_all(
    sources: str | Path | Sequence[str | Path],
    dest: Path,
    recipe: Recipe,
    ready: Callable[[], None],
    encoding: str | None,
    web: Web | None,
) -> Iterator[Item]:
    """Return the pictures, with the names that the recipe gives to their results.

    ready: raises what no picture could be made without, which is said before a BadOption of the
    sources.
    """
    named = [sources] if isinstance(sources, (str, Path)) else sources
    naming = Naming(recipe.output.naming, recipe.output.format)
    mask = recipe.output.mask
    try:
        return find_items([*map(str, named)], dest, naming, mask=mask, encoding=encoding, web=web)
    except BadOption:
        ready()
        raise


@dataclass
class _BatchRun:
    """What one run knows of itself."""

    state: State
    survey: Survey
    recipe: Recipe
    digest: str
    dest: Path
    settings: Settings
    opener: Opener | None
    watch: Watch
    backend: str = ""
    currency: str = CURRENCY
    expected: Estimate | None = None
    cost: Decimal | None = Decimal(0)
    model_seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    doubtful: list[Doubtful] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def here(self, workers: int, fetcher: Fetcher | None, web: Web | None) -> None:
        """On this machine."""
        about = self.state, self.recipe, self.dest, self.settings
        worker = Worker(*about, workers, fetcher, web)
        waiting = worker.waiting()
        if not waiting:
            return

        def again() -> Sequence[Input]:
            return worker.waiting() if self.state.again() else ()

        backend = self.opener() if self.opener else open_for(self.recipe, self.settings)
        with closing(backend) as opened:
            self._begin(opened.spec, estimate(waiting, opened, open_user_records(self.settings)))
            for pictures, last in attempts(waiting, again):
                limit = self.recipe.max_cost
                left = None if limit is None else limit - (self.cost or 0)
                try:
                    for end in worker.work(pictures, opened, left):
                        self._landed(end, last or not end.may_repeat)
                finally:
                    for end in worker.untold():
                        self._landed(end)

    def on_ray(self, pool: ActorPool | None) -> None:
        """On Ray, which tries again by itself."""
        waiting = self.state.waiting()
        if not waiting:
            return
        spec = find(self.recipe.backend)
        price = spec.price if self.opener is None else None
        self._begin(spec, Estimate(spec.id, price, len(waiting)) if price else None)
        results = on_ray(
            waiting, self.recipe, self.dest, self.settings, backend=self.opener, pool=pool
        )
        with closing(results):
            for result in results:
                end = noted(self.state, result)
                self._landed(end)
                if end.full and not result.full:
                    raise BadOption(end.error)

    def summary(self) -> Summary:
        """What has become of it so far."""
        return Summary(
            backend=self.backend or find(self.recipe.backend).id,
            recipe=self.digest,
            counts=self.state.counts(),
            seconds=time.monotonic() - self.began,
            model_seconds=self.model_seconds,
            cost=self.cost,
            currency=self.currency,
            estimate="" if self.expected is None else str(self.expected),
            reasons=dict(self.reasons),
            warnings=dict(self.warnings),
            doubtful=tuple(self.doubtful),
            passed_over=self.state.passed_over(_MOST_NAMED),
            unread=self.survey.unread,
        )

    def _begin(self, spec: BackendSpec, expected: Estimate | None) -> None:
        counts = self.state.counts()
        self.backend, self.expected = spec.id, expected
        self.currency = spec.price.currency if spec.price else CURRENCY
        self.watch.begun(counts.total, counts.waiting, expected)
        self.began = time.monotonic()

    def _landed(self, picture: Landed, final: bool = True) -> None:
        self.cost = added(self.cost, picture.cost)
        self.model_seconds += picture.seconds
        if picture.error is not None and final:
            self.reasons[picture.kind] += 1
        if final:
            self.warnings.update(set(picture.kinds))
            self._doubted(picture)
        self.watch.landed(picture, final)

    def _doubted(self, picture: Landed) -> None:
        """Keep it where it is one of the most doubtful so far."""
        if picture.doubt > DOUBTFUL:
            self.doubtful.append(Doubtful(picture.key, picture.doubt))
            self.doubtful.sort(key=lambda one: -one.doubt)
            del self.doubtful[_MOST_DOUBTFUL:]
