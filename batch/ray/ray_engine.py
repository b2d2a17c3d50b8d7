"""The same batch on Ray: actors with the model loaded once, on this machine or on a cluster.

    items -> read tasks (pages of names) -> actors (read, decode, model, encode, write) -> driver

All that touches pixels happens inside the actor, in threads beside the model: what the parts would
otherwise send each other through the object store is dearer than the work on it (docs/scale.md has
the figures). Ray Data schedules, holds back what would be read too early, and restarts what has
died; the driver alone writes down what is done.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path

from ...catalogue.backends import find
from ...config.host import DATA_VARIABLE, PlainHost
from ...config.hosted import limits_of
from ...config.private_files import make_private, private
from ...config.settings import VARIABLES, Settings, read_settings
from ...core.errors import BackendMissing, BadOption, OverBudget
from ...core.specs import BackendSpec
from ...core.types import Job
from ...pictures.places import Places
from ...pipeline.context import open_user_records
from ...pipeline.estimate import afford
from ...pipeline.gate import allow_unopened
from ...pipeline.inputs import Loaded
from ...records.run_budget import RunBudget
from ..produce import check_place, load
from ..recipe.model import Recipe
from ..result import Landed
from ..session import Opener, open_for
from ..sources.items import Inputs, Item
from .ray_pages import Refused, read_results, stop_file, write_pages

_PACKAGE = "rmbg_nodes"
_FOLDER = Path(".rmbg") / "ray"
# A paid result that was written when its actor died, and not yet told to the driver, is fetched
# again: from the cache of paid results, or from the provider's till.
_LEAST_CACHE = 200_000_000


@dataclass(frozen=True)
class ActorPool:
    """How many actors there are, and what each of them may use.

    None lets the engine choose: one for each GPU there is, else one for each machine, with the
    processors shared among them; one in all for a hosted backend.
    """

    actors: int | None = None
    gpus_per_actor: float | None = None
    cpus_per_actor: int | None = None

    def __post_init__(self) -> None:
        for name in ("actors", "cpus_per_actor"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise BadOption(f"{name} is {number}; give 1 or more, or leave it out.")
        if self.gpus_per_actor is not None and self.gpus_per_actor < 0:
            raise BadOption(f"gpus_per_actor is {self.gpus_per_actor}; give 0 or more.")


def on_ray(
    items: Sequence[Item],
    recipe: Recipe,
    dest: Path,
    settings: Settings | None = None,
    *,
    backend: Opener | None = None,
    pool: ActorPool | None = None,
    job: Job | None = None,
) -> Generator[Landed, None, None]:
    """Work on these items; yields what became of each, in any order, when its files are written.

    dest: where the actors write; on a cluster every machine must see it, and the sources, under the
    same path. backend: instead of the recipe's; called in each actor, and it must cost nothing.
    With RAY_ADDRESS in the environment the work goes to that cluster, else to a Ray of its own on
    this machine.

    A hosted backend runs on this machine only, where its budget, journal and cache are, and no two
    actors together pass a limit. A picture that fails never ends the run of the others, and neither
    does an actor that dies. Raises BackendMissing without Ray; BadOption where the actors could not
    import this package; Cancelled when `job` says so; LicenceRefused, OverBudget and the other
    Refusals: what was done until then is kept.
    """
    _check_importable()
    try:
        from . import ray_run
        from .ray_actor import Orders
    except ImportError as error:
        what = (error.name or "").partition(".")[0]
        if what == _PACKAGE:
            raise
        missing = "is not installed" if what == "ray" else f"cannot be loaded ({error})"
        raise BackendMissing(
            f"Ray {missing}. Run `pip install rmbg-nodes[ray]`, or choose the local engine."
        ) from error
    current = settings or read_settings()
    spec = None if backend else find(current.backend or recipe.backend)
    if spec:
        allow_unopened(recipe.backend, recipe.options, recipe.usage, current)
    paid = spec is not None and spec.location == "hosted"
    dest = dest.absolute()
    if paid:
        _check_paid(items, recipe, dest, current)
    limited = paid and recipe.max_cost is not None
    run_budget = _run_budget(dest) if limited else nullcontext()
    with _folder(dest) as folder, run_budget as costs, ray_run.connected():
        parts = write_pages(items, folder / "pages.jsonl")
        shape = ray_run.shape(pool or ActorPool(), spec)
        orders = Orders(
            recipe=_absolute(recipe),
            opener=backend,
            dest=dest,
            settings=current,
            surroundings=_surroundings(spec, shape.actors),
            workers=shape.workers,
            stop=stop_file(folder),
            costs=costs,
            paid=paid,
        )
        pages = ray_run.pages(parts, orders, shape, job or Job())
        with closing(pages):
            yield from _landings(pages, orders.stop)


def _landings(pages: Iterator[str], stop: Path) -> Iterator[Landed]:
    """What became of the pictures; a refusal, once everything under way is finished."""
    refused: Refused | None = None
    for page in pages:
        for result in read_results(page):
            if isinstance(result, Landed):
                yield result
                if not result.full:
                    continue
                result = Refused(result.kind, result.error or "")
            if refused is None:
                refused = result
                stop.touch()
    if refused:
        raise refused.again()


def _check_importable() -> None:
    """Raise BadOption where another process could not import this very package."""
    root = __name__.partition(".")[0]
    others = (finder.find_spec(_PACKAGE, None) for finder in sys.meta_path)
    place = PathFinder.find_spec(_PACKAGE) or next(filter(None, others), None)
    here = Path(__file__).parent.parent.parent / "__init__.py"
    if root != _PACKAGE or place is None or not (place.origin and here.samefile(place.origin)):
        raise BadOption(
            "On Ray this package runs in other processes, which can import it only where it is "
            "installed: `pip install rmbg-nodes[ray]`, and start `rmbg batch` from there. A folder "
            "of ComfyUI's cannot be used."
        )


def _check_paid(items: Sequence[Item], recipe: Recipe, dest: Path, settings: Settings) -> None:
    """What one run would check before it sends anything. What the recipe refuses costs nothing, as
    in the local engine. Raises OverBudget, BadOption."""
    if settings.cache_bytes < _LEAST_CACHE:
        raise BadOption(
            "A hosted backend on Ray needs the cache of paid results, so that nothing is paid "
            f"twice when an actor dies: set RMBG_CACHE to {_LEAST_CACHE // 1_000_000} or more."
        )

    places = Places()

    def read(_: int, item: Item) -> Loaded:
        check_place(item, dest, places)
        return load(item.source, item.key, recipe)

    with closing(open_for(recipe, settings)) as backend:
        records = open_user_records(settings)
        run_budget = RunBudget(records.spending, settings.budget, recipe.max_cost)
        afford(Inputs(items, read), backend, records, run_budget)


def _surroundings(spec: BackendSpec | None, actors: int) -> dict[str, str]:
    """The settings in force on the driver's machine, for the actors'. A key is none of them."""
    host = PlainHost()
    env = host.surroundings()
    said = {name: env[name] for name in VARIABLES if env.get(name, "").strip()}
    if spec is None or not spec.hosting:
        return said
    # Ray may have been started in another folder, and from another environment.
    records = {DATA_VARIABLE: str(host.data_folder().absolute())}
    return {**said, **records, **divided(spec, actors, env)}


def divided(spec: BackendSpec, actors: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Each actor's part of the account's limits, as the variables that set them.

    Raises BadOption where there is not one request a minute and one job for each.
    """
    limits = limits_of(spec, environment)
    most = min(limits.in_flight, limits.requests_a_minute)
    if actors > most:
        raise BadOption(
            f"{actors} actors cannot share {limits.in_flight} jobs at a time and "
            f"{limits.requests_a_minute} requests a minute at {spec.label}; one actor is "
            "enough for all of them."
        )
    return {
        f"RMBG_{spec.provider.upper()}_IN_FLIGHT": str(limits.in_flight // actors),
        f"RMBG_{spec.provider.upper()}_REQUESTS_A_MINUTE": str(limits.requests_a_minute // actors),
    }


def _absolute(recipe: Recipe) -> Recipe:
    """Its background picture under a path that holds in any folder."""
    return replace(recipe, background=str(recipe.picture.absolute())) if recipe.picture else recipe


@contextmanager
def _folder(dest: Path) -> Iterator[Path]:
    """Where the driver and its actors find each other; what a killed run left there goes."""
    folder = dest / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    try:
        make_private(folder.parent)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise BadOption(f"{folder} cannot be written ({error.strerror}).") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _run_budget(dest: Path) -> Iterator[Path]:
    """What the run costs: beside the records, because a network's disk is no place for it."""
    name = hashlib.sha256(str(dest).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    path = PlainHost().data_folder() / "records" / f"run-{name}.sqlite"
    path = path.absolute()
    # A journal that a killed run left would be played into the new file.
    files = (path, path.with_name(f"{path.name}-journal"))
    try:
        make_private(path.parent)
        for file in files:
            file.unlink(missing_ok=True)
        with open(path, "xb", opener=private):
            pass
    except OSError as error:
        raise OverBudget(
            f"What this run costs cannot be counted in {path.parent} ({error.strerror}), so "
            "max_cost cannot be kept to and nothing is sent. Mend that folder, and run again."
        ) from error
    try:
        yield path
    finally:
        for file in files:
            file.unlink(missing_ok=True)
