"""How many actors there are, and what each of them may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...config.hosted import limits_of
from ...core.errors import BadOption
from ...core.specs import BackendSpec


@dataclass(frozen=True)
class ActorPool:
    """The actors. None lets the engine choose: one for each GPU there is, else one for each
    machine, with the processors shared among them; one in all for a hosted backend."""

    actors: int | None = None
    gpus_per_actor: float | None = None
    cpus_per_actor: int | None = None

    def __post_init__(self) -> None:
        for name in ("actors", "cpus_per_actor"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise BadOption(f"{name} is {number}; give 1 or more, or leave it out.")
        if self.gpus_per_actor is not None and self.gpus_per_actor < 0:
            raise BadOption(f"gpus_per_actor is {self.gpus_per_actor}; give 0 or more.")


def divided(spec: BackendSpec, actors: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Each actor's part of the account's limits, as the variables that set them.

    Raises BadOption where there is not one request a minute and one job for each.
    """
    limits = limits_of(spec, environment)
    most = min(limits.in_flight, limits.requests_a_minute)
    if actors > most:
        raise BadOption(
            f"{actors} actors cannot share {limits.in_flight} jobs at a time and "
            f"{limits.requests_a_minute} requests a minute at {spec.label}; one actor is "
            "enough for all of them."
        )
    return {
        f"RMBG_{spec.provider.upper()}_IN_FLIGHT": str(limits.in_flight // actors),
        f"RMBG_{spec.provider.upper()}_REQUESTS_A_MINUTE": str(limits.requests_a_minute // actors),
    }
