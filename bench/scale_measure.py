"""One measured run of `scale.py`, in a process of its own: `measure` starts it and reads it.

Start-up is apart: the package is loaded and one picture is made before the clock begins.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import psutil

from ..batch import Landed, Recipe, Watch, read_recipe, run
from ..batch.produce import load, produce
from ..batch.ray.ray_engine import ActorPool
from ..batch.recipe.naming import Naming
from ..batch.recipe.post_process import open_treatment
from ..batch.sources.items import find_items
from ..config.memory import keep_memory
from ..core.types import Backend
from ..pictures.write import write_atomic
from ..pipeline.finishing import Done
from ..pipeline.inputs import Input
from ..pipeline.remove import remove
from .scale_fake import Fixed

Way = Literal["batch", "loop", "ray", "rembg"]

#: What is written, as a recipe file says it.
OUTPUTS: Mapping[str, Mapping[str, object]] = {
    "transparent PNG": {},
    "transparent PNG, effort 1": {"output": {"effort": 1}},
    "transparent PNG, edges as they are": {"edges": {"refine": False, "decontaminate": 0}},
    "white JPEG": {"canvas": {"background": "white"}, "output": {"format": "jpeg"}},
    "white-2000": {"preset": "white-2000"},
    "white-2000, edges as they are": {
        "preset": "white-2000",
        "edges": {"refine": False, "decontaminate": 0},
    },
}
_BURST = 0.1  # seconds: pictures of one page of Ray's are told of together
_AT_EACH_END = 1000


@dataclass(frozen=True)
class Ask:
    """way: `batch.run`, a plain loop over the same backend, Ray, or another package. model: see
    `scale_answers.compute`. keep: see `keep_memory`."""

    way: Way
    source: Path
    answers: Path
    output: str = "transparent PNG"
    model: str = "sleep"
    seconds: float = 0.0
    workers: int | None = None
    actors: int = 1
    keep: bool = True


@dataclass(frozen=True)
class Measure:
    """wall, user, system: seconds. model: those of the model. peak, first, last: resident MB, at
    most and on average over the first and the last thousand pictures. read, written: bytes."""

    pictures: int
    wall: float
    user: float
    system: float
    model: float
    peak: float = 0.0
    first: float = 0.0
    last: float = 0.0
    read: int = 0
    written: int = 0

    @property
    def cpu(self) -> float:
        """CPU-seconds a picture."""
        return (self.user + self.system) / self.pictures

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.pictures / self.wall

    @property
    def busy(self) -> float:
        """The share of time in which the model works."""
        return self.model / self.wall


def measure(ask: Ask, names: Path, python: str = sys.executable) -> Measure:
    """Run it in a new process. names: a folder in which this package has its name."""
    apart = ("RMBG_", "RAY_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(apart)}
    with tempfile.TemporaryDirectory(dir=names) as folder:
        ours |= {"PYTHONPATH": str(names), "RMBG_DATA": f"{folder}/data"}
        ours |= {"XDG_CONFIG_HOME": folder, "RAY_USAGE_STATS_ENABLED": "0"}
        said = {**asdict(ask), "source": str(ask.source), "answers": str(ask.answers)}
        said["dest"] = f"{folder}/out"
        said["white"] = "white" in ask.output
        command = ["-m", __name__]
        if ask.way == "rembg":
            command = [str(Path(__file__).with_name("scale_rembg.py"))]
        ended = subprocess.run(
            [python, *command, json.dumps(said)],
            env=ours,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode:
        raise SystemExit(f"{ask} ended badly.\n{ended.stderr}")
    return Measure(**json.loads(ended.stdout.splitlines()[-1]))


def main() -> None:
    said = json.loads(sys.argv[1])
    dest = Path(said.pop("dest"))
    del said["white"]
    ask = Ask(**{**said, "source": Path(said["source"]), "answers": Path(said["answers"])})
    if ask.keep:
        keep_memory()
    recipe = read_recipe(None, OUTPUTS[ask.output])
    opener = partial(Fixed, str(ask.answers), ask.model, ask.seconds)
    if ask.way != "ray":
        one = sorted(ask.source.iterdir())[0]
        run(one, dest / "first", recipe, backend=opener, workers=1)
    seen = _Seen()
    before = resource.getrusage(resource.RUSAGE_SELF)
    if ask.way == "loop":
        _loop(ask.source, dest / "out", recipe, opener(), seen)
    else:
        run(
            ask.source,
            dest / "out",
            recipe,
            backend=opener,
            engine="ray" if ask.way == "ray" else "local",
            workers=ask.workers,
            pool=ActorPool(actors=ask.actors, cpus_per_actor=1),
            watch=seen,
        )
    after = resource.getrusage(resource.RUSAGE_SELF)
    pictures, wall = seen.measured(ask.way == "ray")
    files = [file for file in (dest / "out").rglob("*") if ".rmbg" not in file.parts]
    print(
        json.dumps(
            {
                "pictures": pictures,
                "wall": wall,
                "user": after.ru_utime - before.ru_utime,
                "system": after.ru_stime - before.ru_stime,
                "model": ask.seconds * pictures,
                "peak": _peak(),
                "first": _mean(seen.memory[:_AT_EACH_END]),
                "last": _mean(seen.memory[-_AT_EACH_END:]),
                "read": sum(file.stat().st_size for file in ask.source.iterdir()),
                "written": sum(file.stat().st_size for file in files if file.is_file()),
            }
        )
    )


class _Seen(Watch):
    """When each picture was finished, and what the process held then."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.times: list[float] = []
        self.memory: list[float] = []
        self._process = psutil.Process()

    def landed(self, picture: Landed, final: bool) -> None:
        """See `Watch.landed`."""
        assert picture.error is None, picture.error
        self.times.append(time.perf_counter())
        self.memory.append(self._process.memory_info().rss / 1e6)

    def measured(self, from_the_first: bool) -> tuple[int, float]:
        """Pictures and seconds; of Ray what came after the first ones, so without its start-up."""
        if not from_the_first:
            return len(self.times), self.times[-1] - self.began
        begin = self.times[0]
        later = sum(at - begin > _BURST for at in self.times)
        return later, self.times[-1] - begin


def _loop(source: Path, dest: Path, recipe: Recipe, backend: Backend, seen: _Seen) -> None:
    """What a script would do: one picture after the other, all of it in one thread."""
    finishing = open_treatment(recipe)
    naming = Naming(recipe.output.naming, recipe.output.format)
    items = [*find_items([str(source)], dest, naming, mask=False)]
    inputs = [Input(n, i.key, partial(load, i.source, i.key, recipe)) for n, i in enumerate(items)]
    for done in remove(iter(inputs), backend, finishing):
        assert isinstance(done, Done), done
        item = items[done.index]
        write_atomic(dest / item.target, produce(done, recipe)["image"])
        seen.landed(Landed(item.key), True)


def _peak() -> float:
    """Resident MB at most, as Linux tells it; getrusage would count the parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return math.nan
    rows = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(rows["VmHWM"].split()[0]) * 1024 / 1e6


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
