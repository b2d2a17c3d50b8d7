"""What travels through the BACKGROUND_REMOVAL socket, to our nodes and to core's."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from ..core.types import Backend, Usage
from ..gate import open_backend
from ..pipeline import Treatment
from ..settings import read_settings
from .comfy_host import ComfyHost
from .core_model import CoreModel, CoreModelBackend
from .run import run_batches


class Remover:
    """An opened backend and the usage it was opened for.

    Core's Remove Background node calls `encode_image`; it goes through the same pipeline, and so
    through the same gate and Cancel, as our own node.
    """

    def __init__(self, backend: Backend, usage: Usage | None) -> None:
        self.backend = backend
        self.usage = usage

    def encode_image(self, image: Tensor) -> Tensor:
        """(B, H, W, C) float 0..1 -> MASK (B, H, W), 1 = subject."""
        batches = run_batches(
            self.backend, self.usage, [image], Treatment(refine=True, decontaminate=0.0)
        )
        return batches[0].mask


def as_remover(plugged: Remover | CoreModel) -> Remover:
    """Our own remover as it is; core's model as a backend whose licence is not established.

    Told apart by what they have, not by class: the package may be loaded twice in one process.
    """
    if hasattr(plugged, "backend") and hasattr(plugged, "usage"):
        return cast("Remover", plugged)
    pinned = read_settings().backend
    if pinned:  # a pinned deployment runs nothing else, whatever the graph says
        return Remover(open_backend(pinned, host=ComfyHost()), usage=None)
    return Remover(CoreModelBackend(plugged), usage=None)
