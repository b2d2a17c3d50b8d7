"""A small stand-in for ComfyUI, so that node tests run anywhere: the surface that `nodes/` uses.

It records what the schema says and hands over what `execute` returns. `tests/comfyui` checks that
every class and argument used here exists in the real ComfyUI.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import ModuleType

import av
from aiohttp import web


class InterruptProcessingException(BaseException):
    """ComfyUI's own, a BaseException since 0.20."""


@dataclass
class Control:
    """The Cancel button, the progress bar and the folder of the stand-in."""

    base: Path = Path("ComfyUI")
    interrupt_after: int | None = None
    progress: list[tuple[int, int]] = field(default_factory=list)
    disable_metadata: bool = False
    listen: str = "127.0.0.1"
    _asked: int = 0

    def interrupted(self) -> bool:
        self._asked += 1
        return self.interrupt_after is not None and self._asked > self.interrupt_after


@dataclass
class Item:
    """An input or an output, as declared."""

    kind: str
    id: str | None
    settings: dict[str, object]


def _comfy_type(kind: str) -> type:
    class Type:
        @staticmethod
        def Input(id: str, **settings: object) -> Item:
            return Item(kind, id, settings)

        @staticmethod
        def Output(id: str | None = None, **settings: object) -> Item:
            return Item(kind, id, settings)

    return Type


class _Schema:
    def __init__(
        self,
        *,
        node_id: str,
        display_name: str,
        category: str,
        description: str,
        inputs: Sequence[Item],
        outputs: Sequence[Item],
        search_aliases: Sequence[str] = (),
        is_input_list: bool = False,
        is_output_node: bool = False,
        hidden: Sequence[object] = (),
    ) -> None:
        self.node_id = node_id
        self.display_name = display_name
        self.category = category
        self.description = description
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.search_aliases = list(search_aliases)
        self.is_input_list = is_input_list
        self.is_output_node = is_output_node
        self.hidden = list(hidden)


class Hidden:
    """What ComfyUI tells a node of the prompt that it belongs to."""

    prompt: object = None
    extra_pnginfo: dict[str, object] | None = None
    auth_token_comfy_org: str | None = None
    api_key_comfy_org: str | None = None


class _ComfyNode:
    hidden = Hidden()

    @classmethod
    def GET_SCHEMA(cls) -> _Schema:
        return cls.define_schema()  # type: ignore[attr-defined]


class _NodeOutput:
    def __init__(self, *result: object, ui: dict[str, object] | None = None) -> None:
        self.result = result
        self.ui = ui


class VideoFromFile:
    """ComfyUI's VIDEO of a file, and of a part of it."""

    def __init__(self, file: str | BytesIO, *, start_time: float = 0, duration: float = 0) -> None:
        self.file, self.start, self.duration = file, start_time, duration

    def get_dimensions(self) -> tuple[int, int]:
        with av.open(self.get_stream_source()) as container:
            stream = container.streams.video[0]
            return stream.width, stream.height

    def get_stream_source(self) -> str | BytesIO:
        if isinstance(self.file, BytesIO):
            self.file.seek(0)
        return self.file

    def get_active_trim_window(self) -> tuple[float, float]:
        return self.start, self.duration


