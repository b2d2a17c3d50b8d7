"""The nodes in a real ComfyUI server."""

from __future__ import annotations

import ast
import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage

from rmbg_nodes.demo.scenes import render
from rmbg_nodes.tests.support.comfy_graphs import APPLY_MASK, COMPOSITE, REMOVE, error_of, node
from rmbg_nodes.tests.support.comfy_server import Server, python_of
from rmbg_nodes.tests.support.networks import small_birefnet, small_isnet
from rmbg_nodes.tests.support.onnx_files import exported, kept

ROOT = Path(__file__).resolve().parents[2]
NODES = {"RMBG_Load", "RMBG_RemoveBackground", "RMBG_ApplyMask", "RMBG_Composite"}
KEYER = {"usage": "non-commercial", "backend": "keyer", "backend.mode": "plain"}
ON_WHITE = COMPOSITE | {"color": "white"}

LOCAL = {
    "usage": "non-commercial",
    "backend": "local",
    "backend.model": "birefnet",
    "backend.resolution": 0,
    "backend.precision": "auto",
    "backend.download": False,
    "backend.patch_order": "auto",
}


@pytest.fixture(scope="module")
def small(server: Server) -> Path:
    """Small random weights of RMBG-2.0's family."""
    path = server.folder / "models" / "small.safetensors"
    weights = small_birefnet().float().state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, path)
    return path


@pytest.fixture(scope="module")
def scene(server: Server):
    made = render("soft", 3, (256, 320), backdrop="studio")
    server.put_picture("scene.png", (made.image * 255).round().astype(np.uint8))
    return made


def cut_graph(picture: str = "scene.png") -> dict[str, dict[str, object]]:
    return {
        "1": node("LoadImage", image=picture),
        "2": node("RMBG_Load", **KEYER),
        "3": node("RMBG_RemoveBackground", remover=["2", 0], image=["1", 0], **REMOVE),
    }


def test_every_node_is_found_and_nothing_failed(server: Server) -> None:
    info = server.get("/object_info")
    assert set(info) >= NODES
    assert server.pack.name in server.start_log  # in the list of import times
    assert "IMPORT FAILED" not in server.start_log
    assert "Traceback" not in server.start_log
    for name in NODES:
        assert info[name]["category"] == "image/background removal"
    assert info["RMBG_RemoveBackground"]["output"] == ["IMAGE", "MASK", "STRING"]
    assert info["RMBG_Load"]["output"] == ["BACKGROUND_REMOVAL"]


def test_the_template_is_listed(server: Server) -> None:
    templates = server.get("/workflow_templates")
    assert "start-here" in templates[server.pack.name]


def test_load_remove_composite_save(server: Server, scene) -> None:
    graph = cut_graph() | {
        "4": node("RMBG_Composite", foreground=["3", 0], **ON_WHITE),
        "5": node("SaveImage", images=["4", 0], filename_prefix="white"),
        "6": node("SaveImage", images=["3", 0], filename_prefix="cut"),
        "7": node("PreviewAny", source=["3", 2]),
    }
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]
    (on_white,) = server.pictures(entry, "5")
    (cut,) = server.pictures(entry, "6")
    assert cut.shape == (256, 320, 4)
    alpha = cut[..., 3] / 255
    truth = scene.alpha
    overlap = ((alpha > 0.5) & (truth > 0.5)).sum() / ((alpha > 0.5) | (truth > 0.5)).sum()
    assert overlap > 0.9
    given = (scene.image * 255).round().astype(np.uint8)
    solid = cut[..., 3] == 255
    assert solid.any()
    np.testing.assert_array_equal(cut[..., :3][solid], given[solid])
    far = ndimage.distance_transform_edt(cut[..., 3] == 0) > 3
    assert far.any()
    assert (on_white[far] == 255).all()
    expected = alpha[..., None] * cut[..., :3] + (1 - alpha[..., None]) * 255
    assert np.abs(on_white - expected).max() <= 2
    assert "keyer" in json.dumps(entry["outputs"]["7"])


