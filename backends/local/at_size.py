"""The side of the square that a network works on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ...core.errors import BadOption
from ...core.specs import BackendSpec
from ...core.types import Frame, Job, Outcome

if TYPE_CHECKING:
    from .engine import LocalBackend

SMALLEST, LARGEST, STEP = 256, 2560, 32


def side_of(resolution: int) -> int:
    """Return the resolution that a user chose, in pixels; 0 is the model's own. Raises BadOption
    for a size that no network here can have."""
    if resolution and (not SMALLEST <= resolution <= LARGEST or resolution % STEP):
        raise BadOption(
            f"The resolution is {resolution}; it must be a multiple of {STEP} from {SMALLEST} to "
            f"{LARGEST}, or 0 for the model's own."
        )
    return resolution


class Resized:
    """A LocalBackend on squares of another side than it was opened for."""

    def __init__(self, backend: LocalBackend, side: int) -> None:
        self._backend = backend
        self._side = side

    @property
    def spec(self) -> BackendSpec:
        return self._backend.spec

    def work(self, frame: Frame) -> str | None:
        return None

    def run(self, frames: Iterable[Frame], job: Job) -> Iterator[Outcome]:
        return self._backend.run_at(self._side, frames, job)

    def close(self) -> None:
        self._backend.close()
