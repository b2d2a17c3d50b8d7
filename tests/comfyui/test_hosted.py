"""One graph in a real ComfyUI, and the licensed APIs behind it one after the other."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

import rmbg_nodes
from rmbg_nodes.tests.comfyui.conftest import SECRET
from rmbg_nodes.tests.support.comfy_graphs import REMOVE, Graph, error_of, messages_of, node
from rmbg_nodes.tests.support.comfy_server import Entry, Server, python_of
from rmbg_nodes.tests.support.hosted.comfy import Comfy
from rmbg_nodes.tests.support.hosted.faults import Fault
from rmbg_nodes.tests.support.hosted.pictures import expected_alpha
from rmbg_nodes.tests.support.hosted.server import HostedServer
from rmbg_nodes.tests.support.networks import small_birefnet

KEYER = {"usage": "non-commercial", "backend": "keyer"}


@pytest.fixture(scope="module")
def comfy(
    comfyui: Path, user: Path, server: Server, providers: Mapping[str, HostedServer]
) -> Server:
    """The server, once Replicate's key is in the key file; the others are in its environment."""
    keys(comfyui, server, user, "set", providers["replicate"].key)
    return server


def keys(comfyui: Path, server: Server, user: Path, action: str, key: str = "") -> None:
    """`rmbg keys` as a user of this ComfyUI types it."""
    subprocess.run(
        [python_of(comfyui), str(server.pack), "keys", action, "replicate"],
        input=key,
        text=True,
        check=True,
        capture_output=True,
        env={**os.environ, "XDG_CONFIG_HOME": str(user / "config")},
    )


@pytest.fixture
def fal(providers: Mapping[str, HostedServer]) -> Iterator[HostedServer]:
    yield providers["fal"]
    providers["fal"].mend()
    providers["fal"].seconds = 0
    assert providers["fal"].complaints == []


@pytest.fixture
def put(comfy: Server) -> Callable[[str, int], np.ndarray]:
    """Put a picture into ComfyUI's input folder: a soft disc, another one for every seed."""

    def put(name: str, seed: int) -> np.ndarray:
        y, x = np.mgrid[:96, :128]
        disc = 240 - 20 * np.clip(np.hypot(y - 48, x - 40 - 4 * seed) - 25, 0, 10)
        levels = np.stack([disc, disc * 0.9, disc * 0.8], -1).astype(np.uint8)
        comfy.put_picture(name, levels)
        return levels

    return put


def graph(picture: str, load: Mapping[str, object], **changed: object) -> Graph:
    """LoadImage -> Load RMBG -> Remove Background -> SaveImage."""
    return {
        "1": node("LoadImage", image=picture),
        "2": node("RMBG_Load", **load),
        "3": node("RMBG_RemoveBackground", remover=["2", 0], image=["1", 0], **(REMOVE | changed)),
        "4": node("SaveImage", images=["3", 0], filename_prefix="cut"),
        "5": node("PreviewAny", source=["3", 2]),
    }


def hosted(provider: str, **options: object) -> dict[str, object]:
    """Load RMBG's inputs; settings that are not given are not in the prompt."""
    chosen = {"usage": "commercial", "backend": provider, "backend.model": "rmbg-2.0"}
    return {**chosen, **{f"backend.{name}": value for name, value in options.items()}}


def posts(provider: HostedServer) -> int:
    return sum(request.method == "POST" for request in list(provider.requests))


