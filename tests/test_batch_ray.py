"""The Ray engine on a local Ray of two processors, which most of the tests share."""

# Pins the inside of batch.ray.ray_actor
# Pins the inside of batch.ray.ray_engine
# Pins the inside of batch.ray.ray_pages
# Pins the inside of batch.result
# Pins the inside of batch.sources.items
# Pins the inside of config.keys

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rmbg_nodes.batch import Landed, Output, Recipe, Remover, Watch, run
from rmbg_nodes.batch.ray import ray_engine
from rmbg_nodes.batch.ray.ray_engine import ActorPool, divided, on_ray
from rmbg_nodes.batch.ray.ray_pages import (
    COLUMN,
    PAGE,
    Refused,
    read_page,
    read_results,
    write_pages,
)
from rmbg_nodes.batch.result import Counts
from rmbg_nodes.batch.run import Engine
from rmbg_nodes.batch.sources.items import Item
from rmbg_nodes.catalogue.backends import find
from rmbg_nodes.config.keys import set_key
from rmbg_nodes.config.settings import Settings
from rmbg_nodes.core.errors import (
    BackendMissing,
    BadOption,
    Cancelled,
    LicenceRefused,
    OverBudget,
)
from rmbg_nodes.core.types import Job
from rmbg_nodes.tests.conformance import money
from rmbg_nodes.tests.support.batch_ray import POISON, Poisoned, items_in, plain_recipe
from rmbg_nodes.tests.support.fake_backend import FakeHosted, FakeLocal, FakeProvider
from rmbg_nodes.tests.support.hosted.opening import loopback
from rmbg_nodes.tests.support.hosted.server import HostedServer

ray = pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
from rmbg_nodes.batch.ray.ray_actor import Orders, RayActor  # noqa: E402

pytestmark = [
    pytest.mark.whole,
    # Ray's own: it copies its settings, deprecated ones among them, by setting each.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
]