def test_masks_have_cores_meaning(server: Server, scene) -> None:
    """1 = subject: InvertMask -> JoinImageWithAlpha is our alpha, and LoadImage reads it back."""
    graph = cut_graph() | {
        "4": node("InvertMask", mask=["3", 1]),
        "5": node("JoinImageWithAlpha", image=["1", 0], alpha=["4", 0]),
        "6": node("SaveImage", images=["5", 0], filename_prefix="joined"),
        "7": node("SaveImage", images=["3", 0], filename_prefix="ours"),
    }
    entry = server.run(graph)
    (joined,), (ours,) = server.pictures(entry, "6"), server.pictures(entry, "7")
    np.testing.assert_array_equal(joined[..., 3], ours[..., 3])
    server.put_picture("joined.png", joined)
    back = {
        "1": node("LoadImage", image="joined.png"),
        "2": node("RMBG_ApplyMask", image=["1", 0], mask=["1", 1], **APPLY_MASK | {"invert": True}),
        "3": node("SaveImage", images=["2", 0], filename_prefix="back"),
    }
    (again,) = server.pictures(server.run(back), "3")
    assert np.abs(again[..., 3].astype(int) - ours[..., 3].astype(int)).max() <= 1


def test_load_images_no_mask_keeps_the_picture(server: Server, scene) -> None:
    """One picture without alpha and one with, as a list: the second node call has no warning."""
    alpha = np.full((256, 320, 1), 255, np.uint8)
    alpha[:, :100] = 0
    server.put_picture(
        "alpha.png", np.concatenate([np.full((256, 320, 3), 90, np.uint8), alpha], -1)
    )
    save = {
        "filename_prefix": "none",
        "format": "png",
        "color": "#ffffff",
        "source": "not stated",
        "keep_workflow": False,
    }
    graph = {
        "1": node("LoadImage", image="scene.png"),
        "2": node("RMBG_ApplyMask", image=["1", 0], mask=["1", 1], **APPLY_MASK),
        "3": node("RMBG_Composite", foreground=["1", 0], mask=["1", 1], **ON_WHITE),
        "4": node("LoadImage", image="alpha.png"),
        "5": node("CreateList", **{"inputs.input0": ["1", 0], "inputs.input1": ["4", 0]}),
        "6": node("CreateList", **{"inputs.input0": ["1", 1], "inputs.input1": ["4", 1]}),
        "7": node("RMBG_SaveCutout", image=["5", 0], mask=["6", 0], **save),
        "8": node("SaveImage", images=["2", 0], filename_prefix="kept"),
        "9": node("SaveImage", images=["3", 0], filename_prefix="over"),
    }
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]
    given = (scene.image * 255).round().astype(np.uint8)
    (kept,), (over,) = server.pictures(entry, "8"), server.pictures(entry, "9")
    assert (kept[..., 3] == 255).all()
    np.testing.assert_array_equal(kept[..., :3], given)
    np.testing.assert_array_equal(over, given)
    saved, inverted = server.pictures(entry, "7")
    np.testing.assert_array_equal(saved, given)
    np.testing.assert_array_equal(inverted[..., 3], 255 - alpha[..., 0])
    for id in ("2", "3", "7"):
        (words,) = entry["outputs"][id]["text"]
        assert words.startswith("No mask was given: 64 x 64 zeros")
        assert words in server.log()


def test_cores_remove_background_runs_our_remover(server: Server, scene) -> None:
    graph = cut_graph() | {
        "4": node("RemoveBackground", bg_removal_model=["2", 0], image=["1", 0]),
        "5": node("MaskToImage", mask=["4", 0]),
        "6": node("SaveImage", images=["5", 0], filename_prefix="core"),
        "7": node("SaveImage", images=["3", 0], filename_prefix="ours"),
    }
    entry = server.run(graph)
    (core,), (ours,) = server.pictures(entry, "6"), server.pictures(entry, "7")
    np.testing.assert_array_equal(core[..., 0], ours[..., 3])


