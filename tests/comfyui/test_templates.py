"""Every template in the real frontend, as a user meets it: opened, run, looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rmbg_nodes.tests.support.browser import RENDERERS, Tab, set_up, tab
from rmbg_nodes.tests.support.comfy_server import Entry, Server, python_of
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.networks import small_birefnet

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "workflows").glob("*.json"))
API = ROOT / "docs" / "api-workflows"
# Without weights a menu is empty; what core's networks need is nothing that a test can make.
UNRUN = {
    "core-loader": "ComfyUI's own loader takes only the full published weights",
    "cut-out-what-you-name": "ComfyUI's SAM3 takes only the full published weights",
}
# Saved by our own node, and played by the page.
VIDEOS = ("video-green-screen",)
SAM3 = "sam3.1_multiplex_fp16.safetensors"


@pytest.fixture(scope="module")
def hosted(
    comfyui: Path, server: Server, user: Path, providers: Mapping[str, HostedServer]
) -> Iterator[Mapping[str, HostedServer]]:
    """The providers, and Replicate's key in the key file; the others are in the environment."""

    def keys(action: str) -> None:
        subprocess.run(
            [python_of(comfyui), str(server.pack), "keys", action, "replicate"],
            input=providers["replicate"].key,
            text=True,
            check=True,
            capture_output=True,
            env={**os.environ, "XDG_CONFIG_HOME": str(user / "config")},
        )

    keys("set")
    yield providers
    keys("remove")


@pytest.fixture(scope="module")
def weights(server: Server) -> Path:
    """A small network of RMBG-2.0's family in ComfyUI's own folder."""
    path = server.folder / "models" / "small.safetensors"
    state = small_birefnet().float().state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def sam3(server: Server) -> Path:
    """A file of this name where ComfyUI looks, so that its menu has it."""
    path = server.folder / "models" / "checkpoints" / SAM3
    path.parent.mkdir(exist_ok=True)
    save_file({"nothing": torch.zeros(1)}, path)
    return path


@pytest.fixture(scope="module", params=RENDERERS)
def page(
    request: pytest.FixtureRequest,
    server: Server,
    hosted: Mapping[str, HostedServer],
    sam3: Path,
) -> Iterator[Tab]:
    set_up(server, request.param)
    with tab(server, request.param) as opened:
        yield opened


def loaders(graph: Entry) -> list[Entry]:
    return [node for node in graph["nodes"] if node["type"] == "RMBG_Load"]


def queued(page: Tab, server: Server) -> Entry:
    """Press Run; what the history says when it has ended."""
    before = set(server.get("/history"))
    assert page.page.evaluate("() => app.queuePrompt(0, 1)") is True
    until = time.monotonic() + 120
    while not (new := set(server.get("/history")) - before) and time.monotonic() < until:
        time.sleep(0.2)
    return server.wait(new.pop())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_opens_without_a_red_node_and_runs(
    page: Tab,
    server: Server,
    hosted: Mapping[str, HostedServer],
    weights: Path,
    path: Path,
) -> None:
    graph = page.load(path)
    known = set(server.get("/object_info")) | {"MarkdownNote"}
    assert set(page.page.evaluate("() => app.graph.nodes.map(node => node.type)")) <= known
    assert page.page.evaluate("() => app.graph.nodes.filter(node => node.has_errors).length") == 0
    assert page.page.locator("[data-testid=error-overlay]").count() == 0
    if path.stem in UNRUN:
        page.shoot(f"template-{path.stem}")
        assert page.complaints() == []
        pytest.skip(UNRUN[path.stem])
    if any(node["widgets_values"][1] == "local" for node in loaders(graph)):
        small = {"backend__model": "birefnet", "backend__resolution": 256}
        page.put("RMBG_Load", **small, backend__weights=str(weights))
    entry = queued(page, server)
    assert entry["status"]["status_str"] == "success", entry["status"]
    if path.stem in VIDEOS:  # test_video_page.py looks at it
        assert page.complaints() == []
        return
    page.wait_for_picture()
    (save,) = [str(node["id"]) for node in graph["nodes"] if node["type"] == "SaveImage"]
    for picture in server.pictures(entry, save):
        assert np.ptp(picture) > 50
    page.shoot(f"template-{path.stem}")
    assert page.complaints() == []
    name = path.stem.removeprefix("switch-to-")
    if name in hosted:
        assert hosted[name].complaints == []
        assert f"{name}/rmbg-2.0" in report_of(entry)


def test_without_sam3s_weights_comfyui_says_which_file_goes_where(
    page: Tab, server: Server, sam3: Path
) -> None:
    """On opening, and again instead of a run; a script is refused with the name."""
    kept = sam3.rename(sam3.with_suffix(".away"))
    try:
        page.page.evaluate("() => app.refreshComboInNodes()")
        page.load(ROOT / "workflows" / "cut-out-what-you-name.json")
        overlay = page.page.locator("[data-testid=error-overlay]")
        overlay.get_by_text(f"{SAM3} is missing").wait_for(timeout=10_000)
        page.shoot("template-without-sam3")
        before = set(server.get("/history"))
        page.page.evaluate("() => app.queuePrompt(0, 1)")
        page.page.locator("[data-testid=error-overlay-see-errors]").click()
        panel = page.page.locator("[data-testid=properties-panel]")
        panel.get_by_text("Missing Models").wait_for(timeout=10_000)
        told = panel.inner_text()
        page.shoot("template-without-sam3-queued")
        assert {SAM3, "checkpoints", "Download"} <= set(told.splitlines())
        assert set(server.get("/history")) == before
        prompt = json.loads((API / "cut-out-what-you-name.json").read_text(encoding="utf-8"))
        assert server.refused(prompt) == [f"ckpt_name: '{SAM3}' not in []"]
        assert page.complaints() == []
    finally:
        kept.rename(sam3)
        page.page.evaluate("() => app.refreshComboInNodes()")


def report_of(entry: Entry) -> str:
    """All text that the nodes showed."""
    return " ".join(str(output.get("text", "")) for output in entry["outputs"].values())


def test_a_second_run_of_a_hosted_template_is_not_billed(
    page: Tab, server: Server, hosted: Mapping[str, HostedServer]
) -> None:
    page.load(ROOT / "workflows" / "switch-to-fal.json")
    queued(page, server)
    bills = hosted["fal"].bills
    page.put("RMBG_RemoveBackground", decontaminate=0.5)  # else ComfyUI itself would skip the node
    assert queued(page, server)["status"]["status_str"] == "success"
    assert hosted["fal"].bills == bills


def test_the_script_of_the_handbook_queues_a_graph(server: Server) -> None:
    page = (API / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    code = found[1].replace("http://127.0.0.1:8188", server.base)
    assert code != found[1]
    result = subprocess.run(
        [sys.executable, "-c", code, str(API / "product-on-white.json"), "rmbg-product.jpg"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("success")
    assert '"filename": "product_' in result.stdout
