"""The only file that knows ComfyUI's internals: progress, Cancel, folders and memory."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..core.errors import BadOption, Cancelled
from ..core.types import Job
from .folder_name import FOLDER, is_served

if TYPE_CHECKING:
    import torch
    from aiohttp import web
    from comfy_api.latest import io
    from torch import nn

# Core's own key for models like ours, since ComfyUI 0.21.
_KEY = "background_removal"
# Folders beside it where other packs keep the same files. In extra_model_paths.yaml they are keys,
# in whatever case the pack's readme spells them.
_LEGACY = ("RMBG", "rembg", "BiRefNet", "RMBG-2.0", "RMBG-1.4")

# A field of a node's schema, of ComfyUI 0.20 and newer.
_AGAIN = "has_intermediate_output"

# More bytes than any network has.
_ALL = 1e32

#: What a node says below its widgets: `text` is all of it, in the history too; `rmbg_urgent` tells
#: our page that the text is ours, and what of it is a toast as well.
Said: TypeAlias = "dict[str, list[str]]"

_log = logging.getLogger("rmbg_nodes")


class ComfyJob(Job):
    """Progress and Cancel of the node that is being executed.

    Made inside `execute`, because ComfyUI's progress bar finds its node through the context.
    """

    def __init__(self, total: int, signed_in: Callable[[], str] = str) -> None:
        """signed_in: gives the credential of whoever is signed in; empty where nobody is."""
        from comfy.utils import ProgressBar

        self._bar = ProgressBar(total)
        self._signed_in = signed_in

    def signed_in(self) -> str:
        return self._signed_in()

    def check(self) -> None:
        from comfy.model_management import processing_interrupted

        if processing_interrupted():
            raise Cancelled("Stopped by the user.")

    def step(self, done: int) -> None:
        self._bar.update(done)


@contextmanager
def comfy_job(total: int, signed_in: Callable[[], str] = str) -> Iterator[ComfyJob]:
    """Make the node's job, see ComfyJob; a Cancelled inside ends the prompt the way ComfyUI does
    it, as interrupted and not as failed."""
    try:
        yield ComfyJob(total, signed_in)
    except Cancelled:
        from comfy.model_management import throw_exception_if_processing_interrupted

        throw_exception_if_processing_interrupted()
        raise


def tell(node: str, said: Sequence[str], urgent: Sequence[str] = ()) -> Said:
    """Say what the user should look at in ComfyUI's log, and return the node's `ui` for our page.

    node: its name in the menu. said: sentences, worst first. urgent: those of them that make a
    result useless. The keys are always the same, because ComfyUI joins the `ui` of all calls for
    one list.
    """
    for words in said:
        _log.warning("%s: %s", node, words)
    return {"text": [*said], "rmbg_urgent": [*urgent]}


def show_again(schema: io.Schema) -> io.Schema:
    """Have ComfyUI (0.20 and newer) send what a node says again when its cache has the results."""
    if hasattr(schema, _AGAIN):
        setattr(schema, _AGAIN, True)
    return schema


def add_routes() -> None:
    """Let ComfyUI's server answer the questions of the node's page, at load; programs that import
    the nodes have none."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    server.routes.post("/rmbg/{name}")(_answer)
    if not is_served(FOLDER):
        from .web_folder import pattern, serve

        server.routes.get(pattern(FOLDER))(serve)


async def _answer(request: web.Request) -> web.StreamResponse:
    from .routes import answer  # not before it is asked for: the start of ComfyUI does not wait

    return await answer(request)


def listening_at() -> list[str]:
    """Return the addresses that ComfyUI listens at."""
    from comfy.cli_args import args

    return [address.strip() for address in args.listen.split(",")]


def input_folder() -> Path:
    """Return the folder that Load Image lists."""
    from folder_paths import get_input_directory

    return Path(get_input_directory())


def save_place(prefix: str, width: int, height: int) -> tuple[Path, str, int, str]:
    """Return where the next file of this name goes: the folder, the name with what %year% and
    the like stand for, the first free number, and the folder as the frontend calls it.

    Raises BadOption for a folder that is not ComfyUI's or that cannot be had.
    """
    from folder_paths import get_output_directory, get_save_image_path

    output = os.path.abspath(get_output_directory())
    if not os.path.abspath(os.path.join(output, prefix)).startswith(os.path.join(output, "")):
        raise BadOption(
            f"filename_prefix is {prefix!r}, which leads out of ComfyUI's output folder. Name a "
            "folder inside it, or none."
        )
    try:
        folder, name, counter, subfolder, _ = get_save_image_path(prefix, output, width, height)
    except OSError as error:
        raise BadOption(
            f"The folder of filename_prefix {prefix!r} cannot be had in {output} "
            f"({error.strerror}). Choose another."
        ) from error
    return Path(folder), name, counter, subfolder


def blocked(words: str) -> object:
    """Return an output that there is not: ComfyUI skips what wants it, and says these words."""
    from comfy_execution.graph_utils import ExecutionBlocker

    return ExecutionBlocker(words)