def test_cores_resolution_reaches_our_local_model(server: Server, scene, small: Path) -> None:
    """Where core's node has one: since ComfyUI 0.34."""
    core = server.get("/object_info/RemoveBackground")["RemoveBackground"]["input"]
    if "resolution" not in core.get("optional", {}):
        pytest.skip("this ComfyUI's Remove Background has no resolution")
    graph = cut_graph() | {
        "2": node("RMBG_Load", **LOCAL, **{"backend.weights": str(small)}),
        "4": node("RemoveBackground", bg_removal_model=["2", 0], image=["1", 0], resolution=320),
        "5": node("MaskToImage", mask=["4", 0]),
        "6": node("SaveImage", images=["5", 0], filename_prefix="core"),
        "3": node(
            "RMBG_RemoveBackground", remover=["2", 0], image=["1", 0], resolution=320, **REMOVE
        ),
        "7": node("MaskToImage", mask=["3", 1]),
        "8": node("SaveImage", images=["7", 0], filename_prefix="ours"),
    }
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]
    np.testing.assert_array_equal(server.pictures(entry, "6"), server.pictures(entry, "8"))


def test_our_own_resolution_changes_a_local_models_mask(server: Server, scene, small: Path) -> None:
    graph = cut_graph() | {"2": node("RMBG_Load", **LOCAL, **{"backend.weights": str(small)})}
    for number, resolution in enumerate((256, 320)):
        inputs = {"remover": ["2", 0], "image": ["1", 0], "resolution": resolution, **REMOVE}
        graph[f"a{number}"] = node("RMBG_RemoveBackground", **inputs)
        graph[f"b{number}"] = node("MaskToImage", mask=[f"a{number}", 1])
        graph[f"c{number}"] = node("SaveImage", images=[f"b{number}", 0], filename_prefix="size")
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]
    (first,), (second,) = server.pictures(entry, "c0"), server.pictures(entry, "c1")
    assert not np.array_equal(first, second)


def test_lists_of_mixed_sizes(server: Server, scene) -> None:
    small = render("hard", 4, (128, 96), backdrop="studio")
    server.put_picture("small.png", (small.image * 255).round().astype(np.uint8))
    graph = cut_graph() | {
        "8": node("LoadImage", image="small.png"),
        "9": node("CreateList", **{"inputs.input0": ["1", 0], "inputs.input1": ["8", 0]}),
        "10": node("RMBG_RemoveBackground", remover=["2", 0], image=["9", 0], **REMOVE),
        "11": node("SaveImage", images=["10", 0], filename_prefix="list"),
    }
    entry = server.run(graph)
    shapes = [picture.shape for picture in server.pictures(entry, "11")]
    assert shapes == [(256, 320, 4), (128, 96, 4)]


def test_a_local_network_lives_in_comfyuis_memory_management(
    server: Server, scene, small: Path
) -> None:
    """Loaded by path; before and after an unload."""
    local = LOCAL | {"backend.resolution": 256, "backend.weights": str(small)}

    def masks(prefix: str) -> np.ndarray:
        graph = cut_graph() | {
            "2": node("RMBG_Load", **local),
            "9": node("RepeatImageBatch", image=["1", 0], amount=3),
            "3": node("RMBG_RemoveBackground", remover=["2", 0], image=["9", 0], **REMOVE),
            "4": node("MaskToImage", mask=["3", 1]),
            "5": node("SaveImage", images=["4", 0], filename_prefix=prefix),
            "6": node("PreviewAny", source=["3", 2]),
        }
        entry = server.run(graph)
        assert entry["status"]["status_str"] == "success", entry["status"]
        return np.stack(server.pictures(entry, "5"))

    first = masks("local-a")
    assert first.shape == (3, 256, 320, 3)
    assert first.std() > 0
    np.testing.assert_array_equal(first[0], first[2])
    server.post("/free", {"unload_models": True, "free_memory": False})
    time.sleep(1)
    np.testing.assert_array_equal(masks("local-b"), first)


