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

_HOMES = {
    "interface": (
        "Result",
        "composite",
        "cutout",
        "open_backend",
        "remove_background",
        "remove_background_async",
        "upsample_mask",
    ),
    "core.errors": (
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
        "RmbgError",
    ),
}

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
        for home, names in _HOMES.items():
            if name in names:
                return getattr(importlib.import_module(f".{home}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


async def comfy_entrypoint() -> RmbgExtension:
    """The extension, for ComfyUI."""
    from .nodes import RmbgExtension

    return RmbgExtension()