def wait_until(holds: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def succeeded(entry: Entry) -> Entry:
    assert entry["status"]["status_str"] == "success", messages_of(entry)
    return entry


@pytest.fixture(scope="module")
def local(comfy: Server) -> dict[str, object]:
    """Load RMBG on this machine: a small network of RMBG-2.0's family, its weights synthesised."""
    path = comfy.folder / "models" / "switch.safetensors"
    state = small_birefnet().float().state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return {
        "usage": "non-commercial",
        "backend": "local",
        "backend.model": "birefnet",
        "backend.resolution": 256,
        "backend.weights": str(path),
        "backend.patch_order": "wg hg c",
    }


def test_one_graph_and_six_backends(comfy: Server, providers, local, put) -> None:
    """keyer -> local -> bria -> fal -> replicate -> comfy: Load RMBG changes, and nothing else."""
    levels = put("shop.png", 0)
    given = graph("shop.png", KEYER)
    bills = {name: provider.bills for name, provider in providers.items()}

    def switched(load: Mapping[str, object]) -> tuple[np.ndarray, str]:
        """Run the graph with this Load RMBG; the cut-out and the report."""
        entry = succeeded(comfy.run({**given, "2": node("RMBG_Load", **load)}))
        assert others(entry["prompt"][2]) == others(given)
        saved = last_saved(comfy, "cut")
        assert others(json.loads(saved.info["prompt"])) == others(given)
        (cut,) = comfy.pictures(entry, "4")
        np.testing.assert_array_equal(cut, np.asarray(saved))
        assert cut.shape == (96, 128, 4)
        return cut, json.dumps(entry["outputs"]["5"])

    keyed, told = switched(KEYER)
    assert "keyer" in told
    own, told = switched(local)
    assert "local (BiRefNet, switch.safetensors)" in told
    np.testing.assert_allclose(own[..., 3], by_the_library(levels, local), atol=1)
    assert not np.array_equal(own[..., 3], keyed[..., 3])
    assert {name: provider.bills for name, provider in providers.items()} == bills
    cuts = {}
    for name, provider in providers.items():
        cuts[name], told = switched(hosted(name))
        np.testing.assert_array_equal(cuts[name][..., 3], expected_alpha(levels))
        assert f"{name}/rmbg-2.0" in told
        assert "0.018 USD" in told
        assert provider.bills == bills[name] + 1
        assert provider.complaints == []
    for cut in cuts.values():
        np.testing.assert_array_equal(cut, cuts["bria"])
    for cut in (keyed, *cuts.values()):
        solid = cut[..., 3] == 255
        assert solid.any()
        np.testing.assert_array_equal(cut[..., :3][solid], levels[solid])
    assert not np.array_equal(own[..., 3], cuts["bria"][..., 3])


def others(prompt: Graph) -> Graph:
    """All of the graph but Load RMBG; ComfyUI adds what it knows of a file's changes."""
    told = ("class_type", "inputs")
    return {
        number: {key: one[key] for key in told} for number, one in prompt.items() if number != "2"
    }


def last_saved(comfy: Server, prefix: str) -> Image.Image:
    """The newest PNG of this prefix, as it lies on the disk."""
    path = max((comfy.folder / "output").glob(f"{prefix}_*.png"))
    with Image.open(path) as picture:
        picture.load()
        return picture


def by_the_library(levels: np.ndarray, load: Mapping[str, object]) -> np.ndarray:
    """The mask that the library makes with these weights, outside ComfyUI."""
    weights, order = str(load["backend.weights"]), str(load["backend.patch_order"])
    backend = rmbg_nodes.open_backend(
        "local/birefnet", weights=weights, resolution=256, patch_order=order
    )
    try:
        cut = rmbg_nodes.remove_background(
            Image.fromarray(levels), backend, refine=True, solid=True
        )
    finally:
        backend.close()
    return np.asarray(cut.mask)


def test_whoever_is_signed_in_pays_when_that_is_chosen(comfy: Server, providers, put) -> None:
    """The credential comes beside the prompt, as the frontend sends it."""
    router = providers["comfy"]
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "somebody"}).encode()).decode()
    token = f"{SECRET}.{claims.rstrip('=')}.{SECRET}"
    cast("Comfy", router.speech).tokens[token] = "somebody"
    levels = put("signed.png", 9)
    given = graph("signed.png", hosted("comfy", account="signed-in"))
    before = router.bills
    nobody = error_of(comfy.run(given))
    assert nobody.startswith("rmbg_nodes.KeyMissing: ")
    assert "Sign in to ComfyUI" in nobody
    assert router.bills == before
    extra = {"auth_token_comfy_org": token}
    answer = comfy.post("/prompt", {"prompt": given, "extra_data": extra})
    entry = succeeded(comfy.wait(str(answer["prompt_id"])))
    (cut,) = comfy.pictures(entry, "4")
    np.testing.assert_array_equal(cut[..., 3], expected_alpha(levels))
    assert len(router.kept["somebody"]) == 1
    assert router.bills == before + 1
    assert token not in json.dumps(entry)
    assert router.complaints == []


