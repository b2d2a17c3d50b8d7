"""What travels through the BACKGROUND_REMOVAL socket, to our nodes and to core's."""

from __future__ import annotations

import logging
from functools import cache
from typing import cast
from weakref import WeakKeyDictionary

from torch import Tensor

from ..config.settings import read_settings
from ..core.types import Backend, Sizable, Usage
from ..pipeline.finishing import Finishing
from ..pipeline.gate import open_backend
from ..pipeline.matte_memory import MatteMemory
from .comfy_host import ComfyHost
from .core_model import CoreModel, CoreModelBackend
from .run_batches import run_batches

# Core's model -> its answers, as long as ComfyUI holds the model.
_OF_CORE: WeakKeyDictionary[CoreModel, MatteMemory] = WeakKeyDictionary()


class Remover:
    """An opened backend and the usage it was opened for.

    Core's Remove Background node calls `encode_image`; it goes through the same pipeline, and so
    through the same gate and Cancel, as our own node.
    """

    def __init__(
        self, backend: Backend, usage: Usage | None, kept: MatteMemory | None = None
    ) -> None:
        self.backend = backend
        self.usage = usage
        #: Goes with this object, and so when ComfyUI frees its execution cache.
        self.kept = kept or MatteMemory(read_settings().matte_bytes)

    def encode_image(
        self, image: Tensor, image_size: int | None = None, **unknown: object
    ) -> Tensor:
        """Compute the MASK (B, H, W), 1 = subject, of (B, H, W, C) float 0..1.

        image_size: the `resolution` of core's node, the side of the model's square. Core's node
        always has one, so a resolution that was chosen in Load RMBG comes before it. unknown: what
        a later ComfyUI may ask for; left aside, and said once in the log, as is a size that does
        not apply.
        """
        for name in unknown:
            _log_once(
                f"ComfyUI's Remove Background asks for {name}, which this version of the pack does "
                "not know: it is left aside. Look for a newer version.",
                logging.WARNING,
            )
        chosen = getattr(self.backend, "options", {}).get("resolution", 0)
        backend = self.backend
        if image_size and not chosen:
            backend, left_aside = at_resolution(self.backend, image_size)
            _log_once(left_aside)
        elif image_size and image_size != chosen:
            _log_once(f"Load RMBG says resolution {chosen}, which comes before {image_size}.")
        batches = run_batches(
            backend,
            self.usage,
            [image],
            Finishing(refine=True, decontaminate=0.0, solid=True),
            kept=self.kept,
        )
        return batches[0].mask


def at_resolution(backend: Backend, side: int) -> tuple[Backend, str]:
    """Return the backend on squares of this side, and a sentence where that is nothing to it.

    side: pixels; 0 leaves it as it is. Raises BadOption for a side that the model cannot have.
    """
    if not side:
        return backend, ""
    if not backend.spec.sizable:
        return backend, f"{backend.spec.id} has no resolution, so {side} was left aside."
    return cast("Sizable", backend).at(side), ""


@cache
def _log_once(words: str, level: int = logging.INFO) -> None:
    if words:
        logging.getLogger("rmbg_nodes").log(level, "%s", words)


def as_remover(plugged: Remover | CoreModel) -> Remover:
    """Return our own remover as it is, core's model as a backend whose licence is not established.

    Told apart by what they have, not by class: the package may be loaded twice in one process.
    """
    if hasattr(plugged, "backend") and hasattr(plugged, "usage"):
        return cast("Remover", plugged)
    pinned = read_settings().backend
    if pinned:  # a pinned deployment runs nothing else, whatever the graph says
        return Remover(open_backend(pinned, host=ComfyHost()), usage=None)
    if plugged not in _OF_CORE:
        _OF_CORE[plugged] = MatteMemory(read_settings().matte_bytes)
    return Remover(CoreModelBackend(plugged), usage=None, kept=_OF_CORE[plugged])
