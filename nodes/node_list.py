"""The ComfyUI nodes. Nothing here is imported before ComfyUI asks for the extension.

A node's file holds its schema, which ComfyUI's start waits for; what its `execute` works with is
imported when it runs.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .comfy_host import add_routes, input_folder
from .composite_node import Composite
from .folder_name import say_what_is_not_served
from .load_node import LoadRmbg
from .mask_node import ApplyMask
from .remove_node import RemoveBackground
from .sample_pictures import put_samples
from .save_node import SaveCutout
from .video_node import RemoveBackgroundFromVideo

NODES: tuple[type[io.ComfyNode], ...] = (
    LoadRmbg,
    RemoveBackground,
    ApplyMask,
    Composite,
    SaveCutout,
    RemoveBackgroundFromVideo,
)


class RmbgExtension(ComfyExtension):
    """What `comfy_entrypoint` hands to ComfyUI."""

    async def on_load(self) -> None:
        say_what_is_not_served()
        add_routes()
        put_samples(input_folder())

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)
