"""Background removal for ComfyUI, Python and the command line.

This file is a door that opens only when used: importing the package loads neither torch nor numpy
nor ComfyUI. ComfyUI calls `comfy_entrypoint`; Python programs use the names in `__all__`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .version import __version__ as __version__

if TYPE_CHECKING:
    from comfy_api.latest import ComfyExtension

    from .api import (
        Result,
        composite,
        cutout,
        open_backend,
        remove_background,
        remove_background_async,
        upsample_mask,
    )
    from .core.errors import (
        AccountRefused,
        BackendFailed,
        BackendMissing,
        BackendUnknown,
        BadOption,
        BadPicture,
        Cancelled,
        KeyMissing,
        LicenceRefused,
        MayBeBilled,
        NoPlainBackdrop,
        Offline,
        OverBudget,
        PictureError,
        Refusal,
        ResultWaiting,
        RmbgError,
        UnusableResult,
        WeightsMissing,
        WeightsUnusable,
    )
    from .video.from_python import remove_background_video

#: ComfyUI serves this folder; the nodes' help pages are in it.
WEB_DIRECTORY = "./web"

__all__ = [
    "AccountRefused",
    "BackendFailed",
    "BackendMissing",
    "BackendUnknown",
    "BadOption",
    "BadPicture",
    "Cancelled",
    "KeyMissing",
    "LicenceRefused",
    "MayBeBilled",
    "NoPlainBackdrop",
    "Offline",
    "OverBudget",
    "PictureError",
    "Refusal",
    "Result",
    "ResultWaiting",
    "RmbgError",
    "UnusableResult",
    "WeightsMissing",
    "WeightsUnusable",
    "__version__",
    "composite",
    "cutout",
    "open_backend",
    "remove_background",
    "remove_background_async",
    "remove_background_video",
    "upsample_mask",
]

if not TYPE_CHECKING:  # so that type checkers still report a misspelt name

    def __getattr__(name: str) -> object:
        if name in __all__:
            for home in (".core.errors", ".api", ".video.from_python"):  # the light one first
                module = importlib.import_module(home, __name__)
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


async def comfy_entrypoint() -> ComfyExtension:
    """The extension, for ComfyUI; without nodes, and said in the log, where ComfyUI is too old."""
    from .nodes import extension

    return extension()