def account_inputs() -> list[io.Hidden]:
    """Return what a node's schema asks of ComfyUI to get the credential of whoever is signed in:
    ComfyUI hands it over beside the prompt, and keeps it out of its history."""
    from comfy_api.latest import io

    return [io.Hidden.auth_token_comfy_org, io.Hidden.api_key_comfy_org]


def account_of(hidden: io.HiddenHolder | None) -> Callable[[], str]:
    """Return what gives the credential of whoever queued the prompt, and shows it nowhere else."""
    key = hidden.api_key_comfy_org if hidden else None
    token = hidden.auth_token_comfy_org if hidden else None
    return lambda: str(key or token or "")


def workflow_of(hidden: io.HiddenHolder) -> dict[str, str]:
    """Return what ComfyUI writes into the pictures it saves: name -> JSON. Nothing when it was
    started with --disable-metadata."""
    from comfy.cli_args import args

    if args.disable_metadata:
        return {}
    prompt = {} if hidden.prompt is None else {"prompt": hidden.prompt}
    return {
        name: json.dumps(value)
        for name, value in {**prompt, **(hidden.extra_pnginfo or {})}.items()
    }


class ComfyHost:
    """A Host with ComfyUI's folders: those of extra_model_paths.yaml and --base-directory too."""

    def __init__(self) -> None:
        from folder_paths import add_model_folder_path, folder_names_and_paths, models_dir

        from ..backends.local.find import SUFFIXES
        from ..config.host import PlainHost

        add_model_folder_path(_KEY, str(Path(models_dir, _KEY)))
        folders, suffixes = folder_names_and_paths[_KEY]
        if not suffixes:
            # Before 0.21 this key is new, and without suffixes it would list every file.
            folder_names_and_paths[_KEY] = (folders, set(SUFFIXES))
        self._outside = PlainHost()

    def model_folders(self) -> list[Path]:
        """Return background_removal first, then other packs' folders where there are any, then
        those outside ComfyUI, where the command line puts what it fetches."""
        from folder_paths import folder_names_and_paths, get_folder_paths, models_dir

        legacy = {name.casefold() for name in _LEGACY}
        keys = [key for key in folder_names_and_paths if key.casefold() in legacy]
        registered = [Path(folder) for key in (_KEY, *keys) for folder in get_folder_paths(key)]
        beside = [Path(models_dir, name) for name in _LEGACY]
        there = [folder for folder in beside if folder.is_dir()]
        return list(dict.fromkeys([*registered, *there, *self._outside.model_folders()]))

    def data_folder(self) -> Path:
        """Return the user's own, not ComfyUI's: a journal of paid jobs in two places would pay
        twice."""
        return self._outside.data_folder()

    def device(self) -> str:
        """Where ComfyUI computes."""
        from comfy.model_management import get_torch_device

        return str(get_torch_device())

    def precision(self) -> torch.dtype:
        """Return what ComfyUI would compute in on this device; --force-fp32 and the like are
        obeyed."""
        import torch
        from comfy.model_management import get_torch_device, should_use_bf16, should_use_fp16

        device = get_torch_device()
        if should_use_bf16(device):
            return torch.bfloat16
        return torch.float16 if should_use_fp16(device) else torch.float32

    def slowdown(self, dtype: torch.dtype) -> float:
        """Return how many times as long as in float32 a CPU takes in `dtype`; other devices are not
        timed."""
        from comfy.model_management import get_torch_device, is_device_cpu

        from ..config.timing import slowdown

        return slowdown(dtype) if is_device_cpu(get_torch_device()) else 1.0

    def room(self, bytes_each: int) -> int:
        """Return how many fit into the device's free memory; on a CPU one, because more are not
        faster."""
        from comfy.model_management import get_free_memory, get_torch_device, is_device_cpu

        device = get_torch_device()
        if is_device_cpu(device):
            return 1
        return max(1, int(get_free_memory(device)) * 4 // 5 // bytes_each)

    def adopt(self, network: nn.Module) -> ComfyResident:
        """Put a network under ComfyUI's memory management: loaded, offloaded and counted like its
        own models."""
        return ComfyResident(network)

    def free_memory(self) -> None:
        """Unload everything else before a smaller batch is tried."""
        from comfy.model_management import soft_empty_cache, unload_all_models

        unload_all_models()
        soft_empty_cache()


class ComfyResident:
    """A network in a ModelPatcher, so that --lowvram, --cpu and "unload models" hold for it."""

    def __init__(self, network: nn.Module) -> None:
        from comfy.model_management import get_torch_device, unet_offload_device
        from comfy.model_patcher import ModelPatcher

        self._patcher = ModelPatcher(
            network, load_device=get_torch_device(), offload_device=unet_offload_device()
        )

    def on_device(self, working_bytes: int) -> nn.Module:
        """Load it whole: a network of plain layers cannot be streamed, and fits where half of it
        would."""
        from comfy.model_management import load_models_gpu

        load_models_gpu([self._patcher], memory_required=working_bytes, force_full_load=True)
        # --novram overrides force_full_load and would leave the network on the CPU.
        self._patcher.partially_load(self._patcher.load_device, _ALL)
        return self._patcher.model

    def release(self) -> None:
        """Take it off the device. ComfyUI drops the rest with its last reference."""
        self._patcher.detach()
