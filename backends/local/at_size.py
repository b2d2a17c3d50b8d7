"""The side of the square that a network works on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...core.errors import BadOption

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
        self.spec, self.work, self.close = backend.spec, backend.work, backend.close
        self.run = partial(backend.run_at, side)
