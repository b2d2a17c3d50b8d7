"""Running a network: Cancel inside a forward, and how devices say that memory ran out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ...core.types import Job

# How devices without an error class of their own say it: CPU, MPS, cuBLAS, DirectML, Windows.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "not enough gpu video memory",
    "alloc_failed",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out: CUDA has a class of its own; the others say it in words."""
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(m in words for m in _OUT_OF_MEMORY)


@contextmanager
def cancellable(network: nn.Module, job: Job) -> Iterator[None]:
    """Ask for Cancel before every block of a forward, which may take half a minute on a CPU."""

    def before(_module: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        job.check()

    blocks = [module for module in network.modules() if next(module.children(), None) is not None]
    handles = [block.register_forward_pre_hook(before) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
