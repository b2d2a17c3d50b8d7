"""What videos cost with a backend that has a price, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.specs import BackendSpec
from ..pipeline.estimate import Estimate
from .video_plan import VideoPlan


def expected_cost(plans: Sequence[VideoPlan], spec: BackendSpec) -> Estimate | None:
    """Return the most that these videos cost, each frame as a picture; None for what is free.

    Of a video that does not say how many frames it has, they are counted by its time and rate.
    """
    if spec.price is None:
        return None
    return Estimate(spec.id, spec.price, sum(map(frames_of, plans)))


def frames_of(plan: VideoPlan) -> int:
    """Return how many frames a video has, or about how many."""
    if plan.frames is not None:
        return plan.frames
    return max(0, round((plan.info.seconds or 0) * plan.info.frame_rate) - plan.first)