def test_an_onnx_file_of_isnet_runs_as_it_is(
    server: Server, scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("onnx", reason="needs the extra [onnx]")
    content = exported(small_isnet(torch.float32), tmp_path_factory.mktemp("onnx"), folded=True)
    path = kept(server.folder / "models", "isnet.onnx", content)
    chosen = LOCAL | {"backend.model": "isnet", "backend.weights": str(path)}
    graph = cut_graph() | {
        "2": node("RMBG_Load", **chosen | {"backend.resolution": 256}),
        "4": node("PreviewAny", source=["3", 2]),
    }
    entry = server.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]
    said = json.dumps(entry["outputs"]["4"])
    assert "isnet.onnx" in said
    assert "IS-Net" in said


def test_the_report_says_which_patch_order_was_tried_out(
    server: Server, scene, small: Path
) -> None:
    chosen = LOCAL | {"backend.weights": str(small), "backend.resolution": 256}
    graph = cut_graph() | {
        "2": node("RMBG_Load", **chosen),
        "4": node("PreviewAny", source=["3", 2]),
    }
    said = json.dumps(server.run(graph)["outputs"]["4"])
    assert "on two photographs" in said
    named = graph | {"2": node("RMBG_Load", **chosen | {"backend.patch_order": "c hg wg"})}
    assert "photographs" not in json.dumps(server.run(named)["outputs"]["4"])


def test_other_edges_take_no_new_run_of_a_local_network(server: Server, scene, small: Path) -> None:
    """Until ComfyUI's execution cache is freed."""
    local = LOCAL | {"backend.resolution": 256, "backend.weights": str(small)}

    def report(**settings: object) -> str:
        graph = cut_graph() | {
            "2": node("RMBG_Load", **local),
            "3": node(
                "RMBG_RemoveBackground", remover=["2", 0], image=["1", 0], **REMOVE | settings
            ),
            "6": node("PreviewAny", source=["3", 2]),
        }
        entry = server.run(graph)
        assert entry["status"]["status_str"] == "success", entry["status"]
        return json.dumps(entry["outputs"]["6"])

    again = "the model's answer of an earlier run was used again"
    report(decontaminate=0.25)
    assert again in report(decontaminate=0.5)
    assert again in report(background="white")
    server.post("/free", {"unload_models": True, "free_memory": True})
    time.sleep(1)
    assert again not in report(decontaminate=0.75)


def test_missing_weights_are_refused_before_the_run_with_what_to_press(
    server: Server, scene
) -> None:
    load = {"usage": "non-commercial", "backend": "local", "backend.model": "rmbg-2.0"}
    defaults = {
        "backend.resolution": 0,
        "backend.precision": "auto",
        "backend.weights": "",
        "backend.download": False,
        "backend.patch_order": "auto",
    }
    graph = cut_graph() | {
        "2": node("RMBG_Load", **load, **defaults),
        "4": node("SaveImage", images=["3", 0], filename_prefix="no"),
    }
    (message,) = server.refused(graph)
    assert message.startswith("RMBG-2.0 is not on this machine yet (885 MB")
    assert "Press Download on Load RMBG" in message
    # For those without a page: the command line of this very installation.
    assert f"{server.pack}' weights get rmbg-2.0" in server.log()


def test_a_refusal_is_one_readable_sentence(server: Server, scene) -> None:
    graph = cut_graph() | {
        "2": node(
            "RMBG_Load",
            **{
                "usage": "commercial",
                "backend": "local",
                "backend.model": "rmbg-2.0",
                "backend.resolution": 0,
                "backend.precision": "auto",
                "backend.weights": "",
                "backend.download": False,
                "backend.patch_order": "auto",
            },
        ),
        "4": node("SaveImage", images=["3", 0], filename_prefix="no"),
    }
    (message,) = server.refused(graph)
    assert message.startswith("The licence of RMBG-2.0 weights")
    assert "keyer" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [("resolution", 100), ("resolution", 9_999_999), ("precision", "half"), ("model", "rmbg-9")],
)
def test_a_value_that_cannot_be_is_refused_before_the_run(
    server: Server, scene, small: Path, name: str, value: object
) -> None:
    local = {**LOCAL, "backend.weights": str(small), f"backend.{name}": value}
    graph = cut_graph() | {
        "2": node("RMBG_Load", **local),
        "4": node("SaveImage", images=["3", 0], filename_prefix="no"),
    }
    (message,) = server.refused(graph)
    assert str(value) in message


