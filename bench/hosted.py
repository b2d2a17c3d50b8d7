"""How close hosted runs come to what a provider allows: `python bench/hosted.py`.

A provider of our own in another process on this machine, its jobs taking three seconds; the whole
pipeline with a journal and a cache on the disk. Prints Markdown: wall time beside the ideal one
(pictures / jobs in flight x seconds a job, or what the calls take at the account's limit), requests
(polls and downloads among them), CPU-seconds a picture of our own process, how long Cancel takes,
and memory over many pictures.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
PROVIDERS = ("bria", "fal", "replicate")
# The fewest that one picture needs; its download is not counted by the provider.
CALLS = {"bria": 2, "fal": 3, "replicate": 2}
SECONDS = 3.0
IN_FLIGHT = 8
_LOADED = (
    "import importlib, sys; sys.path.insert(0, {bench!r});"
    "importlib.import_module('quality').load_package();"
    "importlib.import_module('rmbg_nodes.tests.support.hosted.server').main()"
)


@dataclass
class Server:
    """The provider's process."""

    url: str

    def records(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_records") as answer:
            shown: dict[str, Any] = json.load(answer)
        return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--many", type=int, default=500, help="pictures to look at the memory over")
    parser.add_argument("--size", type=int, default=256, help="pixels of a side")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    importlib.import_module("quality").load_package()
    pipeline = importlib.import_module("rmbg_nodes.pipeline.remove")
    with served("fal", 0.0, 600), tempfile.TemporaryDirectory() as folder:  # nothing is cold
        list(run(pipeline, "fal", pictures_of(1, arguments.size, first=10**6), Path(folder)))
    throughput(pipeline, arguments.pictures, arguments.size)
    cancel(pipeline, arguments.size)
    memory(pipeline, arguments.many, arguments.size)


def throughput(pipeline: ModuleType, count: int, size: int) -> None:
    print(f"| {SECONDS:.0f} s a job, {IN_FLIGHT} in flight, {size} x {size} | ", end="")
    print("wall, s | ideal, s | ratio | requests | most at once | CPU-s a picture |")
    print("|---|---|---|---|---|---|---|")
    rows = [(provider, count, 600) for provider in PROVIDERS] + [("bria", 8, 60)]
    for provider, pictures, a_minute in rows:
        with served(provider, SECONDS, a_minute) as server, tempfile.TemporaryDirectory() as folder:
            began, worked = time.monotonic(), time.process_time()
            delivered = list(run(pipeline, provider, pictures_of(pictures, size), Path(folder)))
            wall, cpu = time.monotonic() - began, time.process_time() - worked
            records = server.records()
        assert all(isinstance(result, pipeline.Done) for result in delivered)
        assert records["bills"] == len(delivered) == pictures
        assert records["complaints"] == []
        ideal = max(
            ceil(pictures / IN_FLIGHT) * SECONDS, paced(CALLS[provider] * pictures, a_minute)
        )
        print(
            f"| {provider}, {pictures} pictures, {a_minute} requests a minute | {wall:.1f} "
            f"| {ideal:.1f} | {wall / ideal:.2f} | {len(records['requests'])} "
            f"| {records['in_flight_peak']} | {cpu / pictures:.3f} |",
            flush=True,
        )


def paced(calls: int, a_minute: int) -> float:
    """Seconds that so many calls take at the account's limit: a sixth of a minute's at once, the
    rest spread over the minute."""
    at_once = a_minute // 6
    return max(0, calls - at_once) * 60 / (a_minute - at_once)


def cancel(pipeline: ModuleType, size: int) -> None:
    """At six moments of a run: the longest time from the request to the return."""
    types = importlib.import_module("rmbg_nodes.core.types")
    errors = importlib.import_module("rmbg_nodes.core.errors")

    class Stopping(types.Job):  # type: ignore[name-defined, misc]
        def __init__(self, seconds: float) -> None:
            self.stop_at = time.monotonic() + seconds

        def check(self) -> None:
            if time.monotonic() >= self.stop_at:
                raise errors.Cancelled("Stopped.")

    print("\n| Cancel | longest of six, s |\n|---|---|")
    for provider in PROVIDERS:
        longest = 0.0
        with served(provider, SECONDS, 600), tempfile.TemporaryDirectory() as folder:
            for number in range(6):
                job = Stopping(0.05 + 0.6 * number)
                frames = pictures_of(16, size, first=100 * number)
                try:
                    list(run(pipeline, provider, frames, Path(folder), job))
                except errors.Cancelled:
                    longest = max(longest, time.monotonic() - job.stop_at)
        print(f"| {provider} | {longest:.2f} |", flush=True)


def memory(pipeline: ModuleType, count: int, size: int) -> None:
    """Resident memory of our process while pictures stream."""
    process = psutil.Process(os.getpid())
    seen = []
    with served("fal", 0.0, 60_000), tempfile.TemporaryDirectory() as folder:
        began, worked = time.monotonic(), time.process_time()
        for number, _ in enumerate(
            run(pipeline, "fal", pictures_of(count, size), Path(folder)), start=1
        ):
            if number % (count // 5) == 0:
                seen.append(process.memory_info().rss / 1e6)
        wall, cpu = time.monotonic() - began, time.process_time() - worked
    marks = ", ".join(f"{megabytes:.0f}" for megabytes in seen)
    print(f"\n{count} pictures of {size} x {size} on fal, jobs that take no time: resident memory ")
    print(f"{marks} MB after each fifth; {count / wall:.0f} pictures a second, ", end="")
    print(f"{cpu / count:.3f} CPU-seconds each.")


def run(
    pipeline: ModuleType,
    provider: str,
    pictures: Sequence[Callable[[], Tensor]],
    folder: Path,
    job: object = None,
) -> Iterator[object]:
    """The pipeline as everything uses it, with records in this folder."""
    feed = importlib.import_module("rmbg_nodes.pipeline.inputs")
    rate_limits = importlib.import_module("rmbg_nodes.pipeline.gate")
    settings = importlib.import_module("rmbg_nodes.config.settings").Settings()
    store = importlib.import_module("rmbg_nodes.records.store")
    records = store.open_records(folder, 10**9)
    backend = rate_limits.open_backend(f"{provider}/rmbg-2.0", settings=settings)
    inputs = (feed.Input(i, f"picture {i}", load) for i, load in enumerate(pictures))
    try:
        yield from pipeline.remove(
            inputs, backend, pipeline.Finishing(), settings=settings, job=job, records=records
        )
    finally:
        records.close()


def pictures_of(count: int, size: int, first: int = 0) -> list[Callable[[], Tensor]]:
    return [partial(picture, size, first + number) for number in range(count)]


def picture(size: int, number: int) -> Tensor:
    """A bright disc with some grain, another one for each number."""
    generator = torch.Generator().manual_seed(number)
    grain = 0.04 * torch.rand(size, size, 3, generator=generator)
    ramp = torch.linspace(-1, 1, size)
    inside = (0.5 - torch.hypot(ramp[:, None], ramp[None])).mul(size / 4).clamp(0, 1)[..., None]
    return 0.1 + 0.8 * inside + grain


@contextmanager
def served(provider: str, seconds: float, a_minute: int) -> Iterator[Server]:
    """A provider in its own process, and the environment that points at it."""
    code = _LOADED.format(bench=str(ROOT / "bench"))
    arguments = [sys.executable, "-c", code, provider, "--seconds", str(seconds)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    module = importlib.import_module("rmbg_nodes.tests.support.hosted.server")
    ours = module.HostedServer(provider, port=int(url.rpartition(":")[2])).environment()
    ours[f"RMBG_{provider.upper()}_IN_FLIGHT"] = str(IN_FLIGHT)
    ours[f"RMBG_{provider.upper()}_REQUESTS_A_MINUTE"] = str(a_minute)
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield Server(url)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        process.kill()
        process.communicate()


if __name__ == "__main__":
    main()
