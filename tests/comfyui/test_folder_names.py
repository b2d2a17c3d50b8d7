"""Which folder names the real server serves files from, and that the log says where it does not."""

# Pins the inside of nodes.folder_name

from __future__ import annotations

import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmbg_nodes.tests.support.comfy_server import FOLDER, ROOT, Server, serving
from rmbg_nodes.tests.support.comfy_standin import standing_in

NAMES = (
    "rmbg-nodes",
    "rmbg_nodes",
    "rmbg+nodes",
    "rmbg(1)",
    "rmbg nodes",
    "rmbg%nodes",
    "rmbg%20nodes",
    "rmbg#nodes",
    "rmbg[1]",
    "rmbgnödes",
    "抠图",
    "rmbg.nodes",
    "rmbg@1",
)
# A pack of one node, which says as what ComfyUI knows the folder.
PACK = """
class Probe:
    CATEGORY, FUNCTION, RETURN_TYPES = "probe", "run", ()
    INPUT_TYPES = classmethod(lambda cls: {{"required": {{}}}})
    run = staticmethod(lambda: ())

NODE_CLASS_MAPPINGS = {{"Probe{number}": Probe}}
WEB_DIRECTORY = "./web"
"""


@pytest.fixture(scope="module")
def awkward(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Our files under each name, and the pack itself where the tests always have it."""
    base = tmp_path_factory.mktemp("names")
    for number, name in enumerate(NAMES):
        pack = base / "custom_nodes" / name
        for part in ("workflows", "web"):
            shutil.copytree(ROOT / part, pack / part)
        (pack / "__init__.py").write_text(PACK.format(number=number), encoding="utf-8")
    user = str(base / "me")
    with serving(comfyui, base, RMBG_DATA=user, XDG_CONFIG_HOME=user) as running:
        yield running


def is_served(server: Server, path: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(server.base + path, timeout=60) as answer:
            return bool(answer.read())
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_a_name_is_what_the_server_does(awkward: Server, name: str) -> None:
    with standing_in():
        from rmbg_nodes.nodes.folder_name import not_served

        said = not_served(name)
    address = urllib.parse.quote(name, safe="")
    files = [
        is_served(awkward, f"/api/workflow_templates/{address}/start-here.json"),
        is_served(awkward, f"/api/workflow_templates/{address}/start-here.jpg"),
        is_served(awkward, f"/extensions/{address}/docs/RMBG_Load.md"),
    ]
    assert len(set(files)) == 1
    # The frontend makes the address of a help page of the node's module, up to a dot or an @.
    probe = f"Probe{NAMES.index(name)}"
    module = awkward.get(f"/object_info/{probe}")[probe]["python_module"]
    folder = urllib.parse.quote(module.split(".")[1].split("@")[0], safe="")
    help_page = is_served(awkward, f"/extensions/{folder}/docs/RMBG_Load.md")
    expected = {
        (True, True): "",
        (True, False): "this pack's help pages",
        # The pack itself serves its page then, which this copy of its files does not.
        (False, False): "this pack's templates and thumbnails",
    }
    assert said == expected[files[0], help_page]


def test_the_pack_serves_its_page_under_an_awkward_name(awkward: Server) -> None:
    address = urllib.parse.quote(FOLDER)
    assert f"/extensions/{address}/js/readiness.js" in awkward.get("/extensions")
    assert is_served(awkward, f"/extensions/{address}/js/readiness.js")
    assert is_served(awkward, f"/extensions/{address}/docs/RMBG_Load.md")
    assert not is_served(awkward, f"/extensions/{address}/%2e%2e/pyproject.toml")


def test_the_log_says_it_once_with_the_remedy(awkward: Server) -> None:
    said = [line for line in awkward.start_log.splitlines() if "The folder's name" in line]
    assert len(said) == 1
    assert repr(FOLDER) in said[0]
    assert "Rename the folder to comfyui-rmbg-nodes-0-1 and start ComfyUI again." in said[0]
