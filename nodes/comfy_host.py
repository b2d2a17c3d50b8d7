"""The only file that knows ComfyUI's internals: its progress bar and its Cancel button."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import Cancelled
from ..core.types import Job


class ComfyJob(Job):
    """Progress and Cancel of the node that is being executed.

    Made inside `execute`, because ComfyUI's progress bar finds its node through the context.
    """

    def __init__(self, total: int) -> None:
        from comfy.utils import ProgressBar

        self._bar = ProgressBar(total)

    def check(self) -> None:
        from comfy.model_management import processing_interrupted

        if processing_interrupted():
            raise Cancelled("Stopped by the user.")

    def step(self, done: int) -> None:
        self._bar.update(done)


@contextmanager
def comfy_job(total: int) -> Iterator[ComfyJob]:
    """The node's job; a Cancelled inside ends the prompt the way ComfyUI does it, as interrupted
    and not as failed."""
    try:
        yield ComfyJob(total)
    except Cancelled:
        from comfy.model_management import throw_exception_if_processing_interrupted

        throw_exception_if_processing_interrupted()
        raise
