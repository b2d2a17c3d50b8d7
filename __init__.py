"""Background removal for ComfyUI, Python and the command line.

This file is a door that opens only when used: importing the package loads neither torch nor numpy
nor ComfyUI. ComfyUI calls `comfy_entrypoint`; Python programs use the names in `__all__`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .core.errors import (
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
        RmbgError,
    )
    from .interface import (
        Result,
        composite,
        cutout,
        open_backend,
        remove_background,
        remove_background_async,
        upsample_mask,
    )
    from .nodes import RmbgExtension

__version__ = "0.1.0"

__all__ = [
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
    "RmbgError",
    "__version__",
    "composite",
    "cutout",
    "open_backend",
    "remove_background",
    "remove_background_async",
    "upsample_mask",
]

if not TYPE_CHECKING:  # so that type checkers still report a misspelt name

    def __getattr__(name: str) -> object:
        if name in __all__:
            for home in (".core.errors", ".interface"):  # the light one first
                module = importlib.import_module(home, __name__)
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


async def comfy_entrypoint() -> RmbgExtension:
    """The extension, for ComfyUI."""
    from .nodes import RmbgExtension

    return RmbgExtension()