def test_a_value_from_another_node_is_judged_when_it_is_there(server: Server, scene) -> None:
    graph = cut_graph() | {
        "2": node("RMBG_Load", **LOCAL, **{"backend.weights": ["8", 0]}),
        "4": node("SaveImage", images=["3", 0], filename_prefix="no"),
        "8": node("PrimitiveString", value="nowhere.safetensors"),
    }
    message = error_of(server.run(graph))
    assert message.startswith("rmbg_nodes.WeightsMissing: There is no file nowhere.safetensors")


def test_a_failed_picture_is_an_error_not_a_blank_one(server: Server) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    server.put_picture("noise.png", noise)
    graph = cut_graph("noise.png") | {"4": node("SaveImage", images=["3", 0], filename_prefix="no")}
    message = error_of(server.run(graph))
    assert "no plain backdrop" in message
    assert "local, bria, fal or replicate" in message


def test_cancel_stops_between_pictures(server: Server, scene) -> None:
    graph = cut_graph() | {
        "9": node("RepeatImageBatch", image=["1", 0], amount=400),
        "3": node("RMBG_RemoveBackground", remover=["2", 0], image=["9", 0], **REMOVE),
        "4": node("SaveImage", images=["3", 0], filename_prefix="no"),
    }
    prompt_id = server.queue(graph)
    time.sleep(2)
    started = time.monotonic()
    server.post("/interrupt", {})
    entry = server.wait(prompt_id)
    assert time.monotonic() - started < 3
    names = [name for name, _ in entry["status"]["messages"]]
    assert "execution_interrupted" in names
    assert "execution_error" not in names


def test_the_stubs_describe_the_real_api(comfyui: Path) -> None:
    """Every class and argument that typings/comfy_api/latest.pyi promises exists in ComfyUI."""
    stub = ast.parse((ROOT / "typings/comfy_api/latest.pyi").read_text(encoding="utf-8"))
    io = next(n for n in stub.body if isinstance(n, ast.ClassDef) and n.name == "io")
    wanted: list[tuple[str, list[str]]] = []
    for outer in [io, *(n for n in io.body if isinstance(n, ast.ClassDef))]:
        prefix = "io" if outer is io else f"io.{outer.name}"
        for inner in outer.body:
            if isinstance(inner, ast.FunctionDef):
                name = prefix if inner.name == "__init__" else f"{prefix}.{inner.name}"
                arguments = [a.arg for a in (*inner.args.args, *inner.args.kwonlyargs)]
                wanted.append((name, [a for a in arguments if a not in ("self", "cls")]))
            elif isinstance(inner, ast.ClassDef) and outer is not io:
                wanted.append((f"{prefix}.{inner.name}", []))
    assert len(wanted) > 10
    code = (
        "import inspect, json, sys\n"
        "from comfy_api.latest import ComfyExtension, io\n"
        "from comfy.utils import ProgressBar\n"
        "wrong = []\n"
        "for name, arguments in json.load(sys.stdin):\n"
        "    thing = io\n"
        "    for part in name.split('.')[1:]:\n"
        "        thing = getattr(thing, part)\n"
        "    real = inspect.signature(thing).parameters\n"
        "    free = any(p.kind == p.VAR_POSITIONAL for p in real.values())\n"
        "    wrong += [f'{name}({a})' for a in arguments if a not in real and not free]\n"
        "print(json.dumps(wrong))\n"
    )
    result = subprocess.run(
        [python_of(comfyui), "-c", code],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        cwd=comfyui,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == []
