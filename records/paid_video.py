"""What is lent to a model whose jobs are whole videos: a paid job whose results are files."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from ..core.types import Clip
from .paid_job import PaidJob


class PaidVideo(PaidJob):
    """`PaidJob`, with the part of the cache that holds files."""

    def place(self, work: str) -> Path:
        """See `Job.place`: in the cache, which may take it from there."""
        return self.cache.place(work)

    def earlier_clip(self, work: str) -> Clip | None:
        """Return the video that was paid for earlier; see `earlier`."""
        if (clip := self.cache.get_clip(work)) is not None:
            self._try(self._journal.delivered, work)
        return clip

    def _cached(self, work: str, result: object) -> bool:
        return self.cache.put_clip(work, cast("Clip", result))
