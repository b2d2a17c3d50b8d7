"""The five ComfyUI nodes. Nothing here is imported before ComfyUI asks for the extension."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .composite import Composite
from .load import LoadRmbg
from .mask import ApplyMask
from .remove import RemoveBackground
from .save import SaveCutout

NODES: tuple[type[io.ComfyNode], ...] = (
    LoadRmbg,
    RemoveBackground,
    ApplyMask,
    Composite,
    SaveCutout,
)


class RmbgExtension(ComfyExtension):
    """What `comfy_entrypoint` hands to ComfyUI."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)
