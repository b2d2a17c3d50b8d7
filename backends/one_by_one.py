"""The run of a backend that answers one picture after the other, in the caller's thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..core.types import Failure, Frame, Job, Matte, Outcome


def one_by_one(
    frames: Iterable[Frame], job: Job, answer: Callable[[Frame], Matte | Failure]
) -> Iterator[Outcome]:
    """Yield what `answer` makes of each frame; see `Backend.run`. Memory holds one picture."""
    job.check()
    for frame in frames:
        outcome = Outcome(frame.index, answer(frame))
        job.step(1)
        yield outcome
        job.check()
