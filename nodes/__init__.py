"""What ComfyUI gets: the nodes, or one sentence in its log where it is too old for them."""

from __future__ import annotations

import inspect
import logging
from importlib import import_module

from comfy_api.latest import ComfyExtension, io

OLDEST = "0.11.0"


class NoNodes(ComfyExtension):
    """Adds nothing, so that ComfyUI lists no failed import beside our sentence."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return []


def extension() -> ComfyExtension:
    """Return the nodes' extension, or an empty one and a warning in the log."""
    # Asked of the API, not of the version: forks number themselves. `search_aliases` came last of
    # all that the nodes use (0.11.0).
    if "search_aliases" in inspect.signature(io.Schema).parameters:
        from .node_list import RmbgExtension

        return RmbgExtension()
    logging.getLogger("rmbg_nodes").warning(
        "RMBG Nodes needs ComfyUI %s or newer, and this is %s: its nodes are not loaded. "
        "Update ComfyUI and start it again.",
        OLDEST,
        _version(),
    )
    return NoNodes()


def _version() -> str:
    try:
        return str(import_module("comfyui_version").__version__)
    except ImportError:  # a fork, or older than version files
        return "an older one"