def test_a_lost_answer_is_asked_for_again(comfy: Server, providers, put) -> None:
    router = providers["comfy"]
    levels = put("lost.png", 10)
    before = router.bills
    router.plan(Fault("submit", "reset after work", times=2))
    (cut,) = comfy.pictures(succeeded(comfy.run(graph("lost.png", hosted("comfy")))), "4")
    np.testing.assert_array_equal(cut[..., 3], expected_alpha(levels))
    assert router.bills == before + 1


def test_a_changed_local_option_submits_nothing(comfy: Server, fal: HostedServer, put) -> None:
    put("option.png", 1)
    succeeded(comfy.run(graph("option.png", hosted("fal"))))
    before = len(fal.requests)
    changed = graph("option.png", hosted("fal"), decontaminate=0.3, background="white")
    entry = succeeded(comfy.run(changed))
    (on_white,) = comfy.pictures(entry, "4")
    assert on_white.shape == (96, 128, 3)
    assert "from the cache" in json.dumps(entry["outputs"]["5"])
    succeeded(comfy.run(graph("option.png", hosted("fal", downscale=True, resubmit=True))))
    assert len(fal.requests) == before


def test_interrupt_ends_the_wait_and_the_next_queue_resumes(
    comfy: Server, fal: HostedServer, put
) -> None:
    levels = put("stopped.png", 2)
    fal.seconds = 120
    bills, jobs = fal.bills, set(fal.jobs)
    given = graph("stopped.png", hosted("fal"))
    prompt = comfy.queue(given)
    wait_until(lambda: set(fal.jobs) - jobs)
    (job,) = set(fal.jobs) - jobs
    wait_until(lambda: any(f"{job}/status" in r.path for r in list(fal.requests)))
    started = time.monotonic()
    comfy.post("/interrupt", {})
    entry = comfy.wait(prompt)
    assert time.monotonic() - started < 1
    assert "execution_interrupted" in messages_of(entry)
    assert "execution_error" not in messages_of(entry)
    fal.jobs[job].ends = 0
    entry = succeeded(comfy.run(given))
    assert "resumed" in json.dumps(entry["outputs"]["5"])
    (cut,) = comfy.pictures(entry, "4")
    np.testing.assert_array_equal(cut[..., 3], expected_alpha(levels))
    assert fal.bills == bills + 1


def test_another_node_runs_while_a_hosted_wait_is_on(comfy: Server, fal: HostedServer, put) -> None:
    put("slow.png", 3)
    fal.seconds = 60
    jobs = set(fal.jobs)
    both = graph("slow.png", hosted("fal")) | {
        "12": node("RMBG_Load", **KEYER),
        # Enough for it to be still at work when the hosted picture has been submitted.
        "11": node("RepeatImageBatch", image=["1", 0], amount=6),
        "13": node("RMBG_RemoveBackground", remover=["12", 0], image=["11", 0], **REMOVE),
        "14": node("SaveImage", images=["13", 0], filename_prefix="meanwhile"),
    }
    prompt = comfy.queue(both)
    wait_until(lambda: set(fal.jobs) - jobs)
    (job,) = set(fal.jobs) - jobs
    wait_until(lambda: list((comfy.folder / "output").glob("meanwhile*")))
    saved = next((comfy.folder / "output").glob("meanwhile*"))
    assert fal.jobs[job].unfinished
    assert saved.stat().st_mtime > fal.jobs[job].created
    fal.jobs[job].ends = 0
    succeeded(comfy.wait(prompt))


