"""What a million pictures take, computed from what one machine was measured to need.

seconds a picture = max(model seconds, 1.1 x CPU-seconds / cores)    model on a GPU
seconds a picture = 1.1 x (CPU-seconds + model's) / cores            model on the same cores
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from ..catalogue.backends import BACKENDS
from ..core.specs import UNKNOWN

MILLION = 1_000_000
#: What is lost where more threads work than there are cores, and at both ends.
SLACK = 1.1
CORES = (2, 8, 16)
GPU_SECONDS = (0.03, 0.1, 0.3)
# The fewest calls that one picture needs: submit and result, at fal.ai a poll between them.
CALLS = {"bria": 2, "fal": 3, "replicate": 2}


@dataclass(frozen=True)
class Need:
    """Of one picture beside the model. cpu: seconds of one core. read, written: bytes."""

    cpu: float
    read: float
    written: float


def seconds(need: Need, cores: int, model: float) -> float:
    """Of the clock, one picture on one machine with a GPU."""
    return max(model, SLACK * need.cpu / cores)


def at_ninety(need: Need, cores: int) -> float:
    """The shortest model time with which the model is busy for 90 % of it."""
    return 0.9 * SLACK * need.cpu / cores


def show(needs: Mapping[str, Need]) -> None:
    """Print the tables."""
    print("\n### One million pictures on one machine, hours\n")
    print("N machines: divide by N. **Bold**: the cores are the bottleneck, not the GPU.\n")
    pairs = [(cores, model) for cores in CORES for model in GPU_SECONDS]
    heads = " | ".join(f"{cores} cores, {model * 1000:.0f} ms" for cores, model in pairs)
    print(f"| output | {heads} |\n|---|" + "---|" * len(pairs))
    for output, need in needs.items():
        cells = []
        for cores, model in pairs:
            hours = seconds(need, cores, model) * MILLION / 3600
            cells.append(
                f"{hours:.0f}" if need.cpu * SLACK / cores <= model else f"**{hours:.0f}**"
            )
        print(f"| {output} | {' | '.join(cells)} |")
    print("\n### Cores that keep one GPU busy, and what the disk then carries\n")
    heads = " | ".join(f"{model * 1000:.0f} ms" for model in GPU_SECONDS)
    print(f"| output | {heads} | read + written, MB a picture | MB/s at 100 ms | a million, TB |")
    print("|---|" + "---|" * (len(GPU_SECONDS) + 3))
    for output, need in needs.items():
        cores_needed = " | ".join(str(ceil(SLACK * need.cpu / model)) for model in GPU_SECONDS)
        both = (need.read + need.written) / 1e6
        print(f"| {output} | {cores_needed} | {both:.1f} | {both / 0.1:.0f} | {both:.1f} |")
    _hosted()


def _hosted() -> None:
    print("\n### One million pictures at a provider's\n")
    print("With an account's limits as this package knows them; yours may be others.\n")
    print("| backend | requests a minute | calls a picture, at least | days | USD |")
    print("|---|---|---|---|---|")
    for spec in BACKENDS.values():
        if spec.hosting is None or spec.price is None:
            continue
        a_minute, calls = spec.hosting.requests_a_minute, CALLS[spec.provider]
        days = MILLION * calls / a_minute / 60 / 24
        each = spec.price.amount
        cost = UNKNOWN if each is None else f"{each * MILLION:,.0f}"
        print(f"| {spec.id} | {a_minute} | {calls} | {days:.0f} | {cost} |")
