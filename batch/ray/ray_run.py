"""Ray itself: connected to, asked what it has, and given the pipeline."""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow  # type: ignore[import-untyped]
import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext, Dataset, Datasource, ReadTask
from ray.data.block import BlockMetadata

from ...core.errors import BackendMissing, BadOption, Cancelled
from ...core.specs import BackendSpec
from ...core.types import Job
from ...pipeline.executor import usual_workers
from .ray_actor import Orders, RayActor
from .ray_engine import ActorPool
from .ray_pages import COLUMN, PAGE, Part

ADDRESS_VARIABLE = "RAY_ADDRESS"

# Names and words only; Ray asks for 75 MB at least.
_OBJECT_STORE = 128_000_000
# It would tell its makers that it is used, and people about restarts that Ray Data takes care of.
_OWN_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# Of a backend that is not known before it is opened.
_USUAL_WINDOW = 8
# The label that every node has.
_NODE_ID = "ray.io/node-id"
_TICK = 0.1
_WAITING_PAGES = 64


@dataclass(frozen=True)
class Shape:
    """What is asked of Ray."""

    actors: int
    cpus: float
    gpus: float
    workers: int
    calls: int
    """Pages that one actor works on side by side."""
    here: bool
    """On the driver's machine only."""


class Pages(Datasource):
    """Read pages when an actor asks for them."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._parts = parts

    @property
    def supports_distributed_reads(self) -> bool:
        """Only the driver's machine has the file for certain."""
        return False

    def estimate_inmemory_data_size(self) -> int | None:
        """Not known, and little."""
        return None

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        """One for each part."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_blocks, part), unknown) for part in self._parts]


def _blocks(part: Part) -> Iterator[pyarrow.Table]:
    for page in part.read():
        yield pyarrow.table({COLUMN: [page]})


@contextmanager
def connected() -> Iterator[None]:
    """A Ray: the one this process has, the cluster at RAY_ADDRESS, or one of its own, which ends
    with the block."""
    with _quiet():
        if ray.is_initialized():
            yield
            return
        address = os.environ.get(ADDRESS_VARIABLE, "").strip()
        if address.startswith("ray://"):
            raise BadOption(
                f"{ADDRESS_VARIABLE} is {address}: run on a machine of the cluster instead, as "
                "with `ray job submit`; the state and the budget of a batch are kept where it runs."
            )
        try:
            _start(address)
            yield
        finally:
            ray.shutdown()


def _start(address: str) -> None:
    """Raises BadOption where there is no cluster, BackendMissing where Ray does not start."""
    try:
        if address and address != "local":
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            return
        with _own_variables():
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=_OBJECT_STORE,
            )
    except ConnectionError as error:
        raise BadOption(
            f"{ADDRESS_VARIABLE} is {address}, and no Ray answers there; unset it to start one."
        ) from error
    except Exception as error:  # of a node that does not come up Ray raises just that
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise BackendMissing(
            f"Ray does not start here ({reason}). Look at RAY_TMPDIR, {ADDRESS_VARIABLE} and the "
            "memory that is free, or choose the local engine."
        ) from error


def shape(pool: ActorPool, spec: BackendSpec | None) -> Shape:
    """Return what to ask of Ray. Raises BadOption for more than a Ray of one machine has."""
    window = spec.window if spec else _USUAL_WINDOW
    if spec is not None and spec.location == "hosted":
        actors = pool.actors or 1
        workers = pool.cpus_per_actor or max(1, usual_workers() // actors)
        # Nothing is asked for: a head node may have none to give, and the model is elsewhere.
        return Shape(actors, 0, 0, workers, _calls(window, workers), here=True)
    known: list[Any] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [node["Resources"] for node in known if node["Alive"]]
    gpus = pool.gpus_per_actor
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in nodes) else 0.0
    able = [node for node in nodes if node.get("CPU", 0) >= 1 and node.get("GPU", 0) >= gpus]
    if not able:
        raise BadOption(
            f"No machine of this Ray has a processor and {gpus:g} GPUs to give an actor."
        )
    places = [int(node["GPU"] / gpus) if gpus else 1 for node in able]
    actors = pool.actors or sum(places)
    each = max(1, math.ceil(actors / len(able)))
    cpus = pool.cpus_per_actor or max(1, int(min(node["CPU"] for node in able)) // each)
    if len(nodes) == 1 and (
        actors * cpus > nodes[0]["CPU"] or actors * gpus > nodes[0].get("GPU", 0)
    ):
        raise BadOption(
            f"{actors} actors with {cpus} processors and {gpus:g} GPUs each are more than this "
            f"machine's {nodes[0]['CPU']:g} and {nodes[0].get('GPU', 0):g}; ask for fewer."
        )
    workers = usual_workers(cpus)
    return Shape(actors, cpus, gpus, workers, _calls(window, workers), here=False)


def pages(
    parts: Sequence[Part], orders: Orders, shape: Shape, job: Job
) -> Generator[str, None, None]:
    """Run the pipeline; yields what the actors say. Ends early, with everything under way finished,
    when the file `orders.stop` is there.

    Raises Cancelled when `job` or Ctrl-C says so: the actors stop first, so that nothing that was
    paid for is lost.
    """
    if not parts:
        return
    here = {_NODE_ID: ray.get_runtime_context().get_node_id()}
    context = DataContext.get_current().copy()
    context.target_max_block_size = 1  # a block is one page: small, and soon there
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    with DataContext.current(context):
        dataset = ray.data.read_datasource(
            Pages(parts), override_num_blocks=len(parts), num_cpus=0
        ).map_batches(
            RayActor,
            fn_constructor_args=(orders,),
            batch_size=1,
            compute=ActorPoolStrategy(
                size=shape.actors,
                max_concurrent_calls_per_actor=shape.calls,
                max_tasks_in_flight_per_actor=shape.calls + 2,
                enable_true_multi_threading=True,
            ),
            num_cpus=shape.cpus,
            num_gpus=shape.gpus,
            label_selector=here if shape.here else None,
        )
    yield from _rows(dataset, orders.stop, job)


def _rows(dataset: Dataset, stop: Path, job: Job) -> Iterator[str]:
    """Yield the results, which a thread of its own reads, so that Ctrl-C is heard at once."""
    pages: queue.Queue[str] = queue.Queue(_WAITING_PAGES)
    over = threading.Event()

    def read() -> None:
        for row in dataset.iter_rows():
            while not over.is_set():
                with suppress(queue.Full):
                    pages.put(row[COLUMN], timeout=_TICK)
                    break

    stopped: BaseException | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="rmbg-ray") as side:
        reading = side.submit(read)
        try:
            while not (reading.done() and pages.empty()):
                try:
                    if stopped is None:
                        job.check()
                    page = pages.get(timeout=_TICK)
                except queue.Empty:
                    continue
                except (Cancelled, KeyboardInterrupt) as error:
                    if stopped:
                        raise
                    stopped = error
                    stop.touch()
                    continue
                yield page
        finally:
            over.set()
            stop.touch()
    if stopped:
        raise stopped
    reading.result()


def _calls(window: int, workers: int) -> int:
    """Enough pages that a run never ends for want of pictures; see `Session`."""
    return math.ceil(2 * (window + 4 * workers) / PAGE)


@contextmanager
def _own_variables() -> Iterator[None]:
    """Set `_OWN_RAY` for the processes that are started inside, where the user has not."""
    unset = _OWN_RAY.keys() - os.environ.keys()
    os.environ.update({name: _OWN_RAY[name] for name in unset})
    try:
        yield
    finally:
        for name in unset:
            del os.environ[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data's progress stays in its log file; the screen is the caller's."""
    handlers = logging.getLogger("ray.data").handlers
    levels = {one: one.level for one in handlers if isinstance(one, logging.StreamHandler)}
    for handler in levels:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in levels.items():
            handler.setLevel(level)