class VideoFromComponents:
    """Of frames in memory: ComfyUI encodes them when it is asked for a stream."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    def get_stream_source(self) -> BytesIO:
        return BytesIO(self._encoded)


class _InputImpl:
    VideoFromFile = VideoFromFile
    VideoFromComponents = VideoFromComponents


class ExecutionBlocker:
    """In the place of an output that there is not."""

    def __init__(self, message: str | None) -> None:
        self.message = message


class _Option:
    def __init__(self, key: str, inputs: list[Item]) -> None:
        self.key = key
        self.inputs = inputs


class _ComfyExtension:
    async def on_load(self) -> None:
        pass


def _modules(control: Control) -> dict[str, ModuleType]:
    latest = ModuleType("comfy_api.latest")
    io = ModuleType("comfy_api.latest._io")
    for name, kind in {
        "Image": "IMAGE",
        "Mask": "MASK",
        "Video": "VIDEO",
        "String": "STRING",
        "Boolean": "BOOLEAN",
        "Int": "INT",
        "Float": "FLOAT",
        "Combo": "COMBO",
    }.items():
        setattr(io, name, _comfy_type(kind))
    dynamic = _comfy_type("COMFY_DYNAMICCOMBO_V3")
    dynamic.Option = _Option  # type: ignore[attr-defined]
    contents = {
        "DynamicCombo": dynamic,
        "Custom": _comfy_type,
        "Schema": _Schema,
        "ComfyNode": _ComfyNode,
        "NodeOutput": _NodeOutput,
        "Input": Item,
        "Output": Item,
        "HiddenHolder": Hidden,
        "Hidden": Hidden,
    }
    for name, value in contents.items():
        setattr(io, name, value)
    latest.io = io  # type: ignore[attr-defined]
    latest.ComfyExtension = _ComfyExtension  # type: ignore[attr-defined]

    latest.InputImpl = _InputImpl  # type: ignore[attr-defined]
    blocking = ModuleType("comfy_execution.graph_utils")
    blocking.ExecutionBlocker = ExecutionBlocker  # type: ignore[attr-defined]

    class ProgressBar:
        def __init__(self, total: int) -> None:
            self.total, self.done = total, 0

        def update(self, value: int) -> None:
            self.done += value
            control.progress.append((self.done, self.total))

    def throw_exception_if_processing_interrupted() -> None:
        if control.interrupted():
            raise InterruptProcessingException

    utils = ModuleType("comfy.utils")
    utils.ProgressBar = ProgressBar  # type: ignore[attr-defined]
    management = ModuleType("comfy.model_management")
    management.processing_interrupted = control.interrupted  # type: ignore[attr-defined]
    management.throw_exception_if_processing_interrupted = (  # type: ignore[attr-defined]
        throw_exception_if_processing_interrupted
    )
    management.get_torch_device = lambda: "cpu"  # type: ignore[attr-defined]
    arguments = ModuleType("comfy.cli_args")
    arguments.args = control  # type: ignore[attr-defined]

    class PromptServer:
        routes = web.RouteTableDef()

    PromptServer.instance = PromptServer()  # type: ignore[attr-defined]
    server = ModuleType("server")
    server.PromptServer = PromptServer  # type: ignore[attr-defined]
    return {
        "server": server,
        "folder_paths": _folder_paths(control.base),
        "comfy": ModuleType("comfy"),
        "comfy.cli_args": arguments,
        "comfy.utils": utils,
        "comfy.model_management": management,
        "comfy_execution": ModuleType("comfy_execution"),
        "comfy_execution.graph_utils": blocking,
        "comfy_api": ModuleType("comfy_api"),
        "comfy_api.latest": latest,
    }


def _folder_paths(base: Path) -> ModuleType:
    """ComfyUI's model folders as they were before 0.21, without a key for background removal."""
    module = ModuleType("folder_paths")
    registered: dict[str, tuple[list[str], set[str]]] = {}

    def add_model_folder_path(folder_name: str, full_folder_path: str) -> None:
        folders, _ = registered.setdefault(folder_name, ([], set()))
        if full_folder_path not in folders:
            folders.append(full_folder_path)

    def get_folder_paths(folder_name: str) -> list[str]:
        return list(registered[folder_name][0])

    def get_save_image_path(
        filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
    ) -> tuple[str, str, int, str, str]:
        """ComfyUI's rule: one more than the largest number behind "name_" in the folder."""
        for word, value in {"%width%": image_width, "%height%": image_height}.items():
            filename_prefix = filename_prefix.replace(word, str(value))
        folder = Path(output_dir, filename_prefix).parent
        name = Path(filename_prefix).name
        folder.mkdir(parents=True, exist_ok=True)
        numbers = [path.name.removeprefix(f"{name}_")[:5] for path in folder.glob(f"{name}_*")]
        counter = max((int(number) for number in numbers if number.isdigit()), default=0) + 1
        parent = Path(filename_prefix).parent.as_posix()
        subfolder = "" if parent == "." else parent
        return str(folder), name, counter, subfolder, filename_prefix

    module.get_save_image_path = get_save_image_path  # type: ignore[attr-defined]
    module.get_input_directory = lambda: str(base / "input")  # type: ignore[attr-defined]
    module.get_output_directory = lambda: str(base / "output")  # type: ignore[attr-defined]
    module.models_dir = str(base / "models")  # type: ignore[attr-defined]
    module.folder_names_and_paths = registered  # type: ignore[attr-defined]
    module.add_model_folder_path = add_model_folder_path  # type: ignore[attr-defined]
    module.get_folder_paths = get_folder_paths  # type: ignore[attr-defined]
    module.get_user_directory = lambda: str(base / "user")  # type: ignore[attr-defined]
    return module


@contextmanager
def standing_in(base: Path = Path("ComfyUI")) -> Iterator[Control]:
    """Put the stand-in where the nodes look for ComfyUI, and take it and the nodes away again.

    base: the folder that ComfyUI would be in.
    """
    control = Control(base=base)
    modules = _modules(control)
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield control
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        for name in [name for name in sys.modules if name.startswith("rmbg_nodes.nodes")]:
            del sys.modules[name]
