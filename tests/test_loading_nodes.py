"""What ComfyUI's start waits for: the modules that the nodes' schemas are made of, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# torch is loaded before any pack, and aiohttp serves ComfyUI's page.
LOAD = """
import asyncio, sys
import torch
import rmbg_nodes
from rmbg_nodes.tests.support.comfy_standin import standing_in

with standing_in():
    before = set(sys.modules)
    extension = asyncio.run(rmbg_nodes.comfy_entrypoint())
    for node in asyncio.run(extension.get_node_list()):
        node.GET_SCHEMA()
    print(*sorted(set(sys.modules) - before))
"""

#: Words, numbers and rows. What computes, reads files or asks the network is imported when a node
#: runs: pictures, records, backends, pipeline and config are not here.
WANTED = {
    "catalogue": {
        "backends",
        "hosted_models",
        "hosted_options",
        "hosted_videos",
        "licence_row",
        "licences",
    },
    "core": {
        "colour",
        "errors",
        "layers",
        "money",
        "placement",
        "repeat",
        "report",
        "specs",
        "tickets",
        "types",
    },
    "nodes": {
        "backend_choice",
        "comfy_host",
        "composite_node",
        "folder_name",
        "load_node",
        "mask_node",
        "node_list",
        "remove_node",
        "sample_pictures",
        "save_node",
        "video_node",
        "widgets",
    },
}


def loaded(tmp_path: Path) -> list[str]:
    made = subprocess.run(
        [sys.executable, "-c", LOAD], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.split()


def test_loading_the_nodes_imports_what_their_schemas_need(tmp_path: Path) -> None:
    new = loaded(tmp_path)
    ours: dict[str, set[str]] = {}
    for name in new:
        pack, _, rest = name.partition(".")
        folder, _, module = rest.partition(".")
        if pack == "rmbg_nodes" and module:
            ours.setdefault(folder, set()).add(module)
    assert ours == WANTED
    others = {name.partition(".")[0] for name in new} - {"rmbg_nodes"}
    assert others <= set(sys.stdlib_module_names)