def test_a_missing_key_is_an_error_in_words(
    comfyui: Path, comfy: Server, providers, put, user: Path
) -> None:
    put("keyless.png", 4)
    before = len(providers["replicate"].requests)
    keys(comfyui, comfy, user, "remove")
    message = error_of(comfy.run(graph("keyless.png", hosted("replicate"))))
    assert message.startswith("rmbg_nodes.KeyMissing: ")
    assert "REPLICATE_API_TOKEN" in message
    assert "https://replicate.com/account/api-tokens" in message
    assert str(comfy.pack) in message  # the command of this very installation
    assert len(providers["replicate"].requests) == before
    keys(comfyui, comfy, user, "set", providers["replicate"].key)
    succeeded(comfy.run(graph("keyless.png", hosted("replicate"))))


def test_a_failed_picture_of_a_batch_is_left_out_or_named(
    comfy: Server, fal: HostedServer, put
) -> None:
    put("a.png", 5)
    put("b.png", 6)
    fal.plan(Fault("submit", 422))
    given = graph("a.png", hosted("fal")) | {
        "8": node("LoadImage", image="b.png"),
        "9": node("ImageBatch", image1=["1", 0], image2=["8", 0]),
    }
    given["3"]["inputs"] |= {"image": ["9", 0], "on_failure": "leave out"}
    bills = fal.bills
    entry = succeeded(comfy.run(given))
    assert len(comfy.pictures(entry, "4")) == 1
    assert "FAILED, and it was left out" in json.dumps(entry["outputs"]["5"])
    fal.plan(Fault("submit", 422))
    given["3"]["inputs"]["on_failure"] = "stop"
    message = error_of(comfy.run(given))
    assert "1 of 2 pictures failed" in message
    given["3"]["inputs"]["decontaminate"] = 0.9  # another prompt to ComfyUI, the same two to fal
    assert len(comfy.pictures(succeeded(comfy.run(given)), "4")) == 2
    assert fal.bills == bills + 2


def test_cores_remove_background_takes_a_hosted_remover(
    comfy: Server, fal: HostedServer, put
) -> None:
    levels = put("core.png", 7)
    given = {
        "1": node("LoadImage", image="core.png"),
        "2": node("RMBG_Load", **hosted("fal")),
        "3": node("RemoveBackground", bg_removal_model=["2", 0], image=["1", 0]),
        "4": node("MaskToImage", mask=["3", 0]),
        "5": node("SaveImage", images=["4", 0], filename_prefix="core"),
    }
    (mask,) = comfy.pictures(succeeded(comfy.run(given)), "5")
    np.testing.assert_array_equal(mask[..., 0], expected_alpha(levels))


def test_the_key_is_nowhere(comfy: Server, user: Path, providers) -> None:
    """Last, when everything above has been written."""
    assert sum(provider.bills for provider in providers.values()) > 5
    asked = ("/history", "/object_info", "/queue", "/internal/logs/raw")
    told = json.dumps([comfy.get(path) for path in asked])
    secrets = [SECRET, *(provider.key for provider in providers.values())]
    assert all(secret not in told for secret in secrets)
    written = [path for path in comfy.folder.rglob("*") if path.is_file()]
    assert {".png", ".log", ".db"} <= {path.suffix for path in written}
    records = [path for path in (user / "data").rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in records)
    for path in written + records:
        content = path.read_bytes()
        assert all(secret.encode() not in content for secret in secrets), path
    saved = 0
    for path in (comfy.folder / "output").rglob("*.png"):
        with Image.open(path) as picture:  # a text chunk may be compressed
            metadata = json.dumps(picture.info, default=str)
        saved += "RMBG_Load" in metadata  # other tests' workflows have no such node
        assert all(secret not in metadata for secret in secrets), path
    assert saved > 5
    assert "Traceback" not in comfy.start_log
