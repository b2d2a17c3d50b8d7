"""The templates as files: known nodes, valid values, a note, a thumbnail, nothing private, and the
same graph for scripts. tests/comfyui/test_templates.py opens and runs them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rmbg_nodes.tests.support.comfy_standin import Item
from rmbg_nodes.tests.support.wording import schemas

ROOT = Path(__file__).resolve().parent.parent
FOLDER, API = ROOT / "workflows", ROOT / "docs" / "api-workflows"
TEMPLATES = {
    "start-here",
    "product-on-white",
    "local-rmbg-2.0",
    "switch-to-bria",
    "switch-to-comfy",
    "switch-to-fal",
    "switch-to-replicate",
    "batch-of-frames",
    "one-cut-out-many-backgrounds",
    "blur-the-background",
    "masks-for-inpainting",
    "cut-out-what-you-name",
    "core-loader",
    "video-green-screen",
}
# Of ComfyUI 0.11 or older.
CORES = {
    "BatchImagesNode",
    "CLIPTextEncode",
    "CheckpointLoaderSimple",
    "EmptyImage",
    "GrowMask",
    "ImageBlur",
    "ImageCompositeMasked",
    "ImageFlip",
    "InvertMask",
    "LoadImage",
    "LoadVideo",
    "MarkdownNote",
    "MaskPreview",
    "PreviewAny",
    "PreviewImage",
    "SaveImage",
    "SplitImageWithAlpha",
}
NEWER = {
    "core-loader": {"LoadBackgroundRemovalModel"},  # since 0.21
    "cut-out-what-you-name": {"SAM3_Detect"},  # since 0.20
}
SOCKETS = ("IMAGE", "MASK", "VIDEO", "BACKGROUND_REMOVAL", "BOUNDING_BOX")
OURS = {schema.node_id: schema for schema in schemas()}
Json = dict[str, Any]
_PATH = re.compile(r"(?:^|[\s\"'`])(?:/|~/|[A-Za-z]:[\\/]|\\\\)")
_KEY = re.compile(r"(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{20,}")

each = pytest.mark.parametrize("name", sorted(TEMPLATES))


def template(name: str) -> Json:
    loaded: Json = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def nodes(name: str) -> list[Json]:
    found: list[Json] = template(name)["nodes"]
    return found


def named(node: Json) -> Json:
    """Widget -> value, as the frontend saves them beside the positional list."""
    values: Json = node.get("widgets_values_named", {})
    return values


def twin(name: str) -> Json:
    loaded: Json = json.loads((API / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def private(text: str) -> bool:
    """Whether it holds an absolute path or what looks like a key."""
    return bool(_PATH.search(text) or _KEY.search(text))


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(key)
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def widgets_of(node: Json) -> dict[str, Item]:
    """Name -> input of our schema, for what is a widget; those of the chosen backend inline."""
    found: dict[str, Item] = {}
    for item in OURS[node["type"]].inputs:
        if item.kind in SOCKETS:
            continue
        found[str(item.id)] = item
        if item.kind == "COMFY_DYNAMICCOMBO_V3":
            chosen = named(node)[str(item.id)]
            options: Sequence[Any] = settings_of(item)["options"]
            (option,) = [option for option in options if option.key == chosen]
            found |= {f"{item.id}.{sub.id}": sub for sub in option.inputs}
    return found


def settings_of(item: Item) -> Json:
    return item.settings


def fits(value: Any, item: Item) -> bool:
    settings = settings_of(item)
    if item.kind == "COMFY_DYNAMICCOMBO_V3":
        return value in [option.key for option in settings["options"]]
    if item.kind == "COMBO":
        return value in settings["options"]
    if item.kind == "BOOLEAN":
        return isinstance(value, bool)
    if item.kind == "STRING":
        return isinstance(value, str)
    right_kind = item.kind == "FLOAT" or isinstance(value, int)
    return right_kind and bool(settings["min"] <= value <= settings["max"])


def test_there_are_templates_pictures_and_nothing_else() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        f"{name}.{end}" for name in TEMPLATES for end in ("json", "jpg")
    }
    assert {path.name for path in API.iterdir()} == {"README.md"} | {
        f"{name}.json" for name in TEMPLATES
    }
    told = (API / "README.md").read_text(encoding="utf-8")
    assert [name for name in TEMPLATES if f"`{name}.json`" not in told] == []


def test_no_other_folder_hides_them() -> None:
    """ComfyUI serves all of these at one address, and only the first that is there answers."""
    looked_at = ("example_workflows", "example", "examples", "workflow", "workflows")
    assert [name for name in looked_at if (ROOT / name).exists()] == ["workflows"]


@each
def test_nodes_are_ours_or_cores(name: str) -> None:
    types = {node["type"] for node in nodes(name)}
    assert types <= CORES | set(OURS) | NEWER.get(name, set())
    assert types & set(OURS)


@each
def test_values_are_what_our_nodes_take(name: str) -> None:
    for node in nodes(name):
        if node["type"] in OURS:
            expected = widgets_of(node)
            values = named(node)
            # Settings that are newer than the template come after those that it has.
            assert list(values) == list(expected)[: len(values)], node["type"]
            assert node["widgets_values"] == list(values.values())
            for key, value in values.items():
                assert fits(value, expected[key]), (node["type"], key, value)


@each
def test_a_note_explains_it(name: str) -> None:
    (note,) = [node for node in nodes(name) if node["type"] == "MarkdownNote"]
    (text,) = note["widgets_values"]
    assert note["title"]
    assert 150 < len(text) < 700
    assert len(re.findall(r"[.:](?:\s|$)", text)) >= 3


@each
def test_a_note_names_no_command_that_a_folder_has_not(name: str) -> None:
    """Where ComfyUI loads the folder there is no `rmbg`; our nodes have buttons."""
    (note,) = [node for node in nodes(name) if node["type"] == "MarkdownNote"]
    assert not re.search(r"\brmbg [a-z]", note["widgets_values"][0])


@each
def test_no_two_nodes_overlap(name: str) -> None:
    title = 30
    boxes = [(*node["pos"], *node["size"]) for node in nodes(name)]
    for number, (x, y, width, height) in enumerate(boxes):
        for left, top, wide, high in boxes[:number]:
            beside = x >= left + wide or left >= x + width
            assert beside or y - title >= top + high or top - title >= y + height


@each
def test_a_small_square_picture_is_beside_it(name: str) -> None:
    path = FOLDER / f"{name}.jpg"
    assert path.stat().st_size < 60_000
    with Image.open(path) as picture:
        picture.load()
        assert (picture.format, picture.width, picture.height) == ("JPEG", 512, 512)
        assert not picture.getexif()


@each
def test_no_path_and_no_key_is_in_it(name: str) -> None:
    assert [text for text in strings(template(name)) if private(text)] == []
    assert [text for text in strings(twin(name)) if private(text)] == []


@pytest.mark.parametrize(
    "text", ["/home/me/a.png", "see C:\\a.png", "~/a.png", "the key fal-0123456789abcdef0123"]
)
def test_a_path_or_key_would_be_found(text: str) -> None:
    assert private(text)


@each
def test_the_graph_for_scripts_is_the_same(name: str) -> None:
    links = {link[0]: [str(link[1]), link[2]] for link in template(name)["links"]}
    expected = {}
    for node in nodes(name):
        if node["type"] == "MarkdownNote":
            continue
        inputs = {}
        for entry in node["inputs"]:
            if entry["link"] is not None:
                inputs[entry["name"]] = links[entry["link"]]
            elif "widget" in entry and entry["type"] != "IMAGEUPLOAD":
                inputs[entry["name"]] = named(node)[entry["name"]]
        expected[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    found = {
        number: {"class_type": node["class_type"], "inputs": node["inputs"]}
        for number, node in twin(name).items()
    }
    if name == "core-loader":  # the user's own file: the menu is empty, the script names one
        (load,) = [n for n in found.values() if n["class_type"] == "LoadBackgroundRemovalModel"]
        assert load["inputs"]["bg_removal_name"].endswith(".safetensors")
        load["inputs"]["bg_removal_name"] = None
    assert found == expected


def test_a_file_that_a_template_names_can_be_fetched() -> None:
    """ComfyUI offers the download of what a loader names in `models`, and the note says it too."""
    (load,) = [n for n in nodes("cut-out-what-you-name") if n["type"] == "CheckpointLoaderSimple"]
    (model,) = load["properties"]["models"]
    assert named(load)["ckpt_name"] == model["name"]
    assert model["directory"] == "checkpoints"
    (note,) = [n for n in nodes("cut-out-what-you-name") if n["type"] == "MarkdownNote"]
    page, _, file = str(model["url"]).partition("/resolve/main/")
    assert file == f"{model['directory']}/{model['name']}"
    assert f"[{model['name']}]({page})" in note["widgets_values"][0]
    assert f"**models/{model['directory']}**" in note["widgets_values"][0]


@pytest.mark.parametrize("provider", ["bria", "fal", "replicate"])
def test_switching_changes_one_node(provider: str) -> None:
    local, switched = (
        {number: node["inputs"] for number, node in twin(name).items()}
        for name in ("local-rmbg-2.0", f"switch-to-{provider}")
    )
    for graph in (local, switched):
        for inputs in graph.values():
            inputs.pop("filename_prefix", None)
    changed = [number for number in local if local[number] != switched[number]]
    assert [twin("local-rmbg-2.0")[number]["class_type"] for number in changed] == ["RMBG_Load"]
    (load,) = [switched[number] for number in changed]
    assert (load["usage"], load["backend"]) == ("commercial", provider)
