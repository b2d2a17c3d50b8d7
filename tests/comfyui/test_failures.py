"""Every failure is read whole on the page without a click: before a run in ComfyUI's own message,
in a run over the graph and on the node that failed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.browser import RENDERERS, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_graphs import (
    APPLY_MASK,
    COMPOSITE,
    REMOVE,
    Graph,
    messages_of,
    node,
)
from rmbg_nodes.tests.support.comfy_server import Entry, Server
from rmbg_nodes.tests.support.fresh_comfy import MODEL, fresh, hub_path, small_file
from rmbg_nodes.tests.support.hosted.faults import Fault, Kind, Step
from rmbg_nodes.tests.support.hosted.pictures import Variant
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.hub import serving as serving_hub

KEY = "loopback-key-0123456789"
ALWAYS = 99
SAVE = {
    "filename_prefix": "cut-out",
    "format": "png",
    "color": "#ffffff",
    "source": "not stated",
    "keep_workflow": True,
}
# Whether all of an element is in the window and nothing of its words is cut off.
WHOLE = """element => {
    const {left, top, right, bottom, width} = element.getBoundingClientRect()
    return width > 0 && left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight
        && element.scrollHeight <= element.clientHeight + 1
        && element.scrollWidth <= element.clientWidth + 1
}"""

# What Load RMBG's line says.
SAID = "() => app.graph.nodes.find(node => node.type === 'RMBG_Load').rmbgSaid.words"


@dataclass
class Place:
    """A running ComfyUI and its page, with a provider on this machine."""

    page: Tab
    server: Server
    provider: HostedServer

    @contextmanager
    def settings(self, text: str) -> Iterator[None]:
        """With this settings file."""
        file = self.server.folder / "me" / "rmbg-nodes" / "settings.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            file.unlink()

    @contextmanager
    def fault(self, step: Step, kind: int | Kind) -> Iterator[None]:
        """While this goes wrong at the provider."""
        self.provider.plan(Fault(step, kind, times=ALWAYS))
        try:
            yield
        finally:
            self.provider.mend()

    @contextmanager
    def slow(self) -> Iterator[None]:
        """While the provider's jobs take longer than anybody waits."""
        self.provider.seconds = 60
        try:
            with self.settings("job_timeout = 2\n"):
                yield
        finally:
            self.provider.seconds = 0

    @contextmanager
    def variant(self, variant: Variant) -> Iterator[None]:
        """While the provider's answers are files of this kind."""
        before, self.provider.variant = self.provider.variant, variant
        try:
            yield
        finally:
            self.provider.variant = before

    @contextmanager
    def little_memory(self, megabytes: int) -> Iterator[None]:
        """While ComfyUI's process may have no more than this beside what it has."""
        resource = pytest.importorskip("resource")
        if not hasattr(resource, "prlimit"):
            pytest.skip("only Linux limits another process")
        pid, kind = self.server.process.pid, resource.RLIMIT_AS
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        now = int(status.split("VmSize:")[1].split()[0]) * 1024
        soft, hard = resource.prlimit(pid, kind)
        resource.prlimit(pid, kind, (now + megabytes * 1_000_000, hard))
        try:
            yield
        finally:
            resource.prlimit(pid, kind, (soft, hard))


@pytest.fixture(scope="module", params=RENDERERS)
def place(
    request: pytest.FixtureRequest, comfyui: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("failures")
    with ExitStack() as stack:
        hub = stack.enter_context(serving_hub(content=small_file(), path=hub_path()))
        provider = stack.enter_context(HostedServer("replicate", key=KEY))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        plan = {"RMBG_REPLICATE_REQUESTS_A_MINUTE": "60000"}
        own = provider.environment() | plan
        server = stack.enter_context(fresh(comfyui, base, hub, patch, **own))
        weights = server.folder / "models" / "background_removal" / "BiRefNet"
        weights.mkdir(parents=True)
        (weights / "model.safetensors").write_bytes(hub.content)
        (server.folder / "broken.safetensors").write_bytes(b"\x10" * 4096)
        (server.folder / "output" / "taken").write_bytes(b"a file where a folder is wanted")
        set_up(server, request.param)
        yield Place(stack.enter_context(tab(server, request.param)), server, provider)


def picture(count: int = 1, color: int = 0xFFFFFF) -> Graph:
    return {"1": node("EmptyImage", width=96, height=64, batch_size=count, color=color)}


def kept(graph: Graph) -> Graph:
    """With Save Image behind node 3."""
    return graph | {"4": node("SaveImage", images=["3", 0], filename_prefix="failing")}


PHOTO = {"1": node("LoadImage", image="rmbg-photo.jpg")}
WRITTEN = {"5": node("PrimitiveString", value="of nobody")}


def load(backend: str, usage: str = "non-commercial", **options: object) -> Graph:
    settings = {f"backend.{name}": value for name, value in options.items()}
    return {"2": node("RMBG_Load", usage=usage, backend=backend, **settings)}


def removed(loader: Graph, shade: int = 0xFFFFFF, **changed: object) -> Graph:
    # The frontend puts what another graph's node of the same id had into what is left out.
    inputs = REMOVE | {"on_failure": "stop", "max_cost": 0.0, "resolution": 0} | changed
    remove = node("RMBG_RemoveBackground", remover=["2", 0], image=["1", 0], **inputs)
    return kept(picture(color=shade) | loader | {"3": remove})


def local(**options: object) -> Graph:
    given = {"model": MODEL, "resolution": 256} | options
    return load("local", "non-commercial", **given)


def hosted(shade: int, **options: object) -> Graph:
    """A picture of its own for each case: what was lost once is not sent again. options: a loader
    with the same ones is not asked again."""
    return removed(load("replicate", "non-commercial", model="rmbg-2.0", **options), shade)


def masked(pictures: int, masks: int, **changed: object) -> Graph:
    behind = {
        "5": node("EmptyImage", width=48, height=48, batch_size=masks, color=0xFFFFFF),
        "6": node("ImageToMask", image=["5", 0], channel="red"),
    }
    inputs = APPLY_MASK | changed
    apply = node("RMBG_ApplyMask", image=["1", 0], mask=["6", 0], **inputs)
    return kept(picture(pictures) | behind | {"3": apply})


def composed(**changed: object) -> Graph:
    return kept(
        picture() | {"3": node("RMBG_Composite", foreground=["1", 0], **COMPOSITE | changed)}
    )


def saved(**changed: object) -> Graph:
    return picture() | {"3": node("RMBG_SaveCutout", image=["1", 0], **SAVE | changed)}


@dataclass(frozen=True)
class Case:
    """One failure that a graph provokes."""

    name: str
    graph: Graph
    words: str
    """What its sentence has."""
    node: str = "RMBG_RemoveBackground"
    """The type of the node that says it."""
    provoke: Callable[[Place], AbstractContextManager[None]] = lambda place: nullcontext()
    """What goes wrong meanwhile."""


def fault(step: Step, kind: int | Kind) -> Callable[[Place], AbstractContextManager[None]]:
    return lambda place: place.fault(step, kind)


LOAD, APPLY, COMPOSE, SAVER = "RMBG_Load", "RMBG_ApplyMask", "RMBG_Composite", "RMBG_SaveCutout"

WHILE_RUNNING = [
    Case(
        "budget",
        hosted(1),
        "RMBG_BUDGET_USD",
        provoke=lambda place: place.settings('budget_usd = "0.001/day"\n'),
    ),
    Case("max_cost", removed(load("replicate", model="rmbg-2.0"), 2, max_cost=0.01), "0.01"),
    Case("key", hosted(3), "refused the key", provoke=fault("submit", 401)),
    Case("account", hosted(4), "402", provoke=fault("submit", 402)),
    Case("refused-picture", hosted(5), "422", provoke=fault("submit", 422)),
    Case("server-error", hosted(6), "500", provoke=fault("submit", 500)),
    Case("lost", hosted(7), "may have been billed", provoke=fault("submit", "reset after work")),
    Case("failed-job", hosted(8), "Replicate", provoke=fault("status", "failed")),
    Case("moderation", hosted(9), "shows", provoke=fault("submit", "moderation")),
    Case("opaque", hosted(10), "no mask", provoke=lambda place: place.variant("opaque")),
    Case("timeout", hosted(11, downscale=True), "was kept", provoke=lambda place: place.slow()),
    Case("keyer", removed(load("keyer")) | PHOTO, "no plain backdrop"),
    Case(
        "memory",
        removed(local(resolution=2560)),
        "not enough memory",
        provoke=lambda place: place.little_memory(200),
    ),
    Case("damaged", removed(local(weights="BASE/broken.safetensors")), "broken.safetensors"),
    Case("color", removed(load("keyer"), background="color", color="blu"), "blu"),
    Case("batches", masked(2, 3), "mask", APPLY),
    Case("mask-color", masked(1, 1, background="color", color="blu"), "blu", APPLY),
    Case("composite-color", composed(color="blu"), "blu", COMPOSE),
    Case("folder", saved(filename_prefix="taken/cut"), "cannot be had", SAVER),
    Case("outside", saved(filename_prefix="../cut"), "leads out of", SAVER),
    Case("report", saved(report=["5", 0]) | WRITTEN, "Connect its report output", SAVER),
]
BEFORE = [
    Case("weights", removed(load("local", model="rmbg-2.0")), "RMBG-2.0 is not on this machine"),
    Case("no-file", removed(local(weights="nowhere.safetensors")), "nowhere.safetensors"),
    Case("licence", removed(load("local", "commercial", model=MODEL)), "RMBG_ACCEPT_DATA_TERMS"),
    Case("no-key", removed(load("bria", model="rmbg-2.0")), "Press Set key on Load RMBG"),
    Case("option", removed(local(resolution=100)), "multiple of 32"),
    Case(
        "offline", hosted(20), "RMBG_OFFLINE", provoke=lambda place: place.settings("offline = 1\n")
    ),
    Case(
        "setting", hosted(21), "settings.toml", provoke=lambda place: place.settings("usge = 1\n")
    ),
]


def run(place: Place, case: Case) -> None:
    page = place.page.page
    graph = json.loads(json.dumps(case.graph).replace("BASE", str(place.server.folder)))
    page.evaluate("graph => app.loadApiJson(graph, 'failing')", graph)
    page.wait_for_function("n => app.graph.nodes.length === n", arg=len(case.graph))
    page.evaluate("() => app.graph.arrange()")
    page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.evaluate("() => app.queuePrompt(0, 1)")


def ended_since(place: Place, before: int) -> list[Entry]:
    """The prompts that have ended since there were so many of them, when there are any."""
    until = time.monotonic() + 60
    while len(history := list(place.server.get("/history").values())) == before:
        assert time.monotonic() < until, "nothing has failed"
        time.sleep(0.2)
    return history[before:]


@pytest.mark.parametrize("case", WHILE_RUNNING, ids=lambda case: case.name)
def test_what_fails_in_a_run_is_read_whole(place: Place, case: Case) -> None:
    page, before = place.page.page, len(place.server.get("/history"))
    with case.provoke(place):
        run(place, case)
        (ended,) = ended_since(place, before)
    words = messages_of(ended)["execution_error"]["exception_message"].strip()
    page.locator(".rmbg-line[data-state=failed] p").get_by_text(words).wait_for(timeout=10_000)
    assert case.words in words
    assert place.page.line(case.node) == words
    toast = page.locator(".rmbg-toast")
    assert toast.locator("p").inner_text() == words
    assert toast.evaluate(WHOLE)
    assert KEY not in words
    place.page.shoot(f"failure-{case.name}")
    toast.get_by_role("button", name="Close").click()
    assert place.page.complaints() == []


@pytest.mark.parametrize("case", BEFORE, ids=lambda case: case.name)
def test_what_cannot_run_is_read_whole_before_it(place: Place, case: Case) -> None:
    page, before = place.page.page, len(place.server.get("/history"))
    with case.provoke(place):
        run(place, case)
        page.locator("[data-testid=error-overlay]").wait_for(timeout=30_000)
        toast = page.locator(".rmbg-toast")
        toast.get_by_text(case.words).wait_for(timeout=5_000)
        words = toast.locator("p").inner_text()
        assert words == page.evaluate(SAID)
        assert toast.evaluate(WHOLE)
        place.page.shoot(f"refused-{case.name}")
        toast.get_by_role("button", name="Close").click()
    assert len(place.server.get("/history")) == before
    assert place.page.complaints() == []