ROOT = Path(__file__).resolve().parent.parent
ENGINES: tuple[Engine, ...] = ("local", "ray")
TWO = ActorPool(actors=2, cpus_per_actor=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user whose child processes can import this checkout under its name, installed or not."""
    folder = tmp_path_factory.mktemp("ray")
    with pytest.MonkeyPatch.context() as patch:
        (folder / "names").mkdir()
        (folder / "names" / "rmbg_nodes").symlink_to(ROOT)
        patch.syspath_prepend(str(folder / "names"))
        patch.setenv("PYTHONPATH", str(folder / "names"), prepend=os.pathsep)
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        for name in [n for n in os.environ if n.startswith(("RMBG_", "BRIA_", "FAL_"))]:
            patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        yield folder


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[Path]:
    """One Ray for the module; its folder."""
    context = ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=128_000_000,
    )
    yield Path(context.address_info["session_dir"])
    ray.shutdown()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Fourteen small pictures."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(14):
        levels = np.random.default_rng(number).integers(0, 60, (36, 48, 3), dtype=np.uint8)
        levels[9:27, 12:36] += 190
        Image.fromarray(levels).save(folder / f"{number:02}.png")
    return folder


def note(results: Iterator[Landed], into: list[Landed]) -> None:
    """Keep what comes, also when it ends with an error."""
    for landed in results:
        into.append(landed)


class Told(Watch):
    """The keys of pictures that have ended, and the contents of their files."""

    def __init__(self, dest: Path) -> None:
        self.dest = dest
        self.keys: list[str] = []
        self.made: dict[str, bytes] = {}

    def landed(self, picture: Landed, final: bool) -> None:
        self.keys.append(picture.key)
        for target in picture.written:
            self.made[picture.key] = (self.dest / target).read_bytes()


def actors() -> list[int]:
    """The processes of the model."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            if "MapWorker" in "".join(child.cmdline()):
                found.append(child.pid)
    return found


class TestPictures:
    @pytest.mark.usefixtures("cluster")
    def test_both_engines_make_the_same_of_a_folder_and_put_bad_ones_aside(
        self, source: Path, tmp_path: Path
    ) -> None:
        (source / "bad.png").write_bytes(b"no picture")
        odd = source / "sub \udcff" / "é.png"
        odd.parent.mkdir()
        odd.write_bytes((source / "03.png").read_bytes())
        files = {"bad.png": source / "bad.png", f"{odd.parent.name}/é.png": odd}
        files |= {f"{number:02}.png": source / f"{number:02}.png" for number in range(14)}
        made: list[dict[str, bytes]] = []
        counts: list[Counts] = []
        for engine in ENGINES:
            dest = tmp_path / engine
            told = Told(dest)
            with_both = partial(run, source, dest, plain_recipe(), backend=FakeLocal, pool=TWO)
            counts.append(with_both(engine=engine, watch=told).counts)
            made.append(told.made)
            assert sorted(told.keys) == sorted(files)
            assert len([*dest.rglob("*.png")]) == len(told.made)
            assert not (dest / ".rmbg" / "ray").exists()
            (bad,) = (dest / ".rmbg" / "quarantine.jsonl").read_text().splitlines()
            assert json.loads(bad)["key"] == "bad.png"
        assert counts[0] == counts[1]
        assert made[0] == made[1]
        one = counts[1]
        assert (one.done_now, one.quarantined, one.waiting) == (15, 1, 0)
        remover = Remover(plain_recipe(), backend=FakeLocal)
        images = remover({"path": [str(file) for file in files.values()]})["image"]
        assert {key: made[1].get(key) for key in files} == dict(zip(files, images, strict=True))

    @pytest.mark.usefixtures("cluster")
    def test_an_actor_that_is_killed_and_a_picture_that_kills(
        self, source: Path, tmp_path: Path
    ) -> None:
        (source / f"05 {POISON}.png").write_bytes((source / "05.png").read_bytes())
        items = items_in(source)
        ends: dict[str, list[str | None]] = {}
        opener = partial(Poisoned, seconds=0.1)
        killed = False
        for landed in on_ray(items, plain_recipe(), tmp_path / "out", backend=opener, pool=TWO):
            if not killed and (alive := actors()):  # the picture may just have ended them all
                os.kill(alive[0], signal.SIGKILL)
                killed = True
            ends.setdefault(landed.key, []).append(landed.error)
        assert killed
        assert sorted(ends) == [item.key for item in items]
        assert all(len(once) == 1 for once in ends.values())
        (said,) = ends.pop(f"05 {POISON}.png")
        assert said
        assert "process that worked on it was ended 2 times" in said
        assert {error for (error,) in ends.values()} == {None}
        for key in ends:
            with Image.open(tmp_path / "out" / key) as picture:
                picture.load()

    @pytest.mark.usefixtures("cluster")
    def test_cancelled_in_the_middle(self, source: Path, tmp_path: Path) -> None:
        class Stop(Job):
            def check(self) -> None:
                if done:
                    raise Cancelled("enough")

        done: list[Landed] = []
        opener = partial(FakeLocal, seconds=0.3)
        items, dest = items_in(source), tmp_path / "out"
        pool = ActorPool(actors=1, cpus_per_actor=1)
        results = on_ray(items, plain_recipe(), dest, backend=opener, job=Stop(), pool=pool)
        with pytest.raises(Cancelled, match="enough"):
            note(results, done)
        assert 0 < len(done) < 14
        assert not (dest / ".rmbg" / "ray").exists()


class TestMoney:
    """Two actors at a provider's on this machine; the key is in the user's key file alone."""

    @pytest.fixture
    def provider(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> Iterator[HostedServer]:
        with loopback(monkeypatch, "bria", quick=False, seconds=0.3, per_minute=600) as server:
            for name in find("bria").key_variables:
                monkeypatch.delenv(name, raising=False)
            monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
            set_key(find("bria"), server.key)
            monkeypatch.setenv("RMBG_DATA", str(tmp_path / "data"))
            monkeypatch.setenv("RMBG_BRIA_IN_FLIGHT", "4")
            monkeypatch.setenv("RMBG_BRIA_REQUESTS_A_MINUTE", "600")
            yield server

    def test_never_over_max_cost_nor_paid_twice(
        self,
        cluster: Path,
        provider: HostedServer,
        source: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        price = money(find("bria").price)
        recipe = replace(plain_recipe(), backend="bria", max_cost=price * 5)
        items, dest = items_in(source), tmp_path / "out"
        with pytest.raises(OverBudget, match="This run would cost"):
            list(on_ray(items, recipe, dest, pool=TWO))
        assert provider.bills == 0
        # A run that does not know beforehand how many there are.
        monkeypatch.setattr(ray_engine, "_check_paid", lambda *_: None)
        done: list[Landed] = []
        with pytest.raises(OverBudget, match="The next picture would bring"):
            note(on_ray(items, recipe, dest, pool=TWO), done)
        assert provider.bills == 5
        assert len(done) == 5
        # An actor dies with pictures at the provider's; the rest of the money is there now.
        left = [item for item in items if not (dest / item.target).exists()]
        killed = False
        for landed in on_ray(left, replace(recipe, max_cost=None), dest, pool=TWO):
            assert landed.error is None or landed.kind == "MayBeBilled", landed.error
            if not killed:
                os.kill(actors()[0], signal.SIGKILL)
                killed = True
        assert _billed_once(provider)
        assert provider.complaints == []
        assert _busiest_minute(provider) <= 600
        for file in cluster.rglob("*"):
            if file.is_file():
                assert provider.key.encode() not in file.read_bytes(), file

    @pytest.mark.usefixtures("provider")
    def test_what_the_recipe_refuses_is_not_counted(self, source: Path, tmp_path: Path) -> None:
        """Three pictures are wider than a WebP can be, and a fourth has no place to go to."""
        price = money(find("bria").price)
        for number in range(3):
            Image.new("RGB", (16_384, 1)).save(source / f"wide-{number}.png")
        dest = tmp_path / "out"
        (dest / "13.png").mkdir(parents=True)
        output = Output(format="webp", provenance=False)
        recipe = Recipe(output=output, backend="bria", max_cost=price * 13)
        check = partial(ray_engine._check_paid, items_in(source), dest=dest, settings=Settings())
        check(recipe=recipe)
        with pytest.raises(OverBudget, match="13 x"):
            check(recipe=replace(recipe, max_cost=price * 12))

    @pytest.mark.usefixtures("cluster")
    def test_a_driver_that_is_killed(
        self, provider: HostedServer, source: Path, tmp_path: Path
    ) -> None:
        """The first has a Ray of its own, the second takes up the work on the module's."""
        command = [sys.executable, "-m", "rmbg_nodes.tests.support.batch_ray", str(source)]
        command += [str(tmp_path / "out"), "bria"]
        first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        assert first.stdout is not None
        said = first.stdout.readline()
        first.kill()
        first.communicate()
        assert said.endswith(" done\n"), said
        time.sleep(1)  # its actors end with it; what had arrived is billed
        address = ray.get_runtime_context().gcs_address
        again = subprocess.run(
            command,
            env={**os.environ, "RAY_ADDRESS": address},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=90,
            check=False,
        )
        assert again.returncode == 0, again.stderr
        lost = {line.partition(" ")[0] for line in again.stdout.splitlines() if "billed" in line}
        assert {p.name for p in (tmp_path / "out").glob("*.png")} == {
            item.target for item in items_in(source) if item.key not in lost
        }
        assert _billed_once(provider)
        assert len(lost) <= 4

    def test_limits_are_divided(self) -> None:
        spec = find("bria")
        env = {"RMBG_BRIA_IN_FLIGHT": "7", "RMBG_BRIA_REQUESTS_A_MINUTE": "61"}
        assert divided(spec, 3, env) == {
            "RMBG_BRIA_IN_FLIGHT": "2",
            "RMBG_BRIA_REQUESTS_A_MINUTE": "20",
        }
        with pytest.raises(BadOption, match="one actor is enough"):
            divided(spec, 8, env)

    def test_what_costs_money_needs_a_name(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # It is for a process that does nothing else.
        monkeypatch.setattr("rmbg_nodes.batch.ray.ray_actor.keep_memory", lambda: None)
        provider = FakeProvider()
        orders = Orders(
            recipe=plain_recipe(),
            opener=partial(FakeHosted, provider),
            dest=tmp_path,
            settings=Settings(),
            surroundings={},
            workers=1,
            stop=tmp_path / "stop",
        )
        (part,) = write_pages(items_in(source)[:2], tmp_path / "pages")
        (said,) = RayActor(orders)({COLUMN: list(part.read())})[COLUMN]
        for result in read_results(said):
            assert isinstance(result, Refused)
            with pytest.raises(BadOption, match="by its id"):
                raise result.again()
        assert provider.billed == []

    @pytest.mark.usefixtures("home")
    def test_the_cache_must_be_there(
        self, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RMBG_CACHE", "0")
        with pytest.raises(BadOption, match="RMBG_CACHE"):
            list(on_ray(items_in(source), replace(plain_recipe(), backend="bria"), tmp_path))


class TestRefusals:
    def test_without_ray(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        del home
        for name in ("rmbg_nodes.batch.ray.ray_run", "rmbg_nodes.batch.ray.ray_actor"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, "ray", None)
        with pytest.raises(BackendMissing, match=r"rmbg-nodes\[ray\]"):
            list(on_ray([], Recipe(), tmp_path))

    def test_as_a_folder_of_comfyui(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ray_engine, "_PACKAGE", "not_installed_at_all")
        with pytest.raises(BadOption, match="installed"):
            list(on_ray([], Recipe(), tmp_path))

    @pytest.mark.usefixtures("home")
    def test_the_gate_comes_first(self, tmp_path: Path) -> None:
        with pytest.raises(LicenceRefused):
            list(on_ray([], Recipe("local/rmbg-2.0", usage="commercial"), tmp_path))

    @pytest.mark.usefixtures("cluster")
    def test_more_than_there_is(self, tmp_path: Path) -> None:
        with pytest.raises(BadOption, match="ask for fewer"):
            list(on_ray([], Recipe(), tmp_path, backend=FakeLocal, pool=ActorPool(3, 0, 1)))
        for wrong in ({"actors": 0}, {"cpus_per_actor": 0}, {"gpus_per_actor": -1.0}):
            with pytest.raises(BadOption):
                ActorPool(**wrong)

    @pytest.mark.usefixtures("home")
    def test_a_ray_client_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
        with pytest.raises(BadOption, match="ray job submit"):
            list(on_ray([], Recipe(), tmp_path, backend=FakeLocal))


@pytest.mark.skipif(sys.platform == "win32", reason="Ray's sockets there are no files")
@pytest.mark.parametrize(
    ("variable", "words"),
    [("RAY_TMPDIR", "AF_UNIX path length"), ("RAY_ADDRESS", "Invalid address")],
)
def test_a_ray_that_does_not_start_is_one_sentence(
    home: Path, source: Path, tmp_path: Path, variable: str, words: str
) -> None:
    place = tmp_path / ("x" * 120)
    place.mkdir()
    value = {"RAY_TMPDIR": str(place), "RAY_ADDRESS": "nonsense"}[variable]
    code = "import sys; from rmbg_nodes.cli import main; sys.exit(main())"
    arguments = ["batch", str(source), "-o", str(tmp_path / "o"), "--backend", "keyer"]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--engine", "ray"],
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 2
    assert words in result.stderr
    (line,) = [one for one in result.stderr.splitlines() if "Ray does not start here" in one]
    assert line.startswith("rmbg: ")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "o").exists()


def test_pages_hold_every_item_once(tmp_path: Path) -> None:
    for count in (0, 1, PAGE, PAGE * 9 + 1):
        items = [Item(f"{n}", Path(f"/in/{n} \udcff é"), f"{n}.png", None) for n in range(count)]
        parts = write_pages(items, tmp_path / "pages")
        read = [pair for part in parts for page in part.read() for pair in read_page(page)]
        assert read == list(enumerate(items))
    (tmp_path / "stop").touch()
    assert list(parts[0].read()) == []


def _billed_once(server: HostedServer) -> bool:
    digests = [job.digest for job in list(server.jobs.values())]
    return len(digests) == len(set(digests)) == server.bills


def _busiest_minute(server: HostedServer) -> int:
    times = [request.time for request in server.requests]
    return max(sum(1 for t in times if first <= t < first + 60) for first in times)
